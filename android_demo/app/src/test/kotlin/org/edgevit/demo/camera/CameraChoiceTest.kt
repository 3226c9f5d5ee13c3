package org.edgevit.demo.camera

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class CameraChoiceTest {
    private fun chosen(vararg sizes: Pair<Int, Int>) =
        CameraChoice.size(sizes.map { PictureSize(it.first, it.second) })

    @Test
    fun test_size_is640x480_whenTheCameraHasIt() {
        val size = chosen(4000 to 3000, 480 to 640, 640 to 480, 320 to 240)
        assertEquals(PictureSize(640, 480), size)
    }

    @Test
    fun test_size_isTheNearest_whenTheCameraHasOthers() {
        assertEquals(PictureSize(720, 480), chosen(1920 to 1080, 720 to 480, 176 to 144))
    }

    @Test
    fun test_size_isNone_whenThereAreNone() {
        assertNull(chosen())
    }

    private fun transform(view: Pair<Int, Int>, sensor: Int, display: Int, fill: Boolean) =
        PreviewTransform.of(
            view.first,
            view.second,
            PictureSize(640, 480),
            sensor,
            display,
            fill,
        )

    @Test
    fun test_preview_isNotStretched_whenTheViewIsSquare() {
        // Upright the picture is 480 wide and 640 high: cut above and below.
        assertEquals(
            PreviewTransform(1f, 4 / 3f, 0f),
            transform(300 to 300, sensor = 90, display = 0, fill = true),
        )
    }

    @Test
    fun test_preview_isWhole_whenItShallNotFill() {
        assertEquals(
            PreviewTransform(0.75f, 1f, 0f),
            transform(300 to 300, sensor = 90, display = 0, fill = false),
        )
    }

    @Test
    fun test_preview_isTurnedBack_whenTheDisplayIsTurned() {
        // Stretched to 600×450 the upright picture was 450 wide; turned it shows 600×450 again.
        assertEquals(
            PreviewTransform(450 / 600f, 600 / 450f, -90f),
            transform(600 to 450, sensor = 90, display = 90, fill = true),
        )
    }

    @Test
    fun test_preview_isLeftAlone_whenSensorAndViewAgree() {
        assertEquals(
            PreviewTransform(1f, 1f, 0f),
            transform(640 to 480, sensor = 0, display = 0, fill = true),
        )
    }
}
