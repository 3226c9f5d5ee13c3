package org.edgevit.core

import kotlin.math.floor
import kotlin.math.sqrt

/**
 * Times of single inferences, summed up as `edgevit bench` does.
 *
 * Percentiles interpolate linearly between the two nearest samples (NumPy's default, type 7 of
 * Hyndman and Fan).
 *
 * @param samplesNs nanoseconds, in the order they were taken; at least one.
 */
class LatencyStatistics(samplesNs: LongArray) {
    private val samplesMs: DoubleArray
    private val sortedMs: DoubleArray

    init {
        require(samplesNs.isNotEmpty()) { "there are no times" }
        samplesMs = DoubleArray(samplesNs.size) { samplesNs[it] / NS_PER_MS }
        sortedMs = samplesMs.sortedArray()
    }

    /** Number of samples. */
    val count: Int get() = samplesMs.size

    /** Median, milliseconds. */
    val p50Ms: Double get() = percentileMs(50.0)

    /** 90th percentile, milliseconds. */
    val p90Ms: Double get() = percentileMs(90.0)

    /** 95th percentile, milliseconds. */
    val p95Ms: Double get() = percentileMs(95.0)

    /** 99th percentile, milliseconds; `null` below 1,000 samples, of which it would rest on few. */
    val p99Ms: Double? get() = if (count >= P99_MIN_SAMPLES) percentileMs(99.0) else null

    /** Milliseconds. */
    val meanMs: Double get() = samplesMs.average()

    /** Standard deviation of the samples (divided by n), milliseconds. */
    val stdMs: Double
        get() {
            val mean = meanMs
            return sqrt(samplesMs.sumOf { (it - mean) * (it - mean) } / count)
        }

    /** Milliseconds. */
    val minMs: Double get() = sortedMs.first()

    /** Milliseconds. */
    val maxMs: Double get() = sortedMs.last()

    /** Any percentile, 0–100; milliseconds. */
    fun percentileMs(percent: Double): Double {
        require(percent in 0.0..100.0) { "the percentile $percent" }
        val position = (count - 1) * (percent / 100.0)
        val low = floor(position).toInt()
        val high = minOf(low + 1, count - 1)
        val share = position - low
        val gap = sortedMs[high] - sortedMs[low]
        // From the nearer end, as NumPy does: so a percentile never leaves its two samples.
        return if (share < 0.5) sortedMs[low] + gap * share else sortedMs[high] - gap * (1 - share)
    }

    companion object {
        const val P99_MIN_SAMPLES = 1000
        internal const val NS_PER_MS = 1_000_000.0
    }
}
