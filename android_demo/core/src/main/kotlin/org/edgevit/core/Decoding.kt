package org.edgevit.core

/** How much of a photo is decoded: a phone has no memory for 100 megapixels at once. */
object Decoding {
    /**
     * The most pixels that are decoded: 64 MB as Android's bitmap and 48 MB as RGB.
     *
     * Smaller photos are decoded in full, as in Python, and give the same bytes.
     */
    const val MAX_DECODED_PIXELS = 16_000_000L

    /** More than any camera takes: such a header is a mistake, or made to fill the memory. */
    const val MAX_PIXELS = 1_000_000_000L

    /**
     * Chooses every how-many-th pixel of a photo is decoded, in both directions.
     *
     * @param width of the photo as its header says, pixels.
     * @param height likewise.
     * @return 1, 2, 4, …: what BitmapFactory and ImageDecoder subsample well by.
     * @throws UnreadablePhoto if the size is impossible or beyond [MAX_PIXELS].
     */
    fun sampleSize(width: Int, height: Int): Int {
        if (width < 1 || height < 1) throw UnreadablePhoto("the photo has $width×$height pixels")
        if (width.toLong() * height > MAX_PIXELS) {
            throw UnreadablePhoto(
                "the photo is too large: $width×$height pixels. Shrink it to at most " +
                    "${MAX_PIXELS / 1_000_000} megapixels",
            )
        }
        var size = 1
        while (decoded(width, size) * decoded(height, size) > MAX_DECODED_PIXELS) size *= 2
        return size
    }

    /** Pixels of a side after subsampling, rounded up. */
    private fun decoded(side: Int, size: Int): Long = (side.toLong() + size - 1) / size
}

/** A photo that cannot be decoded; the message is one line, fit to be shown. */
class UnreadablePhoto(message: String, cause: Throwable? = null) : Exception(message, cause)
