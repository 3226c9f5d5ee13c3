package org.edgevit.core

import kotlin.math.abs
import kotlin.math.ceil

/** A filter of Pillow's antialiased resize. */
enum class Interpolation(val word: String, internal val support: Double) {
    BILINEAR("bilinear", 1.0) {
        override fun weight(distance: Double): Double {
            val x = abs(distance)
            return if (x < 1.0) 1.0 - x else 0.0
        }
    },

    /** Convolution with a = -0.5 (Keys 1981). */
    BICUBIC("bicubic", 2.0) {
        override fun weight(distance: Double): Double {
            val x = abs(distance)
            // In the order of Pillow's operations: another order rounds otherwise.
            return when {
                x < 1.0 -> ((A + 2.0) * x - (A + 3.0)) * x * x + 1
                x < 2.0 -> (((x - 5) * x + 8) * x - 4) * A
                else -> 0.0
            }
        }
    };

    /** Weight of a sample that lies that many (scaled) samples from the centre. */
    internal abstract fun weight(distance: Double): Double

    companion object {
        private const val A = -0.5

        /** Finds a filter by the word in the bundle. */
        fun of(word: String): Interpolation =
            entries.find { it.word == word }
                ?: throw ModelMismatch("the interpolation is '$word', not bilinear or bicubic")
    }
}

/** A rectangle of whole pixels: left and top are inside, right and bottom are the first outside. */
internal data class Box(val left: Int, val top: Int, val right: Int, val bottom: Int)

/**
 * Pillow's resize of 8-bit RGB, to the byte.
 *
 * Two passes, columns first, each rounded to 8 bits, with weights in fixed point. As in Pillow the
 * filter reaches beyond the box where there is picture.
 */
internal object Resampling {
    fun resize(
        image: RgbImage,
        box: Box,
        width: Int,
        height: Int,
        filter: Interpolation,
    ): RgbImage {
        val horizontal =
            Weights.of(image.width, box.left, box.right, width, filter)
                .takeUnless { width == image.width && box.left == 0 && box.right == width }
        val vertical =
            Weights.of(image.height, box.top, box.bottom, height, filter)
                .takeUnless { height == image.height && box.top == 0 && box.bottom == height }
        return when {
            horizontal == null && vertical == null -> image
            horizontal == null -> vertically(image, 0, vertical!!)
            vertical == null -> horizontally(image, 0, image.height, horizontal)
            else -> {
                // Only the rows that the second pass reads.
                val first = vertical.firstSample
                val narrow = horizontally(image, first, vertical.lastSample, horizontal)
                vertically(narrow, first, vertical)
            }
        }
    }

    private fun horizontally(image: RgbImage, top: Int, bottom: Int, weights: Weights): RgbImage {
        val from = image.pixels
        val pixels = ByteArray(RgbImage.BYTES_PER_PIXEL * weights.size * (bottom - top))
        var target = 0
        for (y in top until bottom) {
            val row = RgbImage.BYTES_PER_PIXEL * y * image.width
            for (x in 0 until weights.size) {
                val source = row + RgbImage.BYTES_PER_PIXEL * weights.first[x]
                weights.sumUp(x, from, source, RgbImage.BYTES_PER_PIXEL, pixels, target)
                target += RgbImage.BYTES_PER_PIXEL
            }
        }
        return RgbImage(weights.size, bottom - top, pixels)
    }

    private fun vertically(image: RgbImage, firstRow: Int, weights: Weights): RgbImage {
        val from = image.pixels
        val rowBytes = RgbImage.BYTES_PER_PIXEL * image.width
        val pixels = ByteArray(rowBytes * weights.size)
        for (y in 0 until weights.size) {
            val source = rowBytes * (weights.first[y] - firstRow)
            for (offset in 0 until rowBytes step RgbImage.BYTES_PER_PIXEL) {
                weights.sumUp(y, from, source + offset, rowBytes, pixels, rowBytes * y + offset)
            }
        }
        return RgbImage(image.width, weights.size, pixels)
    }
}

/**
 * For each sample of the result, the weights of the samples that it is made of.
 *
 * @property first of the samples that take part.
 * @property count of them.
 * @property weights fixed point with [PRECISION_BITS] behind it, [stride] for each result.
 */
private class Weights(
    val first: IntArray,
    private val count: IntArray,
    private val weights: IntArray,
    private val stride: Int,
) {
    /** Samples of the result. */
    val size: Int get() = first.size

    /** The first sample of the source that is read. */
    val firstSample: Int get() = first[0]

    /** The first sample behind those that are read. */
    val lastSample: Int get() = first[size - 1] + count[size - 1]

    /** Writes the three channels of result [index]; [step] leads to the next source pixel. */
    fun sumUp(index: Int, from: ByteArray, start: Int, step: Int, into: ByteArray, target: Int) {
        var red = HALF
        var green = HALF
        var blue = HALF
        var source = start
        val begin = index * stride
        for (position in begin until begin + count[index]) {
            val weight = weights[position]
            red += (from[source].toInt() and 0xff) * weight
            green += (from[source + 1].toInt() and 0xff) * weight
            blue += (from[source + 2].toInt() and 0xff) * weight
            source += step
        }
        into[target] = clip(red)
        into[target + 1] = clip(green)
        into[target + 2] = clip(blue)
    }

    private fun clip(sum: Int): Byte = (sum shr PRECISION_BITS).coerceIn(0, 255).toByte()

    companion object {
        // 8 bits for the value and 2 for what a filter with negative lobes may exceed it by.
        private const val PRECISION_BITS = 32 - 8 - 2
        private const val HALF = 1 shl (PRECISION_BITS - 1)

        /** Weights for [size] results out of the samples [low] until [high] of [available]. */
        fun of(available: Int, low: Int, high: Int, size: Int, filter: Interpolation): Weights {
            val scale = (high - low).toDouble() / size
            val stretch = maxOf(scale, 1.0)
            val support = filter.support * stretch
            val stride = ceil(support).toInt() * 2 + 1
            val first = IntArray(size)
            val count = IntArray(size)
            val weights = IntArray(size * stride)
            val inverse = 1.0 / stretch
            val exact = DoubleArray(stride)
            for (index in 0 until size) {
                val centre = low + (index + 0.5) * scale
                val from = maxOf((centre - support + 0.5).toInt(), 0)
                val taken = minOf((centre + support + 0.5).toInt(), available) - from
                var sum = 0.0
                for (position in 0 until taken) {
                    exact[position] = filter.weight((position + from - centre + 0.5) * inverse)
                    sum += exact[position]
                }
                for (position in 0 until taken) {
                    val share = if (sum != 0.0) exact[position] / sum else exact[position]
                    weights[index * stride + position] = fixed(share)
                }
                first[index] = from
                count[index] = taken
            }
            return Weights(first, count, weights, stride)
        }

        private fun fixed(weight: Double): Int {
            val scaled = weight * (1 shl PRECISION_BITS)
            return if (weight < 0) (scaled - 0.5).toInt() else (scaled + 0.5).toInt()
        }
    }
}
