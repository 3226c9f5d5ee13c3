package org.edgevit.core

/**
 * An upright or sideways picture of 8-bit colours.
 *
 * @property width columns, at least 1.
 * @property height rows, at least 1.
 * @property pixels row by row, 3 bytes a pixel: red, green, blue, each 0–255.
 */
class RgbImage(val width: Int, val height: Int, val pixels: ByteArray) {
    init {
        require(width >= 1 && height >= 1) { "a picture of $width×$height pixels" }
        require(pixels.size.toLong() == BYTES_PER_PIXEL.toLong() * width * height) {
            "${pixels.size} bytes for $width×$height pixels of $BYTES_PER_PIXEL bytes"
        }
    }

    companion object {
        const val BYTES_PER_PIXEL = 3

        /**
         * Takes pixels as Android's bitmaps hand them out; what is transparent lies over white.
         *
         * @param argb row by row, 0xAARRGGBB, colours not multiplied by alpha.
         */
        fun fromArgb(width: Int, height: Int, argb: IntArray): RgbImage {
            require(argb.size == width * height) { "${argb.size} pixels for $width×$height" }
            val pixels = ByteArray(BYTES_PER_PIXEL * argb.size)
            var target = 0
            for (pixel in argb) {
                val alpha = pixel ushr 24
                pixels[target++] = overWhite(pixel ushr 16 and 0xff, alpha).toByte()
                pixels[target++] = overWhite(pixel ushr 8 and 0xff, alpha).toByte()
                pixels[target++] = overWhite(pixel and 0xff, alpha).toByte()
            }
            return RgbImage(width, height, pixels)
        }

        /** Blends one channel (0–255) with white, rounded as Pillow's alpha_composite rounds. */
        private fun overWhite(value: Int, alpha: Int): Int {
            if (alpha == 255) return value
            val blended = (value * alpha + 255 * (255 - alpha) + 128) shl BLEND_BITS
            return ((blended shr 8) + blended) shr 8 shr BLEND_BITS
        }

        // Pillow blends with 7 bits behind the point.
        private const val BLEND_BITS = 7
    }
}
