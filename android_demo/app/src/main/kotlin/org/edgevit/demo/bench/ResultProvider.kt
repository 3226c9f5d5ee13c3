package org.edgevit.demo.bench

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/**
 * Hands benchmark results to the app that they are shared with: with all their samples they are too
 * large for an intent.
 */
class ResultProvider : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri) = TYPE

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("results can only be read")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        arguments: Array<String>?,
        order: String?,
    ): Cursor {
        val file = file(uri)
        val known = mapOf<String, Any>(
            OpenableColumns.DISPLAY_NAME to file.name,
            OpenableColumns.SIZE to file.length(),
        )
        val columns = projection ?: known.keys.toTypedArray()
        val cursor = MatrixCursor(columns, 1)
        cursor.addRow(columns.map { known[it] })
        return cursor
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?) = 0

    override fun update(
        uri: Uri,
        values: ContentValues?,
        selection: String?,
        arguments: Array<String>?,
    ) = 0

    private fun file(uri: Uri): File {
        val name = uri.lastPathSegment.orEmpty()
        val file = File(folder(checkNotNull(context)), name)
        // The last segment may hold an encoded slash.
        if (!NAME.matches(name) || !file.isFile) throw FileNotFoundException("no result $name")
        return file
    }

    companion object {
        const val TYPE = "application/json"
        private const val AUTHORITY = "org.edgevit.demo.results"
        private val NAME = Regex("[A-Za-z0-9._-]+\\.json")

        /**
         * Writes a result where it can be shared from; older ones are removed.
         *
         * @param name of the model, from which the file's name is made.
         */
        fun save(context: Context, name: String, document: String): Uri {
            val folder = folder(context)
            folder.deleteRecursively()
            folder.mkdirs()
            val file = "${name.replace(Regex("[^A-Za-z0-9._-]"), "_")}.phone.json"
            File(folder, file).writeText(document)
            return Uri.Builder().scheme("content").authority(AUTHORITY).appendPath(file).build()
        }

        private fun folder(context: Context) = File(context.cacheDir, "results")
    }
}
