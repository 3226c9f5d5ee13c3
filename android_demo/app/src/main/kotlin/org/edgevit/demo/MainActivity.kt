package org.edgevit.demo

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.hardware.camera2.CameraManager
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import org.edgevit.demo.bench.BenchmarkActivity
import org.edgevit.demo.camera.CameraFacts
import org.edgevit.demo.camera.CameraFeed
import org.edgevit.demo.camera.CameraFrame
import org.edgevit.demo.camera.CameraListener
import org.edgevit.demo.camera.CameraProblem
import org.edgevit.demo.model.SelfTest
import org.edgevit.demo.photo.PhotoReader

/** The live camera or a picked photo, and what the model says about it. */
class MainActivity : Activity(), CameraListener, DisplayManager.DisplayListener {
    private lateinit var presenter: MainPresenter
    private lateinit var views: MainViews
    private lateinit var feed: CameraFeed
    private lateinit var displays: DisplayManager
    private val photos = PhotoReader()
    private var photo: Uri? = null
    private var hasAsked = false
    private var isAsking = false
    private var isResumed = false
    private var isFeeding = false

    // Written by the screen's thread, read by the worker's.
    @Volatile private var displayDegrees = 0

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        hasAsked = savedInstanceState?.getBoolean(HAS_ASKED) ?: false
        displays = getSystemService(DisplayManager::class.java)
        views = MainViews(this)
        views.preview.onTextureChanged = ::onTextureChanged
        feed = CameraFeed(getSystemService(CameraManager::class.java), services.worker, this)
        connectButtons()
        val kept = lastNonConfigurationInstance as? Kept
        presenter = kept?.presenter ?: MainPresenter(services.engine).also { it.open() }
        photo = kept?.photo
        presenter.screen = ::render
        val saved = savedInstanceState?.getString(PHOTO)
        // The app was ended while it was away: the photo's pixels are gone, its place is known.
        if (kept == null && saved != null) show(Uri.parse(saved))
    }

    override fun onResume() {
        super.onResume()
        isResumed = true
        onDisplayChanged(display = 0)
        displays.registerDisplayListener(this, null)
        // It may have been allowed in Android's settings meanwhile.
        if (presenter.state.notice is Notice.PermissionDenied && isAllowed()) presenter.useCamera()
        render(presenter.state)
    }

    override fun onPause() {
        isResumed = false
        displays.unregisterDisplayListener(this)
        stopFeed()
        super.onPause()
    }

    override fun onDestroy() {
        presenter.screen = null
        super.onDestroy()
    }

    override fun onRetainNonConfigurationInstance(): Any = Kept(presenter, photo)

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putBoolean(HAS_ASKED, hasAsked)
        if (presenter.state.source == Source.PHOTO) outState.putString(PHOTO, photo?.toString())
    }

    override fun onRequestPermissionsResult(code: Int, names: Array<String>, grants: IntArray) {
        isAsking = false
        // The question was interrupted: nothing is granted or denied.
        if (grants.isEmpty()) return
        if (isAllowed()) presenter.useCamera() else denied()
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        val picked = data?.data
        if (requestCode == PICK && resultCode == RESULT_OK && picked != null) show(picked)
    }

    /** A turn by half a circle does not make a new activity. */
    override fun onDisplayChanged(display: Int) {
        displayDegrees = DisplayRotation.degrees(this)
        views.preview.displayDegrees = displayDegrees
    }

    override fun onDisplayAdded(display: Int) = Unit

    override fun onDisplayRemoved(display: Int) = Unit

    override fun onCameraOpened(camera: CameraFacts) = services.engine.deliver {
        views.preview.camera = camera
    }

    override fun onFrame(frame: CameraFrame) {
        presenter.onFrame { frame.upright(displayDegrees) }
    }

    override fun onCameraFailed(problem: CameraProblem) = presenter.onCameraFailed(problem)

    private fun connectButtons() {
        views.onClick(R.id.camera) { presenter.useCamera() }
        views.onClick(R.id.photo) { pick() }
        views.onClick(R.id.self_test) { selfTest() }
        views.onClick(R.id.benchmark) { startActivity(Intent(this, BenchmarkActivity::class.java)) }
        views.onClick(R.id.notice_action) { remedy() }
    }

    private fun render(state: MainState) {
        views.show(state)
        if (state.wantsCamera) startFeed() else stopFeed()
    }

    private fun onTextureChanged() {
        stopFeed()
        render(presenter.state)
    }

    private fun startFeed() {
        if (isFeeding || !isResumed) return
        if (isAllowed()) {
            val texture = views.preview.texture ?: return
            isFeeding = true
            feed.start(texture)
        } else if (!hasAsked) {
            ask()
        } else if (!isAsking) {
            denied()
        }
    }

    private fun stopFeed() {
        if (isFeeding) feed.stop()
        isFeeding = false
    }

    private fun isAllowed() =
        checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun ask() {
        hasAsked = true
        isAsking = true
        requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION)
    }

    private fun denied() {
        val canAsk = shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        presenter.onPermissionDenied(canAsk)
    }

    /** Does what the notice's button says. */
    private fun remedy() {
        when (val notice = presenter.state.notice) {
            is Notice.PermissionDenied -> if (notice.canAsk) ask() else openSettings()
            is Notice.CameraFailed -> presenter.useCamera()
            is Notice.PhotoUnreadable -> pick()
            else -> Unit
        }
    }

    private fun openSettings() {
        val app = Uri.fromParts("package", packageName, null)
        startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app))
    }

    private fun pick() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT)
            .addCategory(Intent.CATEGORY_OPENABLE)
            .setType("image/*")
        try {
            startActivityForResult(intent, PICK)
        } catch (_: ActivityNotFoundException) {
            presenter.onNoPicker(getString(R.string.no_picker))
        }
    }

    private fun show(picked: Uri) {
        photo = picked
        // Neither holds the activity: the photo may be read after the screen was turned.
        val resolver = applicationContext.contentResolver
        val reader = photos
        presenter.onPhotoPicked { reader.read(resolver, picked) }
    }

    private fun selfTest() {
        val assets = services.assets
        val reader = photos
        presenter.onSelfTest { classifier ->
            val golden = assets.golden(classifier.labels.size)
            SelfTest(golden, assets::goldenFile, reader::decode).run(classifier)
        }
    }

    /** What survives a turn of the screen. */
    private class Kept(val presenter: MainPresenter, val photo: Uri?)

    private companion object {
        const val PICK = 1
        const val PERMISSION = 2
        const val HAS_ASKED = "has_asked"
        const val PHOTO = "photo"
    }
}
