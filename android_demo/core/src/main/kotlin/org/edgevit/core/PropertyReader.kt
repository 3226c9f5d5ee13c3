package org.edgevit.core

import java.io.InputStream
import java.util.Properties

/**
 * Reads a `.properties` file that `edgevit android install` wrote.
 *
 * Every value that is missing or of the wrong kind is a [ModelMismatch] that names it.
 */
internal class PropertyReader(private val file: String, stream: InputStream) {
    private val properties = Properties()

    init {
        // As a stream, which is Latin-1 with \u escapes: what is written is pure ASCII.
        try {
            stream.use { properties.load(it) }
        } catch (error: IllegalArgumentException) {
            throw ModelMismatch("$file is damaged (${error.message})")
        }
        if (properties.isEmpty) throw ModelMismatch("$file is empty")
        val schema = int("schema")
        if (schema != SCHEMA) {
            throw ModelMismatch("$file has schema $schema, this app reads $SCHEMA")
        }
    }

    fun has(key: String): Boolean = properties.containsKey(key)

    fun text(key: String): String =
        properties.getProperty(key) ?: throw ModelMismatch("$file has no $key")

    fun int(key: String): Int = number(key, "whole number") { it.toIntOrNull() }

    fun long(key: String): Long = number(key, "whole number") { it.toLongOrNull() }

    fun float(key: String): Float =
        number(key, "number") { text -> text.toFloatOrNull()?.takeIf { it.isFinite() } }

    fun flag(key: String): Boolean = number(key, "true or false") { it.toBooleanStrictOrNull() }

    fun <T : Any> list(key: String, convert: (String) -> T?): List<T> {
        val text = text(key)
        if (text.isEmpty()) return emptyList()
        return text.split(',').map { convert(it) ?: throw wrong(key, "list of numbers", text) }
    }

    private fun <T : Any> number(key: String, kind: String, convert: (String) -> T?): T {
        val text = text(key)
        return convert(text) ?: throw wrong(key, kind, text)
    }

    private fun wrong(key: String, kind: String, text: String) =
        ModelMismatch("$file: $key is '$text', a $kind is needed")

    companion object {
        const val SCHEMA = 1
    }
}
