package org.edgevit.core

/** Turns pictures upright. */
object Rotation {
    /**
     * Turns a picture clockwise.
     *
     * @param degrees 0, 90, 180 or 270.
     */
    fun clockwise(image: RgbImage, degrees: Int): RgbImage {
        val width = image.width
        val height = image.height
        return when (degrees) {
            0 -> image
            90 -> rearranged(image, height, width, Walk((height - 1) * width, -width, 1))
            180 -> rearranged(image, width, height, Walk(width * height - 1, -1, -width))
            270 -> rearranged(image, height, width, Walk(width - 1, width, -1))
            else -> throw IllegalArgumentException("pictures turn by right angles, not $degrees°")
        }
    }

    /**
     * Says how far a camera picture must be turned clockwise to stand as the display does.
     *
     * @param sensorOrientation CameraCharacteristics.SENSOR_ORIENTATION, degrees.
     * @param displayDegrees Display.getRotation() in degrees: 0, 90, 180 or 270.
     * @param frontFacing true for a camera on the display's side.
     * @return 0, 90, 180 or 270.
     */
    fun degreesToUpright(sensorOrientation: Int, displayDegrees: Int, frontFacing: Boolean): Int {
        require(sensorOrientation % 90 == 0 && displayDegrees % 90 == 0) {
            "a sensor at $sensorOrientation° and a display at $displayDegrees°"
        }
        // A front camera looks the other way, so the display's turn counts the other way round.
        val turn = if (frontFacing) displayDegrees else -displayDegrees
        return Math.floorMod(sensorOrientation + turn, 360)
    }

    /**
     * Applies an EXIF orientation.
     *
     * @param orientation 1 to 8; other values, which damaged files hold, leave the picture alone.
     */
    fun applyExif(image: RgbImage, orientation: Int): RgbImage =
        when (orientation) {
            2 -> mirrored(image)
            3 -> clockwise(image, 180)
            4 -> clockwise(mirrored(image), 180)
            5 -> clockwise(mirrored(image), 270)
            6 -> clockwise(image, 90)
            7 -> clockwise(mirrored(image), 90)
            8 -> clockwise(image, 270)
            else -> image
        }

    /** Swaps left and right. */
    private fun mirrored(image: RgbImage): RgbImage =
        rearranged(image, image.width, image.height, Walk(image.width - 1, -1, image.width))

    /** Fills a picture of that size by walking over the pixels of another. */
    private fun rearranged(image: RgbImage, width: Int, height: Int, walk: Walk): RgbImage {
        val from = image.pixels
        val pixels = ByteArray(from.size)
        var target = 0
        for (y in 0 until height) {
            var source = RgbImage.BYTES_PER_PIXEL * (walk.start + y * walk.down)
            for (x in 0 until width) {
                pixels[target++] = from[source]
                pixels[target++] = from[source + 1]
                pixels[target++] = from[source + 2]
                source += RgbImage.BYTES_PER_PIXEL * walk.right
            }
        }
        return RgbImage(width, height, pixels)
    }

    /** Which source pixel comes first, and how many further the next to the right and below are. */
    private class Walk(val start: Int, val right: Int, val down: Int)
}
