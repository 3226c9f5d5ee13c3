package org.edgevit.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue

/** The files that Python wrote (tests/android/golden.py) and that both sides must agree with. */
object Golden {
    private val folder = File(
        checkNotNull(System.getProperty("edgevit.golden")) {
            "-Dedgevit.golden must name the repository's tests/golden"
        },
    )

    fun file(name: String): File = File(folder, name)

    fun text(name: String): String = file(name).readText()

    /** Reads `NAME.tsv`; there must be at least so many cases, so that an empty file is no pass. */
    fun table(name: String, least: Int): List<Case> {
        val lines = text("$name.tsv").trimEnd('\n').split('\n').map { it.split('\t') }
        val data = file("$name.bin").takeIf { it.exists() }?.readBytes() ?: ByteArray(0)
        val cases = lines.drop(1).map { Case(lines.first().zip(it).toMap(), data) }
        assertTrue("$name has ${cases.size} cases", cases.size >= least)
        return cases
    }
}

/** A row of a table. */
class Case(private val cells: Map<String, String>, private val data: ByteArray) {
    val name: String get() = text("case")

    fun text(column: String): String = cells.getValue(column)

    fun int(column: String): Int = text(column).toInt()

    /** The bytes that a cell `POSITION+LENGTH` leads to. */
    fun bytes(column: String): ByteArray {
        val (position, length) = text(column).split('+').map { it.toInt() }
        return data.copyOfRange(position, position + length)
    }

    fun buffer(column: String): ByteBuffer =
        ByteBuffer.wrap(bytes(column)).order(ByteOrder.LITTLE_ENDIAN)

    /** Compares every byte; of large results the hash. */
    fun assertBytes(column: String, found: ByteArray) {
        val cell = text(column)
        if (cell.startsWith("sha256:")) {
            assertEquals(name, cell.removePrefix("sha256:"), Hashing.sha256(found))
        } else {
            assertArrayEquals(name, bytes(column), found)
        }
    }
}

/** The pictures that the tables name; Python computes the same. */
object Drawn {
    fun noise(count: Int, seed: Int): ByteArray = ByteArray(count) { index ->
        var value = index.toUInt() * 2654435761u + (seed * 40503 + 1).toUInt()
        value = value xor (value shr 15)
        value *= 2246822519u
        value = value xor (value shr 13)
        value.toByte()
    }

    fun image(source: String, width: Int, height: Int): RgbImage {
        val count = RgbImage.BYTES_PER_PIXEL * width * height
        if (source != "checks") {
            return RgbImage(width, height, noise(count, source.removePrefix("noise:").toInt()))
        }
        val pixels = ByteArray(count) {
            val pixel = it / RgbImage.BYTES_PER_PIXEL
            val isWhite = (pixel / width / 3 + pixel % width / 3) % 2 == 1
            if (isWhite) -1 else 0
        }
        return RgbImage(width, height, pixels)
    }
}

/** Runs what must fail, and returns how. */
inline fun <reified E : Throwable> failure(action: () -> Unit): E {
    try {
        action()
    } catch (error: Throwable) {
        if (error is E) return error
        throw error
    }
    throw AssertionError("nothing failed, ${E::class.java.simpleName} was expected")
}
