package org.edgevit.demo.camera

import kotlin.math.abs

/** The size of a camera picture, pixels, as the sensor delivers it. */
data class PictureSize(val width: Int, val height: Int)

/** Which of a camera's sizes is taken. */
object CameraChoice {
    /** Enough for any model's input, and converted to RGB in a few milliseconds. */
    private val WANTED = PictureSize(640, 480)

    /**
     * Chooses 640×480 if the camera has it, else the size nearest to it in pixels.
     *
     * @return `null` if there are none.
     */
    fun size(available: List<PictureSize>): PictureSize? =
        available.minByOrNull { abs(pixels(it) - pixels(WANTED)) + if (it == WANTED) 0 else 1 }

    private fun pixels(size: PictureSize): Int = size.width * size.height
}

/**
 * How a preview must be scaled and turned, about the centre of its view, to be upright and not
 * stretched.
 *
 * @property scaleX of the stretched picture, before it is turned.
 * @property scaleY likewise.
 * @property degrees clockwise; negative is anticlockwise.
 */
data class PreviewTransform(val scaleX: Float, val scaleY: Float, val degrees: Float) {
    companion object {
        /**
         * A TextureView shows the camera's picture upright for a phone in its natural position,
         * stretched over the whole view: this undoes the stretching and the turn of the display.
         *
         * @param viewWidth of the view, pixels.
         * @param viewHeight likewise.
         * @param picture as the sensor delivers it.
         * @param sensorDegrees CameraCharacteristics.SENSOR_ORIENTATION.
         * @param displayDegrees Display.getRotation() in degrees.
         * @param fill true to fill the view and cut off the rest, as the model's crop does; false
         *   to show the whole picture.
         */
        fun of(
            viewWidth: Int,
            viewHeight: Int,
            picture: PictureSize,
            sensorDegrees: Int,
            displayDegrees: Int,
            fill: Boolean,
        ): PreviewTransform {
            val isSideways = sensorDegrees % 180 != 0
            val width = if (isSideways) picture.height else picture.width
            val height = if (isSideways) picture.width else picture.height
            val isTurned = displayDegrees % 180 != 0
            val ratioX = viewWidth.toFloat() / if (isTurned) height else width
            val ratioY = viewHeight.toFloat() / if (isTurned) width else height
            val zoom = if (fill) maxOf(ratioX, ratioY) else minOf(ratioX, ratioY)
            return PreviewTransform(
                scaleX = zoom * width / viewWidth,
                scaleY = zoom * height / viewHeight,
                degrees = (-displayDegrees).toFloat(),
            )
        }
    }
}
