package org.edgevit.demo.bench

import kotlin.math.abs
import org.edgevit.core.AcceleratorUse
import org.edgevit.core.Agreement
import org.edgevit.core.HeatSample
import org.edgevit.core.Measured
import org.edgevit.core.Protocol
import org.edgevit.core.RgbImage
import org.edgevit.core.Timing
import org.edgevit.core.TimingCancelled
import org.edgevit.core.TimingLoop
import org.edgevit.core.TopK
import org.edgevit.demo.model.Accelerator
import org.edgevit.demo.model.Classifier
import org.edgevit.demo.model.RunSettings

/** What a benchmark is doing. */
enum class BenchmarkStage {
    OPENING,
    COMPARING,
    PREPROCESSING,
    WARMING_UP,
    TIMING,
    COOLING,
    END_TO_END,
}

/** @property count timed inferences so far, in the stages that time any. */
data class BenchmarkProgress(val stage: BenchmarkStage, val count: Int = 0)

/**
 * The times of one benchmark.
 *
 * @property preprocessing from a decoded photo to the model's input.
 */
class BenchmarkTimes(val measured: Measured, val preprocessing: Timing)

/**
 * The surroundings of a benchmark, replaced in tests.
 *
 * @property clock nanoseconds, monotonic, counting while the phone sleeps.
 * @property wallClockMs the time of day, milliseconds.
 * @property thermalStatus Android's, 0 for none; `null` before Android 10.
 * @property wait for that many milliseconds.
 */
class Surroundings(
    val clock: () -> Long,
    val wallClockMs: () -> Long,
    val thermalStatus: () -> Int?,
    val wait: (Long) -> Unit = { Thread.sleep(it) },
)

/**
 * Measures the model by the rules of `edgevit bench`; on the worker thread.
 *
 * @param open closes whatever model is open and opens one with these settings.
 * @param photos files of real photos, at least one, used over and over.
 * @param decode turns a file into upright RGB.
 * @param isCancelled asked before every inference.
 * @param onProgress called between inferences, outside their times.
 */
class Benchmark(
    private val protocol: Protocol,
    private val open: (RunSettings) -> Classifier,
    private val photos: List<ByteArray>,
    private val decode: (ByteArray) -> RgbImage,
    private val surroundings: Surroundings,
    private val isCancelled: () -> Boolean,
    private val onProgress: (BenchmarkProgress) -> Unit,
) {
    private val clock = surroundings.clock
    private val begun = clock()
    private val heat = mutableListOf<HeatSample>()

    /**
     * Measures everything.
     *
     * @throws TimingCancelled if it was stopped.
     * @throws org.edgevit.core.AcceleratorWrong if the GPU's answers are not the CPU's.
     * @throws org.edgevit.core.ModelMismatch if the model cannot be used.
     */
    fun run(settings: RunSettings): BenchmarkTimes {
        val wallBegun = surroundings.wallClockMs()
        val decoded = photos.map(decode)
        val onCpu = cpuAnswers(settings, decoded)
        onProgress(BenchmarkProgress(BenchmarkStage.OPENING))
        val classifier = open(settings)
        val preprocessing = classifier.model.preprocessing
        val inputs = decoded.map(preprocessing::fit)
        val firstInferenceMs = millisecondsOf { classifier.scores(inputs.first()) }
        val use = onCpu?.let { compare(settings, it, inputs.map(classifier::scores)) }

        onProgress(BenchmarkProgress(BenchmarkStage.PREPROCESSING))
        val preparing =
            loop(PREPROCESSING).measure { preprocessing.fit(decoded[it % decoded.size]) }
        val inference = timeInference { classifier.scores(inputs[it % inputs.size]) }
        val endToEnd = timeEndToEnd(classifier)
        val measured = Measured(
            threads = settings.threads,
            device = deviceName(settings.accelerator),
            inference = inference,
            endToEnd = endToEnd,
            loadMs = classifier.loadMs,
            firstInferenceMs = firstInferenceMs,
            placement = classifier.placement,
            accelerator = use,
            heat = heat,
            clockJumpSeconds = clockJumpSeconds(wallBegun),
        )
        return BenchmarkTimes(measured, preparing)
    }

    /** What an accelerator is compared with; `null` for the CPU itself. */
    private fun cpuAnswers(settings: RunSettings, decoded: List<RgbImage>): List<FloatArray>? {
        if (settings.accelerator == Accelerator.CPU) return null
        onProgress(BenchmarkProgress(BenchmarkStage.COMPARING))
        val cpu = open(settings.copy(accelerator = Accelerator.CPU))
        return decoded.map { cpu.scores(cpu.model.preprocessing.fit(it)) }
    }

    private fun compare(
        settings: RunSettings,
        onCpu: List<FloatArray>,
        onDevice: List<FloatArray>,
    ): AcceleratorUse =
        Agreement.check(
            deviceName(settings.accelerator),
            onCpu,
            onDevice,
            "TensorFlow Lite does not say on a phone which ops its delegate took",
        )

    private fun timeInference(work: (Int) -> Unit): Timing {
        val statusAtFirst = watchHeat()
        onProgress(BenchmarkProgress(BenchmarkStage.WARMING_UP))
        val timing = loop(protocol).measure(
            coolDown = { coolDown(statusAtFirst) },
            onProgress = {
                onProgress(BenchmarkProgress(BenchmarkStage.TIMING, it))
                if (secondsSinceBegun() - heat.last().seconds >= HEAT_SECONDS) watchHeat()
            },
            work = work,
        )
        watchHeat()
        return timing
    }

    private fun timeEndToEnd(classifier: Classifier): Timing =
        loop(once(protocol)).measure(
            onProgress = { onProgress(BenchmarkProgress(BenchmarkStage.END_TO_END, it)) },
        ) {
            val photo = decode(photos[it % photos.size])
            val scores = classifier.scores(classifier.model.preprocessing.fit(photo))
            TopK.best(scores, classifier.labels, 1)
        }

    /** Between repeats that shall be comparable, waits until the phone is as cool as at first. */
    private fun coolDown(statusAtFirst: Int?): Double {
        val started = clock()
        if (protocol.comparable && statusAtFirst != null) {
            while ((watchHeat() ?: 0) > statusAtFirst && since(started) < MAX_COOLDOWN_SECONDS) {
                onProgress(BenchmarkProgress(BenchmarkStage.COOLING))
                if (isCancelled()) throw TimingCancelled()
                surroundings.wait(COOLDOWN_POLL_MS)
            }
        }
        onProgress(BenchmarkProgress(BenchmarkStage.WARMING_UP))
        return since(started)
    }

    private fun watchHeat(): Int? {
        val status = surroundings.thermalStatus()
        heat += HeatSample(secondsSinceBegun(), status)
        return status
    }

    private fun clockJumpSeconds(wallBegunMs: Long): Double {
        val jump = (surroundings.wallClockMs() - wallBegunMs) / 1e3 - secondsSinceBegun()
        return if (abs(jump) >= MIN_JUMP_SECONDS) jump else 0.0
    }

    private fun loop(protocol: Protocol) = TimingLoop(protocol, clock, isCancelled)

    private fun millisecondsOf(work: () -> Unit): Double {
        val started = clock()
        work()
        return (clock() - started) / 1e6
    }

    private fun secondsSinceBegun(): Double = since(begun)

    private fun since(started: Long): Double = (clock() - started) / 1e9

    private companion object {
        const val HEAT_SECONDS = 1.0
        const val COOLDOWN_POLL_MS = 1000L
        const val MAX_COOLDOWN_SECONDS = 600.0

        // The two clocks drift apart by less than that.
        const val MIN_JUMP_SECONDS = 1.0

        /** Only shown beside the inference: the document holds the way from photo to label. */
        val PREPROCESSING = Protocol(
            "preprocessing",
            comparable = false,
            minQueries = 50,
            minSeconds = 0.5,
            warmupMinSeconds = 0.2,
            warmupMaxSeconds = 2.0,
            repeats = 1,
        )

        fun once(protocol: Protocol) = Protocol(
            protocol.name,
            protocol.comparable,
            protocol.minQueries,
            protocol.minSeconds,
            protocol.warmupMinQueries,
            protocol.warmupMinSeconds,
            protocol.warmupMaxSeconds,
            repeats = 1,
        )

        fun deviceName(accelerator: Accelerator): String =
            when (accelerator) {
                Accelerator.CPU -> "cpu"
                Accelerator.GPU -> "gpu TFLite GPU delegate"
            }
    }
}
