package org.edgevit.core

/**
 * A small JSON reader and writer, because org.json exists on Android only.
 *
 * Values are `Map<String, Any?>` in the order of the text, `List<Any?>`, `String`, `Long`,
 * `Double`, `Boolean` and `null`.
 */
object Json {
    /**
     * Reads a document.
     *
     * @throws IllegalArgumentException if the text is no JSON, with the place that is wrong.
     */
    fun parse(text: String): Any? = JsonParser(text).parse()

    /**
     * Writes a document, indented by two, with a line break at its end.
     *
     * @throws IllegalArgumentException for NaN and infinities, which JSON cannot hold.
     */
    fun write(value: Any?): String =
        StringBuilder().also { write(it, value, "\n") }.append('\n').toString()

    private fun write(out: StringBuilder, value: Any?, lineBreak: String) {
        val inner = "$lineBreak  "
        when (value) {
            is Map<*, *> -> writeAll(out, '{', '}', value.entries, lineBreak) { (key, item) ->
                writeText(out, key.toString())
                out.append(": ")
                write(out, item, inner)
            }
            is Iterable<*> -> writeAll(out, '[', ']', value, lineBreak) { write(out, it, inner) }
            is String -> writeText(out, value)
            is Double -> {
                require(value.isFinite()) { "JSON cannot hold $value" }
                out.append(value)
            }
            is Float -> write(out, value.toString().toDouble(), lineBreak)
            null, is Boolean, is Long, is Int -> out.append(value)
            else -> throw IllegalArgumentException("JSON cannot hold a ${value.javaClass.name}")
        }
    }

    private fun <T> writeAll(
        out: StringBuilder,
        open: Char,
        close: Char,
        items: Iterable<T>,
        lineBreak: String,
        writeItem: (T) -> Unit,
    ) {
        out.append(open)
        var separator = ""
        for (item in items) {
            out.append(separator).append(lineBreak).append("  ")
            writeItem(item)
            separator = ","
        }
        if (separator.isNotEmpty()) out.append(lineBreak)
        out.append(close)
    }

    private fun writeText(out: StringBuilder, text: String) {
        out.append('"')
        for (char in text) {
            when {
                char == '"' || char == '\\' -> out.append('\\').append(char)
                char == '\n' -> out.append("\\n")
                char < ' ' -> out.append("\\u%04x".format(char.code))
                else -> out.append(char)
            }
        }
        out.append('"')
    }
}

/** Reads one document from its first character to its last. */
private class JsonParser(private val text: String) {
    private var position = 0
    private var depth = 0

    fun parse(): Any? {
        val value = value()
        skipSpace()
        if (position != text.length) fail("more after the end")
        return value
    }

    private fun value(): Any? {
        skipSpace()
        return when (val char = peek()) {
            '{' -> nested { objectValue() }
            '[' -> nested { arrayValue() }
            '"' -> textValue()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> if (char == '-' || char in '0'..'9') number() else fail("unexpected '$char'")
        }
    }

    private fun objectValue(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        items('}') {
            skipSpace()
            if (peek() != '"') fail("a name is needed")
            val name = textValue()
            skipSpace()
            expect(':')
            found[name] = value()
        }
        return found
    }

    private fun arrayValue(): List<Any?> {
        val found = mutableListOf<Any?>()
        items(']') { found += value() }
        return found
    }

    private fun items(close: Char, readItem: () -> Unit) {
        position++
        skipSpace()
        if (peek() == close) {
            position++
            return
        }
        while (true) {
            readItem()
            skipSpace()
            if (peek() == close) break
            expect(',')
        }
        position++
    }

    private fun textValue(): String {
        position++
        val found = StringBuilder()
        while (true) {
            val char = next()
            when {
                char == '"' -> return found.toString()
                char == '\\' -> found.append(escaped())
                char < ' ' -> fail("a control character in a text")
                else -> found.append(char)
            }
        }
    }

    private fun escaped(): Char =
        when (val char = next()) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                val digits = text.substring(position, minOf(position + 4, text.length))
                position += digits.length
                val code = if (digits.length == 4) digits.toIntOrNull(16) else null
                code?.toChar() ?: fail("\\u$digits")
            }
            else -> fail("the escape \\$char")
        }

    private fun number(): Any {
        val match = NUMBER.find(text, position)
        if (match == null || match.range.first != position) fail("no number")
        position = match.range.last + 1
        val isWhole = match.value.all { it == '-' || it in '0'..'9' }
        val value = match.value.toDouble()
        if (!value.isFinite()) fail("${match.value} is too large")
        return if (isWhole) match.value.toLongOrNull() ?: value else value
    }

    private fun <T> nested(read: () -> T): T {
        if (++depth > MAX_DEPTH) fail("more than $MAX_DEPTH brackets in each other")
        return read().also { depth-- }
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, position)) fail("unexpected '${peek()}'")
        position += word.length
        return value
    }

    private fun skipSpace() {
        while (position < text.length && text[position] in " \t\r\n") position++
    }

    private fun peek(): Char = if (position < text.length) text[position] else fail("cut off")

    private fun next(): Char = peek().also { position++ }

    private fun expect(char: Char) {
        if (next() != char) fail("'$char' is missing")
    }

    private fun fail(problem: String): Nothing =
        throw IllegalArgumentException("no JSON: $problem at character $position")

    private companion object {
        const val MAX_DEPTH = 100
        val NUMBER = Regex("""-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?""")
    }
}
