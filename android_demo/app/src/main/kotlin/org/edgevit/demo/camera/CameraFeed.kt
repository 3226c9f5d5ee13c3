package org.edgevit.demo.camera

import android.annotation.SuppressLint
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.ImageReader
import android.os.Handler
import android.view.Surface

/** Why there are no camera pictures. */
enum class CameraProblem { NONE, IN_USE, DISABLED, DISCONNECTED, BROKEN }

/**
 * The camera in use.
 *
 * @property sensorDegrees how far its pictures must be turned clockwise in the phone's natural
 *   position.
 */
class CameraFacts(
    val id: String,
    val size: PictureSize,
    val sensorDegrees: Int,
    val isFrontFacing: Boolean,
)

/** What a [CameraFeed] reports; everything on the worker thread. */
interface CameraListener {
    fun onCameraOpened(camera: CameraFacts)

    /** The picture's memory is the camera's again after the call. */
    fun onFrame(frame: CameraFrame)

    fun onCameraFailed(problem: CameraProblem)
}

/**
 * Pictures of the back camera, on a preview and as YUV.
 *
 * Everything happens on the worker thread, in order, so that no picture is closed while it is
 * looked at, and no camera is opened before the last one was closed. While the worker is busy,
 * pictures are dropped: [ImageReader.acquireLatestImage] takes the newest, older ones are lost.
 */
class CameraFeed(
    private val manager: CameraManager,
    private val worker: Handler,
    private val listener: CameraListener,
) {
    private var device: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var reader: ImageReader? = null
    private var preview: Surface? = null

    // Read from other threads too: what is still under way must not open a camera again.
    @Volatile private var isWanted = false

    /** Opens the camera; needs the permission. */
    fun start(texture: SurfaceTexture) {
        isWanted = true
        worker.post { open(texture) }
    }

    /** Closes the camera, after the picture that is being looked at. */
    fun stop() {
        isWanted = false
        worker.post { close() }
    }

    // The caller has asked for the permission; without it the system throws, which is handled.
    @SuppressLint("MissingPermission")
    private fun open(texture: SurfaceTexture) {
        if (!isWanted) return
        close()
        try {
            val camera = choose() ?: return fail(CameraProblem.NONE)
            texture.setDefaultBufferSize(camera.size.width, camera.size.height)
            preview = Surface(texture)
            reader = reader(camera)
            listener.onCameraOpened(camera)
            manager.openCamera(camera.id, deviceCallback, worker)
        } catch (error: CameraAccessException) {
            fail(problem(error))
        } catch (_: SecurityException) {
            fail(CameraProblem.DISABLED)
        } catch (_: IllegalArgumentException) {
            // The camera went away between being listed and being opened.
            fail(CameraProblem.DISCONNECTED)
        }
    }

    private fun choose(): CameraFacts? {
        val cameras = manager.cameraIdList.mapNotNull { describe(it) }
        return cameras.firstOrNull { !it.isFrontFacing } ?: cameras.firstOrNull()
    }

    private fun describe(id: String): CameraFacts? {
        val facts = manager.getCameraCharacteristics(id)
        val map = facts.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP) ?: return null
        val sizes = map.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
        val size = CameraChoice.size(sizes.map { PictureSize(it.width, it.height) }) ?: return null
        val facing = facts.get(CameraCharacteristics.LENS_FACING)
        return CameraFacts(
            id = id,
            size = size,
            sensorDegrees = facts.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0,
            isFrontFacing = facing == CameraCharacteristics.LENS_FACING_FRONT,
        )
    }

    private fun reader(camera: CameraFacts): ImageReader {
        val size = camera.size
        // Two: one is looked at while the camera fills the other.
        val reader = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 2)
        reader.setOnImageAvailableListener({ source ->
            // Null if a later picture was taken in its place already.
            source.acquireLatestImage()?.use { image ->
                if (isWanted) listener.onFrame(CameraFrame(image, camera))
            }
        }, worker)
        return reader
    }

    private val deviceCallback = object : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (!isWanted) return camera.close()
            device = camera
            try {
                startSession(camera)
            } catch (error: CameraAccessException) {
                fail(problem(error))
            } catch (_: IllegalStateException) {
                fail(CameraProblem.DISCONNECTED)
            } catch (_: IllegalArgumentException) {
                // The preview's surface went away meanwhile.
                fail(CameraProblem.BROKEN)
            }
        }

        override fun onDisconnected(camera: CameraDevice) {
            camera.close()
            fail(CameraProblem.DISCONNECTED)
        }

        override fun onError(camera: CameraDevice, error: Int) {
            camera.close()
            fail(
                when (error) {
                    ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> CameraProblem.IN_USE
                    ERROR_CAMERA_DISABLED -> CameraProblem.DISABLED
                    else -> CameraProblem.BROKEN
                },
            )
        }
    }

    // Its successor exists from API level 28 on; this one works on every level.
    @Suppress("DEPRECATION")
    private fun startSession(camera: CameraDevice) {
        val targets = listOfNotNull(preview, reader?.surface)
        camera.createCaptureSession(targets, SessionCallback(camera, targets), worker)
    }

    private inner class SessionCallback(
        private val camera: CameraDevice,
        private val targets: List<Surface>,
    ) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(configured: CameraCaptureSession) {
            if (camera !== device) return
            session = configured
            try {
                val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                targets.forEach { request.addTarget(it) }
                val autofocus = CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE
                request.set(CaptureRequest.CONTROL_AF_MODE, autofocus)
                configured.setRepeatingRequest(request.build(), null, worker)
            } catch (error: CameraAccessException) {
                fail(problem(error))
            } catch (_: IllegalStateException) {
                fail(CameraProblem.DISCONNECTED)
            }
        }

        override fun onConfigureFailed(configured: CameraCaptureSession) =
            fail(CameraProblem.BROKEN)
    }

    private fun problem(error: CameraAccessException): CameraProblem =
        when (error.reason) {
            CameraAccessException.CAMERA_DISABLED -> CameraProblem.DISABLED
            CameraAccessException.CAMERA_DISCONNECTED -> CameraProblem.DISCONNECTED
            CameraAccessException.CAMERA_IN_USE,
            CameraAccessException.MAX_CAMERAS_IN_USE -> CameraProblem.IN_USE
            else -> CameraProblem.BROKEN
        }

    private fun fail(problem: CameraProblem) {
        close()
        if (isWanted) listener.onCameraFailed(problem)
        isWanted = false
    }

    private fun close() {
        session?.close()
        device?.close()
        reader?.close()
        preview?.release()
        session = null
        device = null
        reader = null
        preview = null
    }
}
