package org.edgevit.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Color
import android.net.Uri
import android.view.View
import android.widget.TextView
import java.io.File
import org.edgevit.demo.bench.BenchmarkActivity
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** The screens as drawn: nothing is cut off, and the theme is the phone's. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = TestApplication::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    private fun main(): Activity {
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        shadowOf(activity).grantPermissions(Manifest.permission.CAMERA)
        return activity
    }

    private fun mainWithPhoto(): Activity {
        val activity = main()
        val picture = Png.rgb(640, 480) { x, y ->
            val share = (x + y) / 1120f
            val (red, green, blue) = listOf(230 to 30, 120 to 60, 40 to 160).map { (from, to) ->
                (from + share * (to - from)).toInt()
            }
            red shl 16 or (green shl 8) or blue
        }
        val file = File(application().cacheDir, "photo").apply { writeBytes(picture) }
        activity.click(R.id.photo)
        val asked = shadowOf(activity).nextStartedActivityForResult
        val picked = Intent().setData(Uri.fromFile(file))
        shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, picked)
        shadowOf(activity.mainLooper).idle()
        return activity
    }

    private fun benchmark(): Activity {
        val activity = Robolectric.buildActivity(BenchmarkActivity::class.java).setup().get()
        activity.click(R.id.start)
        return activity
    }

    private fun checkThatNothingIsCutOff(activity: Activity) {
        shadowOf(activity.mainLooper).idle()
        val root = activity.window.decorView
        for (view in texts(root)) {
            val left = IntArray(2).also(view::getLocationInWindow)[0]
            val right = left + view.width
            assertTrue("'${view.text}' from $left to $right", left >= 0 && right <= root.width)
            assertEquals("lines of '${view.text}' that are cut off", 0, cutOff(view))
        }
        for (id in listOf(R.id.camera, R.id.photo, R.id.self_test, R.id.benchmark)) {
            val view = activity.findViewById<View>(id) ?: continue
            val least = (48 * activity.resources.displayMetrics.density).toInt()
            assertTrue("a target of ${view.height} px, at least $least", view.height >= least)
        }
    }

    /** How many lines of a text end in an ellipsis or lie below its view's edge. */
    private fun cutOff(view: TextView): Int {
        val layout = view.layout ?: return 0
        val room = view.height - view.totalPaddingTop - view.totalPaddingBottom
        return (0 until layout.lineCount).count {
            layout.getEllipsisCount(it) > 0 || layout.getLineTop(it) >= room.coerceAtLeast(1)
        }
    }

    private fun brightness(bitmap: Bitmap): Float =
        Color.luminance(bitmap.getPixel(bitmap.width / 2, bitmap.height - 4))

    @Test
    @Config(qualifiers = "w411dp-h891dp-xhdpi")
    fun test_mainScreen_isComplete_onAPhone() {
        val activity = mainWithPhoto()
        checkThatNothingIsCutOff(activity)
        assertTrue(brightness(activity.draw("main")) > 0.8)
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-night-xhdpi")
    fun test_mainScreen_isDark_atNight() {
        assertTrue(brightness(mainWithPhoto().draw("main_night")) < 0.1)
    }

    @Test
    @Config(qualifiers = "w891dp-h411dp-land-xhdpi")
    fun test_mainScreen_isComplete_onItsSide() {
        val activity = mainWithPhoto()
        checkThatNothingIsCutOff(activity)
        activity.draw("main_land")
    }

    @Test
    @Config(qualifiers = "w320dp-h533dp-hdpi")
    fun test_mainScreen_isComplete_onASmallPhoneWithLargeText() {
        RuntimeEnvironment.setFontScale(1.3f)
        val activity = mainWithPhoto()
        checkThatNothingIsCutOff(activity)
        activity.draw("main_small")
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-xhdpi")
    fun test_messages_areComplete_onAPhone() {
        application().bundle.delete("model.tflite")
        val activity = main()
        checkThatNothingIsCutOff(activity)
        activity.draw("main_no_model")
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-xhdpi")
    fun test_selfTest_isComplete_onAPhone() {
        val activity = main()
        activity.click(R.id.self_test)
        activity.draw("main_self_test")
        checkThatNothingIsCutOff(activity)
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-night-xhdpi")
    fun test_deniedCamera_isComplete_onAPhone() {
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        val camera = arrayOf(Manifest.permission.CAMERA)
        activity.onRequestPermissionsResult(2, camera, intArrayOf(-1))
        checkThatNothingIsCutOff(activity)
        activity.draw("main_denied_night")
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-xhdpi")
    fun test_benchmark_isComplete_onAPhone() {
        val activity = benchmark()
        checkThatNothingIsCutOff(activity)
        activity.draw("benchmark")
    }

    @Test
    @Config(qualifiers = "w320dp-h533dp-night-hdpi")
    fun test_benchmark_isComplete_onASmallPhoneWithLargeText() {
        RuntimeEnvironment.setFontScale(1.3f)
        val activity = benchmark()
        activity.draw("benchmark_small_night")
        checkThatNothingIsCutOff(activity)
    }
}
