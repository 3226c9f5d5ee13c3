package org.edgevit.demo

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import java.io.File
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf

fun application(): TestApplication = RuntimeEnvironment.getApplication().test

fun Activity.text(id: Int): String = findViewById<TextView>(id).text.toString()

fun Activity.isShown(id: Int): Boolean = findViewById<View>(id).isShown

fun Activity.click(id: Int) {
    val view = findViewById<View>(id)
    check(view.isShown && view.isEnabled) {
        "${resources.getResourceEntryName(id)} cannot be clicked"
    }
    view.performClick()
    shadowOf(mainLooper).idle()
}

/** Every visible text below a view. */
fun texts(view: View): List<TextView> =
    when {
        view.visibility != View.VISIBLE -> emptyList()
        view is TextView -> listOf(view)
        view is ViewGroup -> (0 until view.childCount).flatMap { texts(view.getChildAt(it)) }
        else -> emptyList()
    }

/**
 * Draws the screen, and keeps the picture in the folder that the property `edgevit.screenshots`
 * names, if it is set.
 */
fun Activity.draw(name: String): Bitmap {
    shadowOf(mainLooper).idle()
    val root = window.decorView
    val bitmap = Bitmap.createBitmap(root.width, root.height, Bitmap.Config.ARGB_8888)
    root.draw(Canvas(bitmap))
    val folder = System.getProperty("edgevit.screenshots").orEmpty()
    if (folder.isNotEmpty()) {
        File(folder).mkdirs()
        File(folder, "$name.png").outputStream().use {
            bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)
        }
    }
    return bitmap
}
