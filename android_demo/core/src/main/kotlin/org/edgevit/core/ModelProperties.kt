package org.edgevit.core

import java.io.InputStream
import java.nio.ByteBuffer

/**
 * What `edgevit android install` recorded about the model: everything but its numbers.
 *
 * The app checks the interpreter's own tensors against it, so that a model that was swapped by
 * hand is refused with a sentence and not classified wrongly.
 *
 * @property name of the bundle.
 * @property architecture such as `vit-b32`.
 * @property runName the run that the model comes from.
 * @property precision such as `int8`.
 * @property modelFile name of the asset.
 * @property sha256 of the model file, 64 hex digits.
 * @property sizeBytes of the model file.
 * @property inputType what the model takes: `uint8` or `int8`.
 * @property outputType what it returns: `float32`, `uint8`, `int8` or `int16`.
 * @property labelCount number of scores.
 * @property preprocessing from a picture to the input.
 */
class ModelProperties private constructor(reader: PropertyReader) {
    val name: String = reader.text("name")
    val architecture: String = reader.text("architecture")
    val runName: String = reader.text("run_name")
    val precision: String = reader.text("precision")
    val modelFile: String = reader.text("model_file")
    val sha256: String = reader.text("model_sha256")
    val sizeBytes: Long = reader.long("model_size_bytes")
    val inputType: ElementType = inputType(reader.text("input_type"))
    val outputType: ElementType = outputType(reader.text("output_type"))
    val labelCount: Int = reader.int("label_count")
    val preprocessing = Preprocessing(
        width = reader.int("input_width"),
        height = reader.int("input_height"),
        resizeMode = reader.text("resize_mode"),
        interpolation = reader.text("interpolation"),
    )

    /**
     * Checks the labels' number.
     *
     * @throws ModelMismatch if it is another than recorded.
     */
    fun checkLabels(labels: Labels) {
        if (labels.size != labelCount) {
            throw ModelMismatch(
                "${Labels.FILE} has ${labels.size} labels, $FILE says $labelCount",
            )
        }
    }

    /**
     * Checks the model file before the interpreter gets it, which may crash on a damaged one.
     *
     * @param model the whole file, from index 0 to the buffer's limit.
     * @throws ModelMismatch if it is empty, is no TFLite file, or is another than recorded.
     */
    fun checkModel(model: ByteBuffer) {
        val size = model.limit()
        if (size == 0) throw ModelMismatch("$modelFile is empty (0 bytes)")
        if (size.toLong() != sizeBytes) {
            throw ModelMismatch("$modelFile has $size bytes, $sizeBytes were recorded")
        }
        val isTflite = size >= 8 && IDENTIFIER.indices.all { model.get(4 + it) == IDENTIFIER[it] }
        if (!isTflite) throw ModelMismatch("$modelFile is not a TFLite file")
        val found = Hashing.sha256(model)
        if (found != sha256) {
            throw ModelMismatch(
                "$modelFile was changed: its sha256 is ${found.take(12)}…, " +
                    "${sha256.take(12)}… was recorded",
            )
        }
    }

    /**
     * Checks the interpreter's input tensor.
     *
     * @param type its element type by NumPy's name, such as `uint8`.
     * @param shape with the batch dimension.
     * @throws ModelMismatch if it is another than recorded.
     */
    fun checkInput(type: String, shape: IntArray) {
        val expected = intArrayOf(1, preprocessing.height, preprocessing.width, 3)
        if (type != inputType.word || !shape.contentEquals(expected)) {
            throw ModelMismatch(
                "the model takes $type ${shape.contentToString()}, " +
                    "$FILE says ${inputType.word} ${expected.contentToString()}",
            )
        }
    }

    /**
     * Checks the interpreter's output tensor.
     *
     * @throws ModelMismatch if its type is another than recorded, or there is not one score for
     *   each of [labelCount] labels.
     */
    fun checkOutput(type: String, shape: IntArray) {
        if (type != outputType.word) {
            throw ModelMismatch("the model returns $type, $FILE says ${outputType.word}")
        }
        if (!shape.contentEquals(intArrayOf(1, labelCount))) {
            throw ModelMismatch(
                "the model returns scores ${shape.contentToString()}, there are $labelCount labels",
            )
        }
    }

    companion object {
        const val FILE = "model.properties"

        // Bytes 4 to 8 of a TFLite flatbuffer.
        private val IDENTIFIER = "TFL3".toByteArray(Charsets.US_ASCII)

        /**
         * Reads `model.properties`; the stream is closed.
         *
         * @throws ModelMismatch if a value is missing or wrong.
         */
        fun load(stream: InputStream): ModelProperties =
            ModelProperties(PropertyReader(FILE, stream))

        private fun inputType(word: String): ElementType {
            val type = ElementType.of(word)
            if (type == ElementType.UINT8 || type == ElementType.INT8) return type
            throw ModelMismatch("the model takes $word, pixels are uint8 or int8")
        }

        private fun outputType(word: String): ElementType {
            val known = ElementType.entries.joinToString { it.word }
            return ElementType.of(word)
                ?: throw ModelMismatch("the model returns $word, scores are one of $known")
        }
    }
}
