package org.edgevit.demo

import android.app.Application
import android.os.Handler
import android.os.Looper
import java.io.File
import java.util.concurrent.Executor
import org.edgevit.core.ModelMismatch
import org.edgevit.core.RgbImage
import org.edgevit.demo.bench.PhoneFacts
import org.edgevit.demo.bench.Surroundings
import org.edgevit.demo.model.Accelerator
import org.edgevit.demo.model.Classifier
import org.edgevit.demo.model.ClassifierFactory
import org.edgevit.demo.model.Engine
import org.edgevit.demo.model.InstalledModel
import org.edgevit.demo.model.ModelAssets
import org.edgevit.demo.model.RunSettings

/** Answers with the mean of each channel, as shares of their sum. */
class FakeClassifier(
    private val installed: InstalledModel,
    override val settings: RunSettings,
    private val factory: FakeFactory,
) : Classifier {
    override val model get() = installed.properties
    override val labels get() = installed.labels
    override val loadMs = 12.5
    override val placement = "nowhere"
    var isClosed = false
        private set

    override fun scores(input: RgbImage): FloatArray {
        check(!isClosed) { "asked after it was closed" }
        factory.clock.nowNs += FakeFactory.INFERENCE_NS
        if (settings.accelerator == Accelerator.GPU) factory.gpuScores?.let { return it }
        val sums = FloatArray(RgbImage.BYTES_PER_PIXEL)
        input.pixels.forEachIndexed { at, value -> sums[at % sums.size] += value.toInt() and 0xff }
        val all = sums.sum().coerceAtLeast(1f)
        return FloatArray(sums.size) { sums[it] / all }
    }

    override fun close() {
        isClosed = true
    }
}

/** A millisecond passes whenever it is read; more while the model is asked, or somebody waits. */
class FakeClock {
    var nowNs = 0L

    fun read(): Long {
        nowNs += READING_NS
        return nowNs
    }

    private companion object {
        const val READING_NS = 1_000_000L
    }
}

/** Opens [FakeClassifier]s. */
class FakeFactory(private val assets: ModelAssets, val clock: FakeClock) : ClassifierFactory {
    override var hasGpu = false
    override val versions = mapOf("tflite" to "none")
    val opened = mutableListOf<FakeClassifier>()

    /** What the GPU answers whatever it is asked; `null` for the right answer. */
    var gpuScores: FloatArray? = null

    override fun open(settings: RunSettings): Classifier {
        if (settings.accelerator == Accelerator.GPU && !hasGpu) throw ModelMismatch("no GPU")
        return FakeClassifier(assets.load(), settings, this).also { opened += it }
    }

    companion object {
        const val INFERENCE_NS = 4_000_000L
    }
}

/** Runs tasks when the test says so. */
class ManualExecutor : Executor {
    private val waiting = ArrayDeque<Runnable>()
    var isHeld = false

    override fun execute(task: Runnable) {
        waiting += task
        if (!isHeld) runAll()
    }

    fun runAll() {
        while (waiting.isNotEmpty()) waiting.removeFirst().run()
    }
}

/** The app on a [TestBundle] and a [FakeFactory], everything on one thread. */
class TestApplication : DemoApplication() {
    lateinit var bundle: TestBundle
    lateinit var factory: FakeFactory
    val worker = ManualExecutor()
    val clock = FakeClock()
    var thermalStatus: Int? = 0

    override fun makeServices(): Services {
        val folder = File(cacheDir, "bundle").apply { deleteRecursively() }
        bundle = TestBundle(folder)
        val assets = ModelAssets(bundle.files)
        factory = FakeFactory(assets, clock)
        return Services(
            engine = Engine(factory, worker, Runnable::run),
            worker = Handler(Looper.getMainLooper()),
            assets = assets,
            phone = PhoneFacts(this),
            surroundings = Surroundings(
                clock = clock::read,
                wallClockMs = { clock.nowNs / 1_000_000 },
                thermalStatus = { thermalStatus },
                wait = { clock.nowNs += it * 1_000_000 },
            ),
        )
    }
}

val Application.test: TestApplication get() = (this as TestApplication).also { it.services }
