package org.edgevit.core

import java.nio.ByteBuffer

/**
 * One plane of a camera picture.
 *
 * Planes may share memory: in the NV12 and NV21 layouts the two colour planes are the same bytes,
 * one byte apart, with a pixel stride of 2.
 *
 * @property bytes counted from index 0 of the buffer, whatever its position.
 * @property rowStride bytes from one row to the next; the last row may be cut off after its last
 *   sample.
 * @property pixelStride bytes from one sample to the next.
 */
class YuvPlane(val bytes: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/** Camera pictures (YUV_420_888) to RGB. */
object Yuv {
    /**
     * Converts with full-range BT.601, the JFIF rule that Android's cameras use by default, in
     * integers and with exactly the rounding of Pillow's YCbCr to RGB.
     *
     * A colour sample counts for its whole square of 2×2 pixels.
     *
     * @param width columns of the picture, pixels; an odd one has (width + 1) / 2 colour samples.
     * @param height rows of the picture, pixels.
     * @throws IllegalArgumentException if a plane is too short for its strides.
     */
    fun toRgb(width: Int, height: Int, y: YuvPlane, u: YuvPlane, v: YuvPlane): RgbImage {
        require(width >= 1 && height >= 1) { "a picture of $width×$height pixels" }
        val luma = RowReader("Y", y, width, height)
        val blue = RowReader("U", u, (width + 1) / 2, (height + 1) / 2)
        val red = RowReader("V", v, (width + 1) / 2, (height + 1) / 2)
        val pixels = ByteArray(RgbImage.BYTES_PER_PIXEL * width * height)
        var target = 0
        for (row in 0 until height) {
            luma.read(row)
            if (row % 2 == 0) {
                blue.read(row / 2)
                red.read(row / 2)
            }
            for (column in 0 until width) {
                val light = luma.sample(column)
                val cb = blue.sample(column / 2)
                val cr = red.sample(column / 2)
                val green = GREEN_OF_CB[cb] + GREEN_OF_CR[cr]
                pixels[target++] = clip(light + (RED_OF_CR[cr] shr SCALE_BITS))
                pixels[target++] = clip(light + (green shr SCALE_BITS))
                pixels[target++] = clip(light + (BLUE_OF_CB[cb] shr SCALE_BITS))
            }
        }
        return RgbImage(width, height, pixels)
    }

    private fun clip(value: Int): Byte = value.coerceIn(0, 255).toByte()

    // Pillow's tables have 6 bits behind the point and were rounded half up, then cut off.
    private const val SCALE_BITS = 6
    private val RED_OF_CR = table(1.40200)
    private val GREEN_OF_CB = table(-0.34414)
    private val GREEN_OF_CR = table(-0.71414)
    private val BLUE_OF_CB = table(1.77200)

    private fun table(factor: Double): IntArray =
        IntArray(256) { ((it - 128) * factor * (1 shl SCALE_BITS) + 0.5).toInt() }
}

/** Reads a plane row by row: one copy of a row is far faster than a call for each sample. */
private class RowReader(name: String, private val plane: YuvPlane, columns: Int, rows: Int) {
    private val bytes: ByteBuffer = plane.bytes.duplicate()
    private val row = ByteArray((columns - 1) * plane.pixelStride + 1)

    init {
        require(plane.pixelStride >= 1 && (rows == 1 || plane.rowStride >= row.size)) {
            "the $name plane has strides ${plane.rowStride} and ${plane.pixelStride} " +
                "for $columns samples a row"
        }
        val needed = (rows - 1L) * plane.rowStride + row.size
        require(plane.bytes.limit() >= needed) {
            "the $name plane has ${plane.bytes.limit()} bytes, its strides need $needed"
        }
    }

    fun read(index: Int) {
        bytes.position(index * plane.rowStride)
        bytes.get(row)
    }

    fun sample(column: Int): Int = row[column * plane.pixelStride].toInt() and 0xff
}
