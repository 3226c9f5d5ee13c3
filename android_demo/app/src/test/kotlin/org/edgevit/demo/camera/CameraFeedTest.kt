package org.edgevit.demo.camera

import android.Manifest
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.hardware.camera2.params.StreamConfigurationMap
import android.os.Handler
import android.os.Looper
import android.util.Size
import org.edgevit.demo.TestApplication
import org.edgevit.demo.application
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.StreamConfigurationMapBuilder

/** Connects a camera that delivers pictures of 640×480 and 1920×1080. */
fun addCamera(manager: CameraManager, id: String, facing: Int, sensorDegrees: Int) {
    val map: StreamConfigurationMap = StreamConfigurationMapBuilder.newBuilder()
        .addOutputSize(ImageFormat.YUV_420_888, Size(1920, 1080))
        .addOutputSize(ImageFormat.YUV_420_888, Size(640, 480))
        .build()
    val facts = ShadowCameraCharacteristics.newCameraCharacteristics()
    shadowOf(facts).set(CameraCharacteristics.LENS_FACING, facing)
    shadowOf(facts).set(CameraCharacteristics.SENSOR_ORIENTATION, sensorDegrees)
    shadowOf(facts).set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, map)
    shadowOf(manager).addCamera(id, facts)
}

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = TestApplication::class)
class CameraFeedTest : CameraListener {
    private val app = application()
    private val manager = app.getSystemService(CameraManager::class.java)
    private val feed = CameraFeed(manager, Handler(Looper.getMainLooper()), this)
    private val opened = mutableListOf<CameraFacts>()
    private val problems = mutableListOf<CameraProblem>()

    override fun onCameraOpened(camera: CameraFacts) {
        opened += camera
    }

    override fun onFrame(frame: CameraFrame) = Unit

    override fun onCameraFailed(problem: CameraProblem) {
        problems += problem
    }

    @Before
    fun allow() = shadowOf(app).grantPermissions(Manifest.permission.CAMERA)

    private fun start() {
        feed.start(SurfaceTexture(0))
        shadowOf(Looper.getMainLooper()).idle()
    }

    @Test
    fun test_backCamera_isTaken_whenThereAreTwo() {
        addCamera(manager, "0", CameraCharacteristics.LENS_FACING_FRONT, 270)
        addCamera(manager, "1", CameraCharacteristics.LENS_FACING_BACK, 90)
        start()
        assertEquals("1", opened.single().id)
        assertEquals(PictureSize(640, 480), opened.single().size)
        assertEquals(90, opened.single().sensorDegrees)
        assertTrue(problems.isEmpty())
    }

    @Test
    fun test_problem_isReported_whenThereIsNoCamera() {
        start()
        assertEquals(listOf(CameraProblem.NONE), problems)
    }

    @Test
    fun test_problem_isReported_whenTheCameraIsDisconnected() {
        addCamera(manager, "0", CameraCharacteristics.LENS_FACING_BACK, 90)
        start()
        shadowOf(manager).triggerDisconnect()
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(listOf(CameraProblem.DISCONNECTED), problems)
    }

    @Test
    fun test_camera_isOpenedAgain_whenItIsRetried() {
        addCamera(manager, "0", CameraCharacteristics.LENS_FACING_BACK, 90)
        start()
        shadowOf(manager).triggerDisconnect()
        shadowOf(Looper.getMainLooper()).idle()
        start()
        assertEquals(2, opened.size)
        assertEquals(1, problems.size)
    }

    @Test
    fun test_nothingIsReported_whenTheFeedWasStopped() {
        addCamera(manager, "0", CameraCharacteristics.LENS_FACING_BACK, 90)
        start()
        feed.stop()
        shadowOf(manager).triggerDisconnect()
        shadowOf(Looper.getMainLooper()).idle()
        assertTrue(problems.isEmpty())
    }
}
