package org.edgevit.demo

import android.app.Activity
import android.hardware.display.DisplayManager
import android.view.Display
import android.view.Surface

/** How the display is turned against the phone's natural position. */
object DisplayRotation {
    /** 0, 90, 180 or 270. */
    fun degrees(activity: Activity): Int =
        when (display(activity)?.rotation) {
            Surface.ROTATION_90 -> 90
            Surface.ROTATION_180 -> 180
            Surface.ROTATION_270 -> 270
            else -> 0
        }

    private fun display(activity: Activity): Display? =
        // A window that is not shown yet has none; it will be shown on the first one.
        activity.window.decorView.display
            ?: activity.getSystemService(DisplayManager::class.java)
                .getDisplay(Display.DEFAULT_DISPLAY)
}
