package org.edgevit.demo.bench

import java.time.OffsetDateTime
import org.edgevit.core.BenchDocument
import org.edgevit.core.Protocol
import org.edgevit.core.RgbImage
import org.edgevit.demo.model.Classifier
import org.edgevit.demo.model.Engine
import org.edgevit.demo.model.ModelAssets
import org.edgevit.demo.model.RunSettings
import org.edgevit.demo.model.readable

/**
 * What the benchmark's screen does; it outlives the activity, and the benchmark goes on, when the
 * screen is turned. Called on the screen's thread.
 *
 * @param decode turns a photo's file into upright RGB.
 */
class BenchmarkPresenter(
    private val engine: Engine,
    private val assets: ModelAssets,
    private val phone: PhoneFacts,
    private val decode: (ByteArray) -> RgbImage,
    private val surroundings: Surroundings,
) {
    // Set on the screen's thread, asked on the worker's.
    @Volatile private var isCancelled = false
    private var shownNs = 0L

    var state = BenchmarkState()
        private set

    /** Shows each new state; `null` while there is no screen. */
    var screen: ((BenchmarkState) -> Unit)? = null
        set(value) {
            field = value
            value?.invoke(state)
        }

    /** True if the app was built with the GPU delegate. */
    val hasGpu: Boolean get() = engine.factory.hasGpu

    /** Opens the model, to say what is going to be measured. */
    fun open() = engine.submit(state.settings, { it.model }) { result ->
        result.onSuccess { update(state.copy(model = it)) }
        result.onFailure { update(state.copy(error = readable(it))) }
    }

    fun choose(settings: RunSettings, protocol: Protocol) {
        if (!state.isRunning) update(state.copy(settings = settings, protocol = protocol))
    }

    /** Begins; what was found before is forgotten. */
    fun start() {
        if (state.isRunning) return
        isCancelled = false
        val progress = BenchmarkProgress(BenchmarkStage.OPENING)
        update(state.copy(progress = progress, result = null, error = null))
        val settings = state.settings
        val protocol = state.protocol
        engine.submit(settings, { measure(it, settings, protocol) }) { result ->
            val now = state.copy(progress = null)
            result.onSuccess { update(now.copy(result = it)) }
            result.onFailure { update(now.copy(error = readable(it))) }
        }
    }

    /** Ends the benchmark before its next inference. */
    fun stop() {
        isCancelled = true
    }

    /** On the worker thread. */
    private fun measure(
        opened: Classifier,
        settings: RunSettings,
        protocol: Protocol,
    ): BenchmarkResult {
        val started = OffsetDateTime.now()
        val described = phone.describe()
        val golden = assets.golden(opened.labels.size)
        val benchmark = Benchmark(
            protocol = protocol,
            open = engine::reopen,
            photos = golden.photos.map { assets.goldenFile(it.file) },
            decode = decode,
            surroundings = surroundings,
            isCancelled = { isCancelled },
            onProgress = ::show,
        )
        val times = benchmark.run(settings)
        val document = BenchDocument.render(
            template = assets.benchTemplate(),
            started = started,
            phone = described,
            versions = engine.factory.versions,
            notes = phone.notes(),
            measured = listOf(times.measured),
        )
        return BenchmarkResult(times, document)
    }

    /** On the worker thread; seldom, so that the screen takes no time from what is measured. */
    private fun show(progress: BenchmarkProgress) {
        val now = surroundings.clock()
        val isNext = progress.count > 0 && progress.stage == state.progress?.stage
        if (isNext && now - shownNs < SHOW_EVERY_NS) return
        shownNs = now
        engine.deliver { if (state.isRunning) update(state.copy(progress = progress)) }
    }

    private fun update(next: BenchmarkState) {
        state = next
        screen?.invoke(next)
    }

    private companion object {
        const val SHOW_EVERY_NS = 500_000_000L
    }
}
