package org.edgevit.core

import java.nio.ByteBuffer

/**
 * What a tensor's elements are.
 *
 * @property word NumPy's name, as in `model.properties`.
 * @property sizeBytes of one element.
 * @property low the smallest integer that it holds; 0 for floats.
 * @property high the largest; 0 for floats.
 */
enum class ElementType(val word: String, val sizeBytes: Int, val low: Int, val high: Int) {
    UINT8("uint8", 1, 0, 255),
    INT8("int8", 1, -128, 127),
    INT16("int16", 2, -32768, 32767),
    FLOAT32("float32", 4, 0, 0);

    companion object {
        /** Finds a type by NumPy's name, `null` for one that no bundle has. */
        fun of(word: String): ElementType? = entries.find { it.word == word }
    }
}

/**
 * The real value of an integer tensor's element is `scale · (stored - zeroPoint)`.
 *
 * @property scale of the tensor, above 0.
 * @property zeroPoint the integer that stands for 0.
 */
class Quantisation(val scale: Float, val zeroPoint: Int) {
    init {
        if (!(scale > 0 && scale < Float.POSITIVE_INFINITY)) {
            throw ModelMismatch("a tensor has the scale $scale, which is not above 0")
        }
    }

    /**
     * The stored value of each pixel value.
     *
     * @param type of the input: [ElementType.UINT8] or [ElementType.INT8].
     * @return 256 bytes, by pixel value.
     * @throws ModelMismatch if the tensor cannot hold 0 to 255.
     */
    fun table(type: ElementType): ByteArray {
        val step = scale.toDouble()
        val least = step * (type.low - zeroPoint)
        val most = step * (type.high - zeroPoint)
        // Half a pixel value may be lost at the ends by rounding.
        if (type.sizeBytes != 1 || least > 0.5 || most < 254.5) {
            throw ModelMismatch("the ${type.word} input holds $least to $most, pixels are 0 to 255")
        }
        return ByteArray(256) { pixel ->
            // Half to even, as NumPy rounds.
            val stored = Math.rint(pixel / step) + zeroPoint
            stored.coerceIn(type.low.toDouble(), type.high.toDouble()).toInt().toByte()
        }
    }

    /**
     * Turns pixels, 0–255 each, into stored values.
     *
     * @throws ModelMismatch if the tensor cannot hold 0 to 255.
     */
    fun quantise(pixels: ByteArray, type: ElementType): ByteArray {
        val table = table(type)
        return ByteArray(pixels.size) { table[pixels[it].toInt() and 0xff] }
    }

    /** The real value of a stored integer, in float32 arithmetic. */
    fun dequantise(stored: Int): Float = scale * (stored.toFloat() - zeroPoint.toFloat())
}

/**
 * Writes pixels into the model's input tensor.
 *
 * @param type [ElementType.UINT8] or [ElementType.INT8].
 * @param quantisation of the tensor; `null` where it has none.
 * @throws ModelMismatch if the tensor cannot hold pixels.
 */
class PixelWriter(type: ElementType, quantisation: Quantisation?) {
    private val table: ByteArray? = quantisation?.table(type)

    init {
        if (type != ElementType.UINT8 && table == null) {
            throw ModelMismatch("the model takes ${type.word} without a scale, pixels are uint8")
        }
    }

    /** Overwrites the buffer from its start, and leaves it rewound. */
    fun write(image: RgbImage, into: ByteBuffer) {
        require(into.capacity() == image.pixels.size) {
            "${image.pixels.size} bytes of pixels for an input of ${into.capacity()}"
        }
        into.clear()
        val pixels = image.pixels
        val stored = table?.let { t -> ByteArray(pixels.size) { t[pixels[it].toInt() and 0xff] } }
        into.put(stored ?: pixels)
        into.rewind()
    }
}

/**
 * Reads the scores from the model's output tensor.
 *
 * @param type of the tensor.
 * @param quantisation of the tensor; `null` for floats.
 * @property count of the scores: one for each label.
 * @throws ModelMismatch if an integer tensor has no scale.
 */
class ScoreReader(
    private val type: ElementType,
    private val quantisation: Quantisation?,
    val count: Int,
) {
    init {
        if (type != ElementType.FLOAT32 && quantisation == null) {
            throw ModelMismatch("the model returns ${type.word} without a scale")
        }
    }

    /** Bytes that the output takes. */
    val sizeBytes: Int get() = count * type.sizeBytes

    /** Probabilities from the buffer's start; its byte order must be the phone's own. */
    fun read(from: ByteBuffer): FloatArray {
        require(from.capacity() == sizeBytes) {
            "an output of ${from.capacity()} bytes, $count scores take $sizeBytes"
        }
        return when (type) {
            ElementType.FLOAT32 -> FloatArray(count) { from.getFloat(4 * it) }
            ElementType.UINT8 -> integers { from.get(it).toInt() and 0xff }
            ElementType.INT8 -> integers { from.get(it).toInt() }
            ElementType.INT16 -> integers { from.getShort(2 * it).toInt() }
        }
    }

    private fun integers(stored: (Int) -> Int): FloatArray =
        FloatArray(count) { checkNotNull(quantisation).dequantise(stored(it)) }
}
