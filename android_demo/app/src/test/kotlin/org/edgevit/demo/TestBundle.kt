package org.edgevit.demo

import java.io.File
import java.io.InputStream
import java.nio.ByteBuffer
import org.edgevit.core.Hashing
import org.edgevit.demo.model.AssetFiles

/** A folder as the app's assets. */
class FolderFiles(private val folder: File) : AssetFiles {
    override fun open(name: String): InputStream = File(folder, name).inputStream()

    override fun map(name: String): ByteBuffer = ByteBuffer.wrap(File(folder, name).readBytes())
}

/**
 * What `edgevit android install` writes, for a model that tells red, green and blue apart; see
 * [FakeClassifier].
 */
class TestBundle(private val folder: File) {
    val files: AssetFiles get() = FolderFiles(folder)

    val properties = sortedMapOf(
        "schema" to "1",
        "name" to "colours.tflite.int8",
        "architecture" to "colours",
        "run_name" to "colours",
        "precision" to "int8",
        "model_file" to "model.tflite",
        "model_sha256" to Hashing.sha256(MODEL),
        "model_size_bytes" to MODEL.size.toString(),
        "input_type" to "uint8",
        "output_type" to "float32",
        "label_count" to LABELS.size.toString(),
        "input_height" to "32",
        "input_width" to "32",
        "resize_mode" to "crop",
        "interpolation" to "bilinear",
    )

    init {
        write("model.tflite", MODEL)
        write("labels.txt", LABELS.joinToString("\n", postfix = "\n").toByteArray())
        write("bench_template.json", TEMPLATE.toByteArray())
        writeProperties()
        writeGolden(best = listOf("0,1,2", "2,0,1"))
    }

    fun write(name: String, bytes: ByteArray) {
        val file = File(folder, name)
        file.parentFile?.mkdirs()
        file.writeBytes(bytes)
    }

    fun delete(name: String) = File(folder, name).delete()

    fun writeProperties() =
        write("model.properties", lines(properties).toByteArray())

    /** A red and a blue photo, with these positions of the expected labels. */
    fun writeGolden(best: List<String>) {
        val entries = sortedMapOf("schema" to "1", "count" to "2", "tolerance" to "0.05")
        listOf(RED, BLUE).forEachIndexed { index, colour ->
            val photo = Png.plain(40, 30, colour)
            write("golden/$index.png", photo)
            entries["$index.file"] = "$index.png"
            entries["$index.sha256"] = Hashing.sha256(photo)
            entries["$index.best"] = best[index]
            entries["$index.scores"] = "1,0,0"
        }
        write("golden/expected.properties", lines(entries).toByteArray())
    }

    private fun lines(entries: Map<String, String>) =
        entries.entries.joinToString("\n") { (key, value) -> "$key=$value" }

    companion object {
        const val RED = 0xff0000
        const val GREEN = 0x00ff00
        const val BLUE = 0x0000ff

        val LABELS = listOf("red", "green", "blue")

        // As much of a TFLite file as is looked at without an interpreter.
        val MODEL = byteArrayOf(28, 0, 0, 0) + "TFL3".toByteArray() + ByteArray(24)

        private const val TEMPLATE =
            """{"kind": "edgevit.bench", "schema_version": 2, "versions": {"edgevit": "0.1.0"},
            "tool": "edgevit android demo", "target": "phone", "notes": [], "rows": [
            {"name": "colours.tflite.int8", "path": "", "measurement": {"model": "colours",
            "warnings": [], "evaluation": {"same_photos": true}}}]}"""
    }
}
