package org.edgevit.core

import java.nio.ByteBuffer
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Every way from a camera or a photo to the model's input, against Python's bytes. */
class PixelsTest {
    @Test
    fun `fit equals Pillow to the byte`() {
        for (case in Golden.table("preprocessing", least = 100)) {
            val image = Drawn.image(case.text("source"), case.int("width"), case.int("height"))
            val preprocessing = Preprocessing(
                case.int("to_width"),
                case.int("to_height"),
                case.text("mode"),
                case.text("filter"),
            )
            val fitted = preprocessing.fit(image)
            assertEquals(case.name, case.int("to_width"), fitted.width)
            assertEquals(case.name, case.int("to_height"), fitted.height)
            case.assertBytes("result", fitted.pixels)
        }
    }

    @Test
    fun `camera pictures equal Pillow for all strides and turns`() {
        for (case in Golden.table("camera", least = 40)) {
            val planes = ByteBuffer.wrap(case.bytes("planes"))
            val (y, u, v) = listOf("y", "u", "v").map { plane(case, it, planes) }
            val rgb = Yuv.toRgb(case.int("width"), case.int("height"), y, u, v)
            case.assertBytes("rgb", rgb.pixels)
            val upright = Rotation.clockwise(rgb, case.int("degrees"))
            val preprocessing = Preprocessing(width = 14, height = 12, case.text("mode"))
            val fitted = preprocessing.fit(upright)
            case.assertBytes("result", fitted.pixels)
        }
    }

    private fun plane(case: Case, name: String, all: ByteBuffer): YuvPlane {
        val view = all.duplicate()
        view.position(case.int("${name}_at"))
        view.limit(view.position() + case.int("${name}_size"))
        val bytes = view.slice()
        // Someone may have read from the buffer before.
        bytes.position(bytes.limit() / 2)
        return YuvPlane(bytes, case.int("${name}_row"), case.int("${name}_pixel"))
    }

    @Test
    fun `every colour of a camera equals Pillow`() {
        val side = 512
        val y = ByteBuffer.wrap(Drawn.noise(side * side, 40))
        val u = ByteBuffer.wrap(ByteArray(256 * 256) { it.toByte() })
        val v = ByteBuffer.wrap(ByteArray(256 * 256) { (it / 256).toByte() })
        val luma = YuvPlane(y, side, 1)
        val rgb = Yuv.toRgb(side, side, luma, YuvPlane(u, 256, 1), YuvPlane(v, 256, 1))
        colours("every-chroma").assertBytes("result", rgb.pixels)
    }

    @Test
    fun `every transparency over white equals Pillow`() {
        val argb = IntArray(256 * 256) {
            val value = it % 256
            (it / 256 shl 24) or (value shl 16) or (255 - value shl 8) or (value xor 85)
        }
        colours("every-alpha").assertBytes("result", RgbImage.fromArgb(256, 256, argb).pixels)
    }

    private fun colours(name: String): Case =
        Golden.table("colours", least = 2).single { it.name == name }

    @Test
    fun `turns equal Pillow for all degrees and EXIF orientations`() {
        for (case in Golden.table("rotation", least = 42)) {
            val image = Drawn.image(case.text("source"), case.int("width"), case.int("height"))
            val value = case.int("value")
            val turned = when (case.text("kind")) {
                "degrees" -> Rotation.clockwise(image, value)
                else -> Rotation.applyExif(image, value)
            }
            assertEquals(case.name, case.int("to_width"), turned.width)
            assertEquals(case.name, case.int("to_height"), turned.height)
            case.assertBytes("result", turned.pixels)
        }
    }

    @Test
    fun `the sensor's turn follows the display`() {
        // Most phones: back sensor at 90°, front sensor at 270°.
        val displays = intArrayOf(0, 90, 180, 270)
        val back = displays.map { Rotation.degreesToUpright(90, it, frontFacing = false) }
        val front = displays.map { Rotation.degreesToUpright(270, it, frontFacing = true) }
        assertEquals(listOf(90, 0, 270, 180), back)
        assertEquals(listOf(270, 0, 90, 180), front)
    }

    @Test
    fun `odd turns are refused`() {
        failure<IllegalArgumentException> { Rotation.clockwise(Drawn.image("checks", 2, 2), 45) }
        failure<IllegalArgumentException> { Rotation.degreesToUpright(90, 30, frontFacing = false) }
    }

    @Test
    fun `a plane that is too short is refused before it is read`() {
        val full = YuvPlane(ByteBuffer.allocate(16), 4, 1)
        val chroma = YuvPlane(ByteBuffer.allocate(4), 2, 1)
        Yuv.toRgb(4, 4, full, chroma, chroma)
        val short = YuvPlane(ByteBuffer.allocate(3), 2, 1)
        val error = failure<IllegalArgumentException> { Yuv.toRgb(4, 4, full, chroma, short) }
        assertEquals("the V plane has 3 bytes, its strides need 4", error.message)
        val narrow = YuvPlane(ByteBuffer.allocate(16), 3, 1)
        failure<IllegalArgumentException> { Yuv.toRgb(4, 4, narrow, chroma, chroma) }
    }

    @Test
    fun `reading leaves the camera's buffers alone`() {
        val y = ByteBuffer.allocateDirect(4)
        val u = ByteBuffer.allocateDirect(1)
        y.position(3)
        Yuv.toRgb(2, 2, YuvPlane(y, 2, 1), YuvPlane(u, 1, 1), YuvPlane(u, 1, 1))
        assertEquals(3, y.position())
    }

    @Test
    fun `a preprocessing of unknown words is refused`() {
        val mode = failure<ModelMismatch> { Preprocessing(8, 8, "letterbox") }
        assertTrue(mode.message!!.contains("letterbox"))
        val filter = failure<ModelMismatch> { Preprocessing(8, 8, "crop", "lanczos") }
        assertTrue(filter.message!!.contains("lanczos"))
        failure<ModelMismatch> { Preprocessing(0, 8) }
        failure<ModelMismatch> { Preprocessing(8, 4097) }
    }

    @Test
    fun `a picture knows its size`() {
        failure<IllegalArgumentException> { RgbImage(2, 2, ByteArray(11)) }
        failure<IllegalArgumentException> { RgbImage(0, 2, ByteArray(0)) }
        val image = RgbImage.fromArgb(1, 1, intArrayOf(0xFF010203.toInt()))
        assertArrayEquals(byteArrayOf(1, 2, 3), image.pixels)
    }

    @Test
    fun `large photos are subsampled and small ones are not`() {
        assertEquals(1, Decoding.sampleSize(1, 1))
        assertEquals(1, Decoding.sampleSize(4000, 4000))
        assertEquals(2, Decoding.sampleSize(4001, 4000))
        assertEquals(4, Decoding.sampleSize(12000, 9000)) // 108 megapixels
        assertEquals(4, Decoding.sampleSize(16320, 12240)) // 200 megapixels
        assertEquals(8, Decoding.sampleSize(31622, 31622))
        assertEquals(8, Decoding.sampleSize(100_000_000, 1))
    }

    @Test
    fun `a photo of an impossible size is refused`() {
        val error = failure<UnreadablePhoto> { Decoding.sampleSize(65535, 65535) }
        assertTrue(error.message!!.contains("65535×65535"))
        failure<UnreadablePhoto> { Decoding.sampleSize(Int.MAX_VALUE, Int.MAX_VALUE) }
        // What BitmapFactory says of a file that is no photo.
        failure<UnreadablePhoto> { Decoding.sampleSize(-1, -1) }
    }
}
