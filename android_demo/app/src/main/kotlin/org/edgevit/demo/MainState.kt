package org.edgevit.demo

import org.edgevit.core.ModelProperties
import org.edgevit.core.RgbImage
import org.edgevit.demo.camera.CameraProblem
import org.edgevit.demo.model.Recognition
import org.edgevit.demo.model.SelfTestReport

/** Where pictures come from. */
enum class Source { CAMERA, PHOTO }

/** What the user must know. */
sealed interface Notice {
    /** There is nothing to classify with; the message names the remedy. */
    data class ModelUnusable(val message: String) : Notice

    /** @property canAsk false if Android no longer shows the question, only its settings help. */
    data class PermissionDenied(val canAsk: Boolean) : Notice

    data class CameraFailed(val problem: CameraProblem) : Notice

    data class PhotoUnreadable(val message: String) : Notice

    data class SelfTested(val report: SelfTestReport) : Notice

    /** Anything else, such as a model that returns no numbers. */
    data class Failed(val message: String) : Notice
}

/**
 * Everything that the main screen shows.
 *
 * @property model `null` until it is open.
 * @property isBusy while a photo is read or the self-test runs.
 * @property recognition `null` until there is one.
 * @property photo the picked photo, as far as the model sees it.
 */
data class MainState(
    val model: ModelProperties? = null,
    val source: Source = Source.CAMERA,
    val isBusy: Boolean = false,
    val notice: Notice? = null,
    val recognition: Recognition? = null,
    val photo: RgbImage? = null,
) {
    /** True if camera pictures are wanted; the permission and the screen are another matter. */
    val wantsCamera: Boolean
        get() = model != null && source == Source.CAMERA && !isBusy &&
            notice !is Notice.PermissionDenied && notice !is Notice.CameraFailed
}
