package org.edgevit.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.view.View
import java.io.File
import org.edgevit.demo.camera.CameraPreview
import org.edgevit.demo.camera.addCamera
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
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
class MainActivityTest {
    private val app = application()
    private val controller: ActivityController<MainActivity> =
        Robolectric.buildActivity(MainActivity::class.java)
    private val activity: MainActivity get() = controller.get()

    private fun photo(bytes: ByteArray, name: String = "photo"): Uri {
        val file = File(app.cacheDir, name).apply { writeBytes(bytes) }
        return Uri.fromFile(file)
    }

    private fun pick(uri: Uri?) {
        activity.click(R.id.photo)
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.intent.action)
        val result = if (uri == null) Activity.RESULT_CANCELED else Activity.RESULT_OK
        shadowOf(activity).receiveResult(asked.intent, result, Intent().setData(uri))
        shadowOf(activity.mainLooper).idle()
    }

    private fun answerPermission(grant: Boolean, canAskAgain: Boolean = true) {
        val camera = Manifest.permission.CAMERA
        shadowOf(app.packageManager)
            .setShouldShowRequestPermissionRationale(camera, canAskAgain)
        if (grant) shadowOf(app).grantPermissions(camera)
        val granted =
            if (grant) PackageManager.PERMISSION_GRANTED else PackageManager.PERMISSION_DENIED
        activity.onRequestPermissionsResult(2, arrayOf(camera), intArrayOf(granted))
        shadowOf(activity.mainLooper).idle()
    }

    @Test
    fun test_model_isNamed_whenTheActivityStarts() {
        controller.setup()
        assertEquals("colours.tflite.int8 · 32×32 · 3 labels", activity.text(R.id.subtitle))
        assertFalse(activity.isShown(R.id.notice))
        assertTrue(activity.findViewById<View>(R.id.benchmark).isEnabled)
    }

    @Test
    fun test_message_namesTheRemedy_whenNoModelIsInstalled() {
        app.bundle.delete("model.properties")
        controller.setup()
        val message = activity.text(R.id.notice_text)
        assertTrue(message, message.startsWith("No model is installed: model.properties is"))
        assertTrue(message, "edgevit android install BUNDLE" in message)
        assertFalse(activity.isShown(R.id.notice_action))
        assertFalse(activity.isShown(R.id.busy))
    }

    @Test
    fun test_message_isShown_whenTheModelIsAnother() {
        app.bundle.write("model.tflite", TestBundle.MODEL.copyOf().also { it[20] = 1 })
        controller.setup()
        assertTrue("was changed" in activity.text(R.id.notice_text))
    }

    @Test
    fun test_pickerWorks_whenTheCameraIsDenied() {
        controller.setup().visible()
        answerPermission(grant = false)
        assertTrue("Photos can still be picked" in activity.text(R.id.notice_text))
        assertEquals("Allow the camera", activity.text(R.id.notice_action))
        pick(photo(Png.plain(60, 40, TestBundle.GREEN)))
        assertFalse(activity.isShown(R.id.notice))
        assertEquals("green, 100.0 percent", row(R.id.row1))
    }

    @Test
    fun test_settingsAreOpened_whenAndroidAsksNoMore() {
        controller.setup().visible()
        answerPermission(grant = false, canAskAgain = false)
        assertEquals("Open settings", activity.text(R.id.notice_action))
        activity.click(R.id.notice_action)
        val started = generateSequence { shadowOf(activity).nextStartedActivity }.map { it.action }
        assertTrue(Settings.ACTION_APPLICATION_DETAILS_SETTINGS in started)
    }

    @Test
    fun test_message_goesAway_whenTheCameraIsAllowedInTheSettings() {
        controller.setup().visible()
        answerPermission(grant = false)
        controller.pause()
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        controller.resume()
        assertFalse(activity.isShown(R.id.notice))
    }

    @Test
    fun test_questionIsAskedOnce_whenTheScreenIsTurned() {
        controller.setup().visible()
        assertEquals(listOf(Manifest.permission.CAMERA), lastAsked())
        controller.recreate()
        assertNull(lastAsked())
    }

    @Test
    fun test_times_areShownApart_whenAPhotoWasPicked() {
        controller.setup()
        pick(photo(Png.plain(60, 40, TestBundle.BLUE)))
        assertEquals("blue, 100.0 percent", row(R.id.row1))
        assertTrue(activity.text(R.id.preprocessing).endsWith(" ms"))
        assertTrue(activity.text(R.id.inference).endsWith(" ms"))
        assertTrue(activity.isShown(R.id.photo_view))
        assertFalse(activity.isShown(R.id.preview))
    }

    @Test
    fun test_message_isShown_whenThePhotoCannotBeDecoded() {
        controller.setup()
        for (bytes in listOf(ByteArray(0), "no photo".toByteArray())) {
            pick(photo(bytes, "broken${bytes.size}"))
            val message = activity.text(R.id.notice_text)
            assertTrue(message, "cannot be read" in message)
            assertEquals("Pick another photo", activity.text(R.id.notice_action))
        }
    }

    @Test
    fun test_nothingChanges_whenThePickerIsLeft() {
        controller.setup()
        pick(null)
        assertFalse(activity.isShown(R.id.photo_view))
    }

    @Test
    fun test_photoStays_whenTheScreenIsTurned() {
        controller.setup()
        pick(photo(Png.plain(60, 40, TestBundle.BLUE)))
        val opened = app.factory.opened.size
        controller.recreate()
        assertEquals("blue, 100.0 percent", row(R.id.row1))
        assertEquals("the model is not opened again", opened, app.factory.opened.size)
    }

    @Test
    fun test_photoIsReadAgain_whenTheAppWasEndedMeanwhile() {
        controller.setup()
        pick(photo(Png.plain(60, 40, TestBundle.BLUE)))
        val saved = Bundle()
        controller.saveInstanceState(saved).pause().stop().destroy()
        val second = Robolectric.buildActivity(MainActivity::class.java).setup(saved).get()
        assertTrue(second.isShown(R.id.photo_view))
        assertEquals("blue", second.findViewById<View>(R.id.row1).contentDescription
            .toString().substringBefore(','))
    }

    @Test
    fun test_resultOfTheFirstPhoto_isNotShown_whenASecondWasPickedMeanwhile() {
        controller.setup()
        app.worker.isHeld = true
        for (bytes in listOf(ByteArray(0), Png.plain(60, 40, TestBundle.RED))) {
            val intent = Intent("pick ${bytes.size}")
            activity.startActivityForResult(intent, 1)
            val picked = Intent().setData(photo(bytes, "photo${bytes.size}"))
            shadowOf(activity).receiveResult(intent, Activity.RESULT_OK, picked)
        }
        app.worker.runAll()
        assertEquals("red, 100.0 percent", row(R.id.row1))
        assertFalse(activity.isShown(R.id.notice))
    }

    @Test
    fun test_cameraIsTriedAgain_whenItWasDisconnected() {
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        val manager = app.getSystemService(CameraManager::class.java)
        addCamera(manager, "0", CameraCharacteristics.LENS_FACING_BACK, 90)
        controller.setup()
        val preview = activity.findViewById<CameraPreview>(R.id.preview)
        preview.onSurfaceTextureAvailable(SurfaceTexture(0), 300, 300)
        shadowOf(activity.mainLooper).idle()
        assertFalse(activity.isShown(R.id.notice))
        shadowOf(manager).triggerDisconnect()
        shadowOf(activity.mainLooper).idle()
        assertTrue("was disconnected" in activity.text(R.id.notice_text))
        activity.click(R.id.notice_action)
        assertFalse(activity.isShown(R.id.notice))
        assertEquals(90, preview.camera?.sensorDegrees)
    }

    @Test
    fun test_selfTest_passes_whenTheAnswersAreTheExpected() {
        controller.setup()
        activity.click(R.id.self_test)
        val text = activity.text(R.id.notice_text)
        assertTrue(text, text.startsWith("Self-test passed"))
        assertEquals(3, text.lines().size)
    }

    @Test
    fun test_selfTest_fails_whenAnAnswerIsAnother() {
        app.bundle.writeGolden(best = listOf("1,0,2", "2,0,1"))
        controller.setup()
        activity.click(R.id.self_test)
        val text = activity.text(R.id.notice_text)
        assertTrue(text, text.startsWith("Self-test failed"))
        assertTrue(text, "instead of green" in text)
    }

    @Test
    fun test_selfTest_saysSo_whenItsPhotosAreMissing() {
        app.bundle.delete("golden/expected.properties")
        controller.setup()
        activity.click(R.id.self_test)
        assertTrue("golden/expected.properties is missing" in activity.text(R.id.notice_text))
    }

    private fun row(id: Int) =
        activity.findViewById<View>(id).contentDescription?.toString()
            ?: "no result: ${activity.text(R.id.notice_text)}"

    private fun lastAsked(): List<String>? =
        shadowOf(activity).lastRequestedPermission?.requestedPermissions?.toList()
}
