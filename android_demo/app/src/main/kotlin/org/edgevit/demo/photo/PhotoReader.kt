package org.edgevit.demo.photo

import android.annotation.TargetApi
import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import android.media.ExifInterface
import android.net.Uri
import android.os.Build
import java.io.ByteArrayInputStream
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import org.edgevit.core.Decoding
import org.edgevit.core.RgbImage
import org.edgevit.core.Rotation
import org.edgevit.core.UnreadablePhoto

/**
 * Decodes photos to upright RGB, as sRGB, transparency over white.
 *
 * Photos of more than [Decoding.MAX_DECODED_PIXELS] are decoded smaller.
 *
 * @param level of Android's API; from 28 on ImageDecoder is used, which knows more formats.
 */
class PhotoReader(private val level: Int = Build.VERSION.SDK_INT) {
    /**
     * Reads a picked photo.
     *
     * @throws UnreadablePhoto if it is gone, no photo, or damaged.
     */
    fun read(resolver: ContentResolver, uri: Uri): RgbImage = readably {
        if (level >= Build.VERSION_CODES.P) {
            decodeNewWay(ImageDecoder.createSource(resolver, uri))
        } else {
            decodeOldWay {
                resolver.openInputStream(uri) ?: throw IOException("it is no longer there")
            }
        }
    }

    /**
     * Decodes a photo's file.
     *
     * @throws UnreadablePhoto if it is no photo, or damaged.
     */
    fun decode(file: ByteArray): RgbImage = readably {
        if (level >= Build.VERSION_CODES.P) {
            decodeNewWay(ImageDecoder.createSource(ByteBuffer.wrap(file)))
        } else {
            decodeOldWay { ByteArrayInputStream(file) }
        }
    }

    /** ImageDecoder turns the photo upright by itself. */
    @TargetApi(Build.VERSION_CODES.P)
    private fun decodeNewWay(source: ImageDecoder.Source): RgbImage {
        val bitmap = ImageDecoder.decodeBitmap(source) { decoder, info, _ ->
            // One in the GPU's memory would not hand out its pixels.
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
            decoder.setTargetSampleSize(Decoding.sampleSize(info.size.width, info.size.height))
            decoder.setTargetColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
        }
        return rgb(bitmap)
    }

    private fun decodeOldWay(open: () -> InputStream): RgbImage {
        val options = BitmapFactory.Options()
        options.inJustDecodeBounds = true
        open().use { BitmapFactory.decodeStream(it, null, options) }
        if (options.outWidth < 1 || options.outHeight < 1) throw IOException("it is no photo")
        options.inSampleSize = Decoding.sampleSize(options.outWidth, options.outHeight)
        options.inJustDecodeBounds = false
        options.inPreferredConfig = Bitmap.Config.ARGB_8888
        options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB)
        val bitmap = open().use { BitmapFactory.decodeStream(it, null, options) }
            ?: throw IOException("it is damaged")
        return Rotation.applyExif(rgb(bitmap), orientation(open))
    }

    private fun orientation(open: () -> InputStream): Int =
        try {
            open().use {
                ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, UPRIGHT)
            }
        } catch (_: IOException) {
            // Most formats have none; one that cannot be read leaves the photo as it is.
            UPRIGHT
        }

    /** In strips: all pixels as integers would take as much memory again as the photo. */
    private fun rgb(bitmap: Bitmap): RgbImage {
        val (width, height) = Pair(bitmap.width, bitmap.height)
        val pixels = ByteArray(RgbImage.BYTES_PER_PIXEL * width * height)
        for (top in 0 until height step STRIP_ROWS) {
            val rows = minOf(STRIP_ROWS, height - top)
            val argb = IntArray(width * rows)
            bitmap.getPixels(argb, 0, width, 0, top, width, rows)
            RgbImage.fromArgb(width, rows, argb).pixels
                .copyInto(pixels, RgbImage.BYTES_PER_PIXEL * width * top)
        }
        bitmap.recycle()
        return RgbImage(width, height, pixels)
    }

    private fun readably(read: () -> RgbImage): RgbImage =
        try {
            read()
        } catch (error: IOException) {
            throw unreadable(error)
        } catch (error: SecurityException) {
            // The right to read it ended with the app's last start.
            throw unreadable(error)
        } catch (error: IllegalStateException) {
            throw unreadable(error)
        }

    private fun unreadable(error: Exception): UnreadablePhoto {
        val reason = error.message.orEmpty().trim().lineSequence().first()
        return UnreadablePhoto("This photo cannot be read ($reason)", error)
    }

    private companion object {
        const val STRIP_ROWS = 64
        const val UPRIGHT = ExifInterface.ORIENTATION_NORMAL
    }
}
