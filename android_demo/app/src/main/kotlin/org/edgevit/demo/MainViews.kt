package org.edgevit.demo

import android.app.Activity
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.TextView
import org.edgevit.core.Preprocessing
import org.edgevit.core.RgbImage
import org.edgevit.core.Scored
import org.edgevit.demo.camera.CameraPreview
import org.edgevit.demo.camera.CameraProblem
import org.edgevit.demo.model.Recognition
import org.edgevit.demo.photo.Pictures

/** Shows a [MainState] on the main screen's views. */
class MainViews(private val activity: Activity) {
    val preview: CameraPreview = find(R.id.preview)

    private val subtitle: TextView = find(R.id.subtitle)
    private val stage: AspectFrame = find(R.id.stage)
    private val photo: ImageView = find(R.id.photo_view)
    private val busy: ProgressBar = find(R.id.busy)
    private val hint: TextView = find(R.id.hint)
    private val notice: View = find(R.id.notice)
    private val noticeText: TextView = find(R.id.notice_text)
    private val noticeAction: Button = find(R.id.notice_action)
    private val results: View = find(R.id.results)
    private val preprocessing: TextView = find(R.id.preprocessing)
    private val inference: TextView = find(R.id.inference)
    private val rows = listOf(R.id.row1, R.id.row2, R.id.row3, R.id.row4, R.id.row5).map {
        ResultRow(find(it))
    }
    private var shownPhoto: RgbImage? = null

    fun onClick(id: Int, action: () -> Unit) = find<View>(id).setOnClickListener { action() }

    fun show(state: MainState) {
        showModel(state)
        showPhoto(state)
        showNotice(state.notice)
        showRecognition(state.recognition)
        busy.visibility = visible(state.isBusy || state.model == null && state.notice == null)
        find<View>(R.id.camera).isSelected = state.source == Source.CAMERA
        find<View>(R.id.photo).isSelected = state.source == Source.PHOTO
        for (id in listOf(R.id.camera, R.id.photo, R.id.self_test, R.id.benchmark)) {
            find<View>(id).isEnabled = state.model != null && !state.isBusy
        }
    }

    private fun showModel(state: MainState) {
        val model = state.model
        if (model == null) {
            subtitle.setText(if (state.notice == null) R.string.opening else R.string.no_model)
            return
        }
        val shape = model.preprocessing
        val (width, height) = Pair(shape.width, shape.height)
        subtitle.text =
            activity.getString(R.string.model, model.name, width, height, model.labelCount)
        stage.ratio = shape.width.toFloat() / shape.height
        preview.fill = shape.resizeMode == Preprocessing.CROP
    }

    private fun showPhoto(state: MainState) {
        val isPhoto = state.source == Source.PHOTO
        preview.visibility = visible(!isPhoto)
        photo.visibility = visible(isPhoto)
        if (state.photo !== shownPhoto) {
            shownPhoto = state.photo
            photo.setImageBitmap(state.photo?.let(Pictures::bitmap))
        }
        hint.visibility = visible(isIdle(state))
        hint.setText(if (isPhoto) R.string.no_photo_yet else R.string.no_camera_yet)
        photo.contentDescription = state.recognition?.best?.firstOrNull()?.let {
            activity.getString(R.string.photo_of, it.label)
        }
    }

    private fun isIdle(state: MainState) =
        state.model != null && !state.isBusy && state.recognition == null && state.notice == null

    private fun showNotice(shown: Notice?) {
        notice.visibility = visible(shown != null)
        if (shown == null) return
        val background = if (isGood(shown)) R.drawable.notice_good else R.drawable.notice
        notice.setBackgroundResource(background)
        noticeText.text = text(shown)
        val action = action(shown)
        noticeAction.visibility = visible(action != null)
        action?.let { noticeAction.setText(it) }
    }

    private fun isGood(shown: Notice) = shown is Notice.SelfTested && shown.report.passed

    private fun text(shown: Notice): String =
        when (shown) {
            is Notice.ModelUnusable -> shown.message
            is Notice.PermissionDenied -> activity.getString(R.string.permission_denied)
            is Notice.CameraFailed -> activity.getString(cameraText(shown.problem))
            is Notice.PhotoUnreadable -> shown.message
            is Notice.Failed -> shown.message
            is Notice.SelfTested -> {
                val title =
                    if (isGood(shown)) R.string.self_test_passed else R.string.self_test_failed
                (listOf(activity.getString(title)) + shown.report.lines).joinToString("\n")
            }
        }

    private fun action(shown: Notice): Int? =
        when (shown) {
            is Notice.PermissionDenied ->
                if (shown.canAsk) R.string.allow_camera else R.string.open_settings
            is Notice.CameraFailed -> R.string.retry
            is Notice.PhotoUnreadable -> R.string.other_photo
            else -> null
        }

    private fun cameraText(problem: CameraProblem): Int =
        when (problem) {
            CameraProblem.NONE -> R.string.camera_none
            CameraProblem.IN_USE -> R.string.camera_in_use
            CameraProblem.DISABLED -> R.string.camera_disabled
            CameraProblem.DISCONNECTED -> R.string.camera_disconnected
            CameraProblem.BROKEN -> R.string.camera_broken
        }

    private fun showRecognition(recognition: Recognition?) {
        results.visibility = visible(recognition != null)
        if (recognition == null) return
        preprocessing.text = milliseconds(recognition.preprocessingNs)
        inference.text = milliseconds(recognition.inferenceNs)
        rows.forEachIndexed { index, row -> row.show(recognition.best.getOrNull(index)) }
    }

    private fun milliseconds(nanoseconds: Long): String =
        activity.getString(R.string.milliseconds, shortNumber(nanoseconds / NS_PER_MS))

    private fun visible(isVisible: Boolean) = if (isVisible) View.VISIBLE else View.GONE

    private fun <T : View> find(id: Int): T = activity.findViewById(id)

    private companion object {
        const val NS_PER_MS = 1e6
    }
}

/** A label, its score as a number and as a bar. */
private class ResultRow(private val row: View) {
    private val label: TextView = row.findViewById(R.id.label)
    private val score: TextView = row.findViewById(R.id.score)
    private val bar: ProgressBar = row.findViewById(R.id.bar)

    fun show(scored: Scored?) {
        row.visibility = if (scored == null) View.GONE else View.VISIBLE
        if (scored == null) return
        val percent = 100 * scored.score
        label.text = scored.label
        score.text = row.context.getString(R.string.percent, percent)
        bar.progress = (bar.max * scored.score).toInt()
        row.contentDescription = row.context.getString(R.string.result, scored.label, percent)
    }
}
