package org.edgevit.core

import kotlin.math.abs

/**
 * When a measurement may stop; the rules and names are those of `edgevit bench`.
 *
 * @property comparable true if results may be compared with those of other devices.
 * @property minQueries timed inferences of each repeat.
 * @property minSeconds duration of the timed part of each repeat.
 * @property warmupMinQueries untimed inferences before.
 * @property warmupMinSeconds duration of the untimed part.
 * @property warmupMaxSeconds where a warm-up that does not settle is given up.
 * @property repeats how often the timed part is done.
 * @property coldStarts fresh processes that open the model once: an app has only its own.
 */
class Protocol(
    val name: String,
    val comparable: Boolean,
    val minQueries: Int,
    val minSeconds: Double,
    val warmupMinQueries: Int = 10,
    val warmupMinSeconds: Double = 2.0,
    val warmupMaxSeconds: Double = 30.0,
    val repeats: Int = 3,
    val coldStarts: Int = 0,
) {
    companion object {
        /** MLPerf Mobile's single stream: at least 1,024 queries and at least 60 s. */
        val FULL = Protocol("full", true, minQueries = 1024, minSeconds = 60.0)

        /** At least 100 queries and 10 s in all three repeats together; not comparable. */
        val QUICK = Protocol("quick", false, minQueries = 34, minSeconds = 10.0 / 3)
    }
}

/**
 * What a timing loop measured.
 *
 * @property repeatsNs nanoseconds of each timed inference, in order, for each repeat.
 * @property warmupCount untimed inferences before.
 * @property warmupSettled false if a warm-up was given up before the times were steady.
 * @property cooldownSeconds waits before the second and later repeats.
 */
class Timing(
    val protocol: Protocol,
    val repeatsNs: List<LongArray>,
    val warmupCount: Int,
    val warmupSettled: Boolean,
    val cooldownSeconds: List<Double> = emptyList(),
) {
    /** Times of all repeats, nanoseconds. */
    val samplesNs: LongArray get() = repeatsNs.fold(LongArray(0)) { all, more -> all + more }

    /** Median of each repeat, milliseconds. */
    val mediansMs: List<Double> get() = repeatsNs.map { LatencyStatistics(it).p50Ms }

    /** Over the samples of all repeats. */
    val statistics: LatencyStatistics get() = LatencyStatistics(samplesNs)
}

/** The benchmark was stopped, by the user or because its screen went away. */
class TimingCancelled : Exception("the benchmark was stopped")

/**
 * One inference at a time, the next when the last has returned: the loop of `edgevit bench`.
 *
 * @param clock nanoseconds, monotonic, such as System::nanoTime.
 * @param isCancelled asked before every inference.
 */
class TimingLoop(
    private val protocol: Protocol,
    private val clock: () -> Long = System::nanoTime,
    private val isCancelled: () -> Boolean = { false },
) {
    private var query = 0

    /**
     * Warms up and times, as often as the protocol says.
     *
     * @param coolDown called between two repeats; returns the seconds that it waited.
     * @param onProgress gets the number of timed inferences so far, between inferences.
     * @param work does one inference; gets the number of the query, to choose a photo by.
     * @throws TimingCancelled as soon as [isCancelled] says so.
     */
    fun measure(
        coolDown: () -> Double = { 0.0 },
        onProgress: (Int) -> Unit = {},
        work: (Int) -> Unit,
    ): Timing {
        val waits = mutableListOf<Double>()
        val parts = mutableListOf<LongArray>()
        var warmupCount = 0
        var settled = true
        repeat(protocol.repeats) { number ->
            if (number > 0) waits += coolDown()
            val warmup = warmUp(work)
            warmupCount += warmup.size
            settled = settled && isSteady(warmup)
            val before = parts.sumOf { it.size }
            parts += timed(work) { onProgress(before + it) }
        }
        return Timing(protocol, parts, warmupCount, settled, waits)
    }

    /** Runs until the times are steady, or too long; returns them, nanoseconds. */
    private fun warmUp(work: (Int) -> Unit): List<Long> {
        val samples = mutableListOf<Long>()
        val started = clock()
        while (true) {
            samples += once(work)
            val seconds = (clock() - started) / NS_PER_S
            if (samples.size < protocol.warmupMinQueries) continue
            if (seconds < protocol.warmupMinSeconds) continue
            if (isSteady(samples) || seconds >= protocol.warmupMaxSeconds) return samples
        }
    }

    /** Runs until both limits are met. */
    private fun timed(work: (Int) -> Unit, onProgress: (Int) -> Unit): LongArray {
        var samples = LongArray(maxOf(protocol.minQueries, FIRST_CAPACITY))
        var count = 0
        val started = clock()
        while (count < protocol.minQueries || clock() - started < protocol.minSeconds * NS_PER_S) {
            if (count == samples.size) samples = samples.copyOf(2 * count)
            samples[count++] = once(work)
            onProgress(count)
        }
        return samples.copyOf(count)
    }

    private fun once(work: (Int) -> Unit): Long {
        if (isCancelled()) throw TimingCancelled()
        val begun = clock()
        work(query++)
        return clock() - begun
    }

    private fun isSteady(samples: List<Long>): Boolean {
        if (samples.size < 2 * WINDOW) return false
        val last = samples.takeLast(WINDOW).sorted()[WINDOW / 2]
        val before = samples.dropLast(WINDOW).takeLast(WINDOW).sorted()[WINDOW / 2]
        return abs(last - before) <= TOLERANCE * before
    }

    private companion object {
        const val FIRST_CAPACITY = 1024
        const val NS_PER_S = 1e9

        // Warm when the median of the last five is within 5 % of that of the five before.
        const val WINDOW = 5
        const val TOLERANCE = 0.05
    }
}
