package org.edgevit.demo.photo

import android.graphics.Bitmap
import android.graphics.Color
import java.io.ByteArrayOutputStream
import kotlin.random.Random
import org.edgevit.core.RgbImage
import org.edgevit.core.UnreadablePhoto
import org.edgevit.demo.Png
import org.edgevit.demo.TestBundle
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class PhotoReaderTest {
    // Both ways on the same Android: ImageDecoder, and what Android 8 has.
    private val readers = listOf(PhotoReader(level = 34), PhotoReader(level = 26))

    /** Left half red, right half blue. */
    private fun half(x: Int, width: Int): Int =
        if (x < width / 2) TestBundle.RED else TestBundle.BLUE

    private fun pixel(image: RgbImage, x: Int, y: Int): List<Int> {
        val at = RgbImage.BYTES_PER_PIXEL * (y * image.width + x)
        return (0..2).map { image.pixels[at + it].toInt() and 0xff }
    }

    @Test
    fun test_pixels_areExact_whenThePhotoIsAPng() {
        val random = Random(3)
        val expected = random.nextBytes(3 * 33 * 130)
        val bytes = Png.rgb(33, 130) { x, y ->
            (0..2).fold(0) { all, channel ->
                all shl 8 or (expected[3 * (33 * y + x) + channel].toInt() and 0xff)
            }
        }
        for (reader in readers) {
            val found = reader.decode(bytes)
            assertEquals(33, found.width)
            assertArrayEquals(expected, found.pixels)
        }
    }

    @Test
    fun test_photo_isTurnedUpright_whenItsExifSaysSo() {
        // 6: to be turned clockwise by 90°, so that what was left is above.
        val jpeg = ByteArrayOutputStream()
        val colours = IntArray(64 * 32) { Color.BLACK or half(it % 64, 64) }
        Bitmap.createBitmap(colours, 64, 32, Bitmap.Config.ARGB_8888)
            .compress(Bitmap.CompressFormat.JPEG, 95, jpeg)
        val bytes = withOrientation(jpeg.toByteArray(), 6)
        for (reader in readers) {
            val found = reader.decode(bytes)
            assertEquals(32 to 64, found.width to found.height)
            val (red, _, blue) = pixel(found, 16, 8)
            assertTrue("$red, $blue", red > 200 && blue < 60)
        }
    }

    @Test
    fun test_transparency_liesOverWhite_whenThePhotoHasSome() {
        for (reader in readers) {
            val found = reader.decode(Png.transparent(4, 4))
            assertEquals(listOf(255, 255, 255), pixel(found, 1, 1))
        }
    }

    @Test
    fun test_photo_isRefused_whenItIsNone() {
        val cut = Png.rgb(64, 32) { x, _ -> half(x, 64) }.copyOf(40)
        for (bytes in listOf(ByteArray(0), "no photo".toByteArray(), cut)) {
            for (reader in readers) {
                val error = assertThrows(UnreadablePhoto::class.java) { reader.decode(bytes) }
                assertTrue(error.message, "cannot be read" in error.message.orEmpty())
            }
        }
    }

    @Test
    fun test_photo_isDecodedSmaller_whenItHas100Megapixels() {
        val bytes = Png.black(12_000, 8_400)
        for (reader in readers) {
            val found = reader.decode(bytes)
            assertEquals(3000 to 2100, found.width to found.height)
        }
    }

    /** Adds an EXIF block with nothing but the orientation behind a JPEG's first marker. */
    private fun withOrientation(jpeg: ByteArray, orientation: Int): ByteArray {
        val exif = listOf(
            0xff, 0xe1, 0, 34, 'E'.code, 'x'.code, 'i'.code, 'f'.code, 0, 0,
            'M'.code, 'M'.code, 0, 42, 0, 0, 0, 8, // TIFF, big-endian, directory at 8
            0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, // one entry, a short
            0, 0, 0, 0, // no further directory
        )
        val block = ByteArray(exif.size) { exif[it].toByte() }
        return jpeg.copyOfRange(0, 2) + block + jpeg.copyOfRange(2, jpeg.size)
    }
}
