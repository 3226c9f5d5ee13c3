package org.edgevit.demo

import org.edgevit.core.ModelMismatch
import org.edgevit.core.RgbImage
import org.edgevit.core.UnreadablePhoto
import org.edgevit.demo.camera.CameraProblem
import org.edgevit.demo.model.Classifier
import org.edgevit.demo.model.Engine
import org.edgevit.demo.model.Recogniser
import org.edgevit.demo.model.Recognition
import org.edgevit.demo.model.RunSettings
import org.edgevit.demo.model.SelfTestReport
import org.edgevit.demo.model.readable
import org.edgevit.demo.photo.Pictures

/**
 * What the main screen does; it outlives the activity when the screen is turned.
 *
 * Called on the screen's thread, but for [onFrame].
 */
class MainPresenter(private val engine: Engine) {
    private val settings = RunSettings.DEFAULT

    // Results of what was asked for before the last change of the source are not shown.
    private var generation = 0

    var state = MainState()
        private set

    /** Shows each new state; `null` while there is no screen. */
    var screen: ((MainState) -> Unit)? = null
        set(value) {
            field = value
            value?.invoke(state)
        }

    /** Opens the model. */
    fun open() {
        engine.submit(settings, { it.model }) { result ->
            result.onSuccess { update(state.copy(model = it)) }
            result.onFailure { update(state.copy(notice = modelNotice(it))) }
        }
    }

    /** Takes pictures from the camera, again after it failed or was not allowed. */
    fun useCamera() {
        generation++
        val model = state.model
        update(MainState(model = model, notice = state.notice as? Notice.ModelUnusable))
    }

    /**
     * Classifies a camera picture; on the worker thread, and done when it returns.
     *
     * @param read converts the picture; part of the preprocessing.
     */
    fun onFrame(read: () -> RgbImage) {
        engine.workNow(settings, { Recogniser(it).recognise(read) }) { result ->
            if (state.wantsCamera) {
                // What the self-test found stays until it was seen; a passing failure does not.
                val notice = state.notice as? Notice.SelfTested
                result.onSuccess { update(state.copy(recognition = it, notice = notice)) }
                result.onFailure { update(state.copy(notice = modelNotice(it))) }
            }
        }
    }

    fun onCameraFailed(problem: CameraProblem) = engine.deliver {
        if (state.source == Source.CAMERA) {
            update(state.copy(notice = Notice.CameraFailed(problem), recognition = null))
        }
    }

    /** @param canAsk true if Android would show its question again. */
    fun onPermissionDenied(canAsk: Boolean) {
        if (state.source == Source.CAMERA) {
            update(state.copy(notice = Notice.PermissionDenied(canAsk), recognition = null))
        }
    }

    /**
     * Classifies a picked photo.
     *
     * @param read decodes it; called on the worker thread.
     */
    fun onPhotoPicked(read: () -> RgbImage) {
        val asked = ++generation
        val notice = state.notice as? Notice.ModelUnusable
        update(MainState(state.model, Source.PHOTO, isBusy = true, notice = notice))
        engine.submit(settings, { look(it, read()) }) { result ->
            if (asked == generation) {
                val now = state.copy(isBusy = false)
                result.onSuccess { update(it.into(now)) }
                result.onFailure { update(now.copy(notice = photoNotice(it))) }
            }
        }
    }

    fun onNoPicker(message: String) = update(state.copy(notice = Notice.Failed(message)))

    /** @param test asks the model about the bundled photos; called on the worker thread. */
    fun onSelfTest(test: (Classifier) -> SelfTestReport) {
        val asked = generation
        update(state.copy(isBusy = true, notice = null))
        engine.submit(settings, test) { result ->
            if (asked == generation) {
                val now = state.copy(isBusy = false)
                result.onSuccess { update(now.copy(notice = Notice.SelfTested(it))) }
                result.onFailure { update(now.copy(notice = photoNotice(it))) }
            }
        }
    }

    private fun look(classifier: Classifier, photo: RgbImage): LookedAt {
        val recognition = Recogniser(classifier).recognise { photo }
        return LookedAt(recognition, Pictures.preview(photo, classifier.model.preprocessing))
    }

    private fun modelNotice(error: Throwable): Notice =
        when (error) {
            is ModelMismatch -> Notice.ModelUnusable(readable(error))
            else -> Notice.Failed(readable(error))
        }

    private fun photoNotice(error: Throwable): Notice =
        when (error) {
            is UnreadablePhoto -> Notice.PhotoUnreadable(readable(error))
            else -> modelNotice(error)
        }

    private fun update(next: MainState) {
        state = next
        screen?.invoke(next)
    }

    private class LookedAt(
        private val recognition: Recognition,
        private val photo: RgbImage,
    ) {
        fun into(state: MainState) = state.copy(recognition = recognition, photo = photo)
    }
}
