package org.edgevit.demo.model

import android.content.res.AssetManager
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import org.edgevit.core.BenchDocument
import org.edgevit.core.GoldenSet
import org.edgevit.core.Labels
import org.edgevit.core.ModelMismatch
import org.edgevit.core.ModelProperties

/**
 * The model, checked against its record.
 *
 * @property file the whole model, mapped into memory: the system reads it on demand and need not
 *   count it as the app's.
 */
class InstalledModel(val properties: ModelProperties, val labels: Labels, val file: ByteBuffer)

/** Files by name; the app's assets, or a folder in tests. */
interface AssetFiles {
    /** @throws FileNotFoundException if there is none. */
    fun open(name: String): InputStream

    /**
     * Maps a file into memory.
     *
     * @throws IOException if it is compressed.
     */
    fun map(name: String): ByteBuffer
}

/** The assets in the app's APK. */
class ApkFiles(private val assets: AssetManager) : AssetFiles {
    override fun open(name: String): InputStream = assets.open(name)

    override fun map(name: String): ByteBuffer =
        assets.openFd(name).use { file ->
            // Not createInputStream(): newer Androids count its channel from the asset's start.
            val whole = FileInputStream(file.fileDescriptor).channel
            whole.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
        }
}

/** What `edgevit android install` put into the app. */
class ModelAssets(private val files: AssetFiles) {
    /**
     * Reads and checks everything that a classifier needs; hashing a large model takes a second.
     *
     * @throws ModelMismatch if something is missing, damaged or does not belong together.
     */
    fun load(): InstalledModel {
        val properties = ModelProperties.load(open(ModelProperties.FILE))
        val labels = Labels.load(open(Labels.FILE))
        properties.checkLabels(labels)
        val file = map(properties.modelFile)
        properties.checkModel(file)
        return InstalledModel(properties, labels, file)
    }

    /** @throws ModelMismatch if the photos' record is missing or damaged. */
    fun golden(labelCount: Int): GoldenSet = GoldenSet.load(open(GoldenSet.FILE), labelCount)

    /**
     * Reads a photo of [golden], as a file.
     *
     * @param name below the folder of golden photos.
     */
    fun goldenFile(name: String): ByteArray =
        open("${GoldenSet.FOLDER}/$name").use { it.readBytes() }

    /** The text that a benchmark's result is filled into. */
    fun benchTemplate(): String =
        open(BenchDocument.TEMPLATE_FILE).use { it.readBytes() }.toString(Charsets.UTF_8)

    private fun open(name: String): InputStream =
        try {
            files.open(name)
        } catch (_: FileNotFoundException) {
            throw ModelMismatch("no model is installed: $name is missing")
        } catch (error: IOException) {
            throw ModelMismatch("$name cannot be read (${error.message})")
        }

    private fun map(name: String): ByteBuffer {
        // As a stream first: Android says the same of a missing file and of a compressed one.
        open(name).close()
        return try {
            files.map(name)
        } catch (_: IOException) {
            throw ModelMismatch("$name is compressed", "Build the app with noCompress \"tflite\"")
        }
    }
}
