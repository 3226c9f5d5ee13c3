package org.edgevit.demo.photo

import android.graphics.Bitmap
import org.edgevit.core.Preprocessing
import org.edgevit.core.RgbImage

/** Pictures for the screen. */
object Pictures {
    private const val PREVIEW_SIDE = 720

    /** What of a photo the model sees, at more pixels than the model takes. */
    fun preview(image: RgbImage, preprocessing: Preprocessing): RgbImage {
        val longest = maxOf(preprocessing.width, preprocessing.height)
        // A multiple of the model's size has its aspect ratio, and so the same crop.
        val times = maxOf(1, PREVIEW_SIDE / longest)
        val larger = Preprocessing(
            preprocessing.width * times,
            preprocessing.height * times,
            preprocessing.resizeMode,
            preprocessing.interpolation,
        )
        return larger.fit(image)
    }

    fun bitmap(image: RgbImage): Bitmap {
        val pixels = image.pixels
        val argb = IntArray(image.width * image.height) { index ->
            val at = RgbImage.BYTES_PER_PIXEL * index
            val red = pixels[at].toInt() and 0xff
            val green = pixels[at + 1].toInt() and 0xff
            val blue = pixels[at + 2].toInt() and 0xff
            0xff shl 24 or (red shl 16) or (green shl 8) or blue
        }
        return Bitmap.createBitmap(argb, image.width, image.height, Bitmap.Config.ARGB_8888)
    }
}
