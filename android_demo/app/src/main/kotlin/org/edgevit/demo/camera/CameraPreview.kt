package org.edgevit.demo.camera

import android.content.Context
import android.graphics.Matrix
import android.graphics.SurfaceTexture
import android.util.AttributeSet
import android.view.TextureView

/** Shows the camera's pictures upright and unstretched, cut as the model cuts them. */
class CameraPreview @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    TextureView(context, attributes), TextureView.SurfaceTextureListener {
    /** What the camera draws on; `null` while the view has no place on the screen. */
    var texture: SurfaceTexture? = null
        private set

    /** Called after [texture] changed. */
    var onTextureChanged: () -> Unit = {}

    /** True to fill the view, as a model's crop does; false to show the whole picture. */
    var fill = true
        set(value) {
            field = value
            transform()
        }

    var camera: CameraFacts? = null
        set(value) {
            field = value
            transform()
        }

    /** Display.getRotation() in degrees. */
    var displayDegrees = 0
        set(value) {
            field = value
            transform()
        }

    init {
        surfaceTextureListener = this
    }

    override fun onSurfaceTextureAvailable(surface: SurfaceTexture, width: Int, height: Int) {
        texture = surface
        transform()
        onTextureChanged()
    }

    override fun onSurfaceTextureSizeChanged(surface: SurfaceTexture, width: Int, height: Int) =
        transform()

    override fun onSurfaceTextureDestroyed(surface: SurfaceTexture): Boolean {
        texture = null
        onTextureChanged()
        return true
    }

    override fun onSurfaceTextureUpdated(surface: SurfaceTexture) = Unit

    private fun transform() {
        val camera = camera ?: return
        if (width == 0 || height == 0) return
        val change = PreviewTransform.of(
            width,
            height,
            camera.size,
            camera.sensorDegrees,
            displayDegrees,
            fill,
        )
        val matrix = Matrix()
        matrix.postScale(change.scaleX, change.scaleY, width / 2f, height / 2f)
        matrix.postRotate(change.degrees, width / 2f, height / 2f)
        setTransform(matrix)
    }
}
