package org.edgevit.demo

import java.io.ByteArrayOutputStream
import java.io.DataOutputStream
import java.util.zip.CRC32
import java.util.zip.DeflaterOutputStream

/** Writes PNG files by what both Android and every test has. */
object Png {
    /** @param colour of the pixel at x, y as 0xRRGGBB. */
    fun rgb(width: Int, height: Int, colour: (Int, Int) -> Int): ByteArray {
        val row = ByteArray(3 * width)
        return encode(width, height, bitDepth = 8, colourType = 2) { y ->
            for (at in row.indices) row[at] = (colour(at / 3, y) shr (16 - 8 * (at % 3))).toByte()
            row
        }
    }

    /** All pixels alike, 0xRRGGBB. */
    fun plain(width: Int, height: Int, colour: Int): ByteArray =
        rgb(width, height) { _, _ -> colour }

    /** Transparent black. */
    fun transparent(width: Int, height: Int): ByteArray =
        encode(width, height, bitDepth = 8, colourType = 6) { ByteArray(4 * width) }

    /** Black, at one bit a pixel: a large one is a small file. */
    fun black(width: Int, height: Int): ByteArray {
        val row = ByteArray((width + 7) / 8)
        return encode(width, height, bitDepth = 1, colourType = 0) { row }
    }

    private fun encode(
        width: Int,
        height: Int,
        bitDepth: Int,
        colourType: Int,
        row: (Int) -> ByteArray,
    ): ByteArray {
        val pixels = ByteArrayOutputStream()
        DeflaterOutputStream(pixels).use { out ->
            for (y in 0 until height) {
                out.write(0)
                out.write(row(y))
            }
        }
        val header = ByteArrayOutputStream()
        DataOutputStream(header).apply {
            writeInt(width)
            writeInt(height)
            write(byteArrayOf(bitDepth.toByte(), colourType.toByte(), 0, 0, 0))
        }
        val file = ByteArrayOutputStream()
        DataOutputStream(file).apply {
            writeLong(SIGNATURE)
            chunk("IHDR", header.toByteArray())
            chunk("IDAT", pixels.toByteArray())
            chunk("IEND", ByteArray(0))
        }
        return file.toByteArray()
    }

    private fun DataOutputStream.chunk(type: String, data: ByteArray) {
        val checked = type.toByteArray() + data
        writeInt(data.size)
        write(checked)
        writeInt(CRC32().apply { update(checked) }.value.toInt())
    }

    private const val SIGNATURE = -0x76AFB1B8F2F5E5F6L
}
