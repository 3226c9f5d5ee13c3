package org.edgevit.demo.camera

import android.media.Image
import org.edgevit.core.RgbImage
import org.edgevit.core.Rotation
import org.edgevit.core.Yuv
import org.edgevit.core.YuvPlane

/** A picture of the camera; valid only while the listener is called. */
class CameraFrame(private val image: Image, private val camera: CameraFacts) {
    /**
     * Converts to RGB, upright for the person who looks at the display.
     *
     * @param displayDegrees Display.getRotation() in degrees.
     */
    fun upright(displayDegrees: Int): RgbImage {
        val (y, u, v) = image.planes.map { YuvPlane(it.buffer, it.rowStride, it.pixelStride) }
        val degrees = Rotation.degreesToUpright(
            camera.sensorDegrees,
            displayDegrees,
            camera.isFrontFacing,
        )
        return Rotation.clockwise(Yuv.toRgb(image.width, image.height, y, u, v), degrees)
    }
}
