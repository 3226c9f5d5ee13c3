package org.edgevit.demo

import android.content.Context
import android.util.AttributeSet
import android.widget.FrameLayout

/** As large as its place allows, in the shape of the model's input. */
class AspectFrame @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    FrameLayout(context, attributes) {
    /** Width divided by height. */
    var ratio = 1f
        set(value) {
            if (value == field) return
            field = value
            requestLayout()
        }

    init {
        clipToOutline = true
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = MeasureSpec.getSize(widthMeasureSpec)
        val height = MeasureSpec.getSize(heightMeasureSpec)
        val isBounded = MeasureSpec.getMode(heightMeasureSpec) != MeasureSpec.UNSPECIFIED
        val fitted = if (isBounded) minOf(width, (height * ratio).toInt()) else width
        super.onMeasure(
            MeasureSpec.makeMeasureSpec(fitted, MeasureSpec.EXACTLY),
            MeasureSpec.makeMeasureSpec((fitted / ratio).toInt(), MeasureSpec.EXACTLY),
        )
    }
}
