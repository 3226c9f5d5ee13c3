package org.edgevit.demo.bench

import android.content.Intent
import android.net.Uri
import android.provider.OpenableColumns
import android.view.View
import android.view.WindowManager
import android.widget.Button
import android.widget.Spinner
import android.widget.TextView
import java.io.FileInputStream
import java.io.FileNotFoundException
import org.edgevit.core.Json
import org.edgevit.demo.R
import org.edgevit.demo.TestApplication
import org.edgevit.demo.application
import org.edgevit.demo.click
import org.edgevit.demo.isShown
import org.edgevit.demo.text
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = TestApplication::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class BenchmarkActivityTest {
    private val app = application()
    private val controller: ActivityController<BenchmarkActivity> =
        Robolectric.buildActivity(BenchmarkActivity::class.java)
    private val activity: BenchmarkActivity get() = controller.get()

    private fun p50(row: Int): String =
        activity.findViewById<View>(row).findViewById<TextView>(R.id.p50).text.toString()

    private val keepsScreenOn: Boolean
        get() = activity.window.attributes.flags and
            WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON != 0

    private fun choose(id: Int, at: Int) {
        activity.findViewById<Spinner>(id).setSelection(at)
        shadowOf(activity.mainLooper).idle()
    }

    @Test
    fun test_times_areShown_whenABenchmarkHasRun() {
        controller.setup()
        assertEquals("colours.tflite.int8 · int8 · 0.0 MB", activity.text(R.id.subtitle))
        activity.click(R.id.start)
        assertEquals("5.00", p50(R.id.inference_row))
        assertTrue(activity.isShown(R.id.share))
        assertTrue("Quick: do not compare" in activity.text(R.id.notes))
        assertTrue("Thermal status: none" in activity.text(R.id.notes))
    }

    @Test
    fun test_settings_areThoseChosen_whenABenchmarkRuns() {
        controller.setup()
        choose(R.id.threads, 2)
        activity.click(R.id.start)
        assertEquals(4, app.factory.opened.last().settings.threads)
        assertEquals(1, activity.findViewById<Spinner>(R.id.accelerator).adapter.count)
    }

    @Test
    fun test_gpu_isOffered_whenTheAppHasIt() {
        app.factory.hasGpu = true
        controller.setup()
        assertEquals(2, activity.findViewById<Spinner>(R.id.accelerator).adapter.count)
    }

    @Test
    fun test_error_isShown_whenTheGpuIsWrong() {
        app.factory.hasGpu = true
        app.factory.gpuScores = floatArrayOf(0f, 1f, 0f)
        controller.setup()
        choose(R.id.accelerator, 1)
        activity.click(R.id.start)
        assertTrue("same answer for every photo" in activity.text(R.id.error))
        assertFalse(activity.isShown(R.id.results))
    }

    @Test
    fun test_benchmarkGoesOn_whenTheScreenIsTurnedMeanwhile() {
        controller.setup()
        app.worker.isHeld = true
        activity.click(R.id.start)
        val first = activity
        assertTrue(activity.isShown(R.id.progress) && keepsScreenOn)
        controller.recreate()
        assertNotSame(first, activity)
        assertTrue(activity.isShown(R.id.progress) && keepsScreenOn)
        assertEquals("Stop", activity.findViewById<Button>(R.id.start).text)
        app.worker.runAll()
        assertEquals("5.00", p50(R.id.inference_row))
        assertFalse(keepsScreenOn)
    }

    @Test
    fun test_benchmarkStops_whenTheAppIsLeft() {
        controller.setup()
        app.worker.isHeld = true
        activity.click(R.id.start)
        controller.pause().stop()
        app.worker.runAll()
        assertEquals("The benchmark was stopped", activity.text(R.id.error))
    }

    @Test
    fun test_times_areMarkedInvalid_whenThePhoneThrottled() {
        app.thermalStatus = 3
        controller.setup()
        activity.click(R.id.start)
        assertTrue("rose to severe: the times are not valid" in activity.text(R.id.notes))
    }

    @Test
    fun test_message_isShown_whenNoModelIsInstalled() {
        app.bundle.delete("model.tflite")
        controller.setup()
        assertTrue("model.tflite is missing" in activity.text(R.id.error))
        assertFalse(activity.findViewById<View>(R.id.start).isEnabled)
    }

    @Test
    fun test_result_isSharedAsADocument_whenAskedFor() {
        controller.setup()
        activity.click(R.id.start)
        activity.click(R.id.share)
        val chooser = shadowOf(activity).nextStartedActivity
        @Suppress("DEPRECATION")
        val sent = checkNotNull(chooser.getParcelableExtra<Intent>(Intent.EXTRA_INTENT))
        assertEquals(Intent.ACTION_SEND, sent.action)
        assertEquals("application/json", sent.type)
        @Suppress("DEPRECATION")
        val uri = checkNotNull(sent.getParcelableExtra<Uri>(Intent.EXTRA_STREAM))
        val document = Json.parse(read(uri)) as Map<*, *>
        assertEquals("edgevit.bench", document["kind"])
        assertEquals(1, (document["rows"] as List<*>).size)
        assertEquals("colours.tflite.int8.phone.json", name(uri))
    }

    @Test
    fun test_otherFiles_areNotHandedOut() {
        val provider = Robolectric.setupContentProvider(ResultProvider::class.java)
        for (name in listOf("../shared_prefs/a.json", "a.json", "")) {
            val uri = Uri.parse("content://org.edgevit.demo.results/${Uri.encode(name)}")
            assertThrows(FileNotFoundException::class.java) { provider.openFile(uri, "r") }
        }
    }

    private fun read(uri: Uri): String {
        val provider = Robolectric.setupContentProvider(ResultProvider::class.java)
        return provider.openFile(uri, "r").use { file ->
            FileInputStream(file.fileDescriptor).use { it.readBytes() }.toString(Charsets.UTF_8)
        }
    }

    private fun name(uri: Uri): String {
        val provider = Robolectric.setupContentProvider(ResultProvider::class.java)
        return provider.query(uri, null, null, null, null).use {
            it.moveToFirst()
            it.getString(it.getColumnIndexOrThrow(OpenableColumns.DISPLAY_NAME))
        }
    }
}
