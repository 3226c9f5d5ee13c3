package org.edgevit.core

/**
 * From an upright picture to the pixels that the model takes; normalisation is inside the model.
 *
 * Gives the same bytes as `edgevit.preprocessing.Preprocessing` in Python, by which the model was
 * trained, calibrated and evaluated.
 *
 * @property width columns of the model's input, pixels.
 * @property height rows of the model's input, pixels.
 * @property resizeMode `crop` takes the largest centred rectangle of the input's aspect ratio,
 *   `squash` the whole picture.
 * @property interpolation `bilinear` or `bicubic`, both antialiased.
 * @throws ModelMismatch if a value is none of these.
 */
class Preprocessing(
    val width: Int,
    val height: Int,
    val resizeMode: String = CROP,
    val interpolation: String = Interpolation.BILINEAR.word,
) {
    private val filter = Interpolation.of(interpolation)

    init {
        if (minOf(width, height) < 1 || maxOf(width, height) > MAX_SIDE) {
            throw ModelMismatch("the image size is $height×$width, sides are 1 to $MAX_SIDE pixels")
        }
        if (resizeMode != CROP && resizeMode != SQUASH) {
            throw ModelMismatch("the resize mode is '$resizeMode', known are $CROP and $SQUASH")
        }
    }

    /** Crops and resizes to [width] × [height]. */
    fun fit(image: RgbImage): RgbImage =
        Resampling.resize(image, cropBox(image.width, image.height), width, height, filter)

    /** The part of a picture of that size that is used, in whole pixels. */
    internal fun cropBox(imageWidth: Int, imageHeight: Int): Box {
        if (resizeMode == SQUASH) return Box(0, 0, imageWidth, imageHeight)
        val cropWidth = fitted(imageHeight, width, height, imageWidth)
        val cropHeight = fitted(imageWidth, height, width, imageHeight)
        val left = (imageWidth - cropWidth) / 2
        val top = (imageHeight - cropHeight) / 2
        return Box(left, top, left + cropWidth, top + cropHeight)
    }

    /** `side · numerator / denominator` rounded down, from 1 to [largest]. */
    private fun fitted(side: Int, numerator: Int, denominator: Int, largest: Int): Int =
        minOf(largest.toLong(), side.toLong() * numerator / denominator).coerceAtLeast(1).toInt()

    companion object {
        const val CROP = "crop"
        const val SQUASH = "squash"

        // As in Python: a larger side is a typing error.
        private const val MAX_SIDE = 4096
    }
}
