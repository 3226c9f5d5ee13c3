package org.edgevit.demo.bench

import org.edgevit.core.AcceleratorWrong
import org.edgevit.core.Protocol
import org.edgevit.core.RgbImage
import org.edgevit.core.TimingCancelled
import org.edgevit.demo.FakeClock
import org.edgevit.demo.FakeFactory
import org.edgevit.demo.TestBundle
import org.edgevit.demo.model.Accelerator
import org.edgevit.demo.model.ModelAssets
import org.edgevit.demo.model.RunSettings
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class BenchmarkTest {
    @get:Rule val folder = TemporaryFolder()
    private val clock = FakeClock()
    private val factory by lazy {
        FakeFactory(ModelAssets(TestBundle(folder.root).files), clock)
    }
    private val stages = mutableListOf<BenchmarkStage>()
    private var status: (seconds: Double) -> Int? = { 0 }
    private var wallJumpMs = 0L
    private var isCancelled = false

    private fun run(
        protocol: Protocol = Protocol.QUICK,
        accelerator: Accelerator = Accelerator.CPU,
    ): BenchmarkTimes =
        Benchmark(
            protocol = protocol,
            open = factory::open,
            photos = listOf(0, 2).map { byteArrayOf(it.toByte()) },
            decode = ::decode,
            surroundings = Surroundings(
                clock = clock::read,
                wallClockMs = { clock.nowNs / 1_000_000 + wallJumpMs },
                thermalStatus = { status(clock.nowNs / 1e9) },
                wait = { clock.nowNs += it * 1_000_000 },
            ),
            isCancelled = { isCancelled },
            onProgress = { if (it.stage != stages.lastOrNull()) stages += it.stage },
        ).run(RunSettings(2, accelerator))

    /** A picture of one channel; decoding it takes a millisecond. */
    private fun decode(file: ByteArray): RgbImage {
        clock.nowNs += 1_000_000
        val channel = file.single().toInt()
        return RgbImage(40, 30, ByteArray(40 * 30 * 3) { if (it % 3 == channel) -1 else 0 })
    }

    @Test
    fun test_onlyTheModel_isTimedAsInference() {
        val measured = run(SHORT).measured
        // 4 ms, and one for reading the clock.
        assertEquals(5.0, measured.inference.statistics.p50Ms, 1e-9)
        assertEquals(5.0, measured.inference.statistics.maxMs, 1e-9)
        assertEquals(6.0, checkNotNull(measured.endToEnd).statistics.p50Ms, 1e-9)
        assertEquals(5.0, measured.firstInferenceMs, 1e-9)
    }

    @Test
    fun test_repeats_meetTheProtocol() {
        val inference = run(SHORT).measured.inference
        assertEquals(3, inference.repeatsNs.size)
        assertTrue(inference.repeatsNs.all { it.size >= 34 })
    }

    @Test
    fun test_heat_isReported_whenThePhoneGetsHotMeanwhile() {
        status = { seconds -> if (seconds > 2) 2 else 0 }
        val measured = run(SHORT).measured
        assertEquals(listOf("Android's thermal status 2 (moderate)"), measured.throttling)
    }

    @Test
    fun test_repeats_waitUntilThePhoneIsCool_whenTheyShallBeComparable() {
        val hotUntil = 30.0
        status = { seconds -> if (seconds > 3 && seconds < hotUntil) 1 else 0 }
        val comparable = Protocol("full", true, 34, 1.0, warmupMinSeconds = 0.2)
        val waits = run(comparable).measured.inference.cooldownSeconds
        assertTrue("$waits", waits.max() > 20 && BenchmarkStage.COOLING in stages)
    }

    @Test
    fun test_clockJump_isReported_whenTheTimeOfDayIsSet() {
        status = { seconds ->
            if (seconds > 1) wallJumpMs = 3_600_000
            0
        }
        assertEquals(3600.0, run(SHORT).measured.clockJumpSeconds, 1.0)
    }

    @Test
    fun test_nothingIsTimed_whenItIsCancelled() {
        isCancelled = true
        assertThrows(TimingCancelled::class.java) { run(SHORT) }
    }

    @Test
    fun test_gpu_isComparedWithTheCpu_beforeItIsTimed() {
        factory.hasGpu = true
        val use = checkNotNull(run(SHORT, Accelerator.GPU).measured.accelerator)
        assertEquals(1.0, use.agreement, 0.0)
        assertTrue(stages.indexOf(BenchmarkStage.COMPARING) < stages.indexOf(BenchmarkStage.TIMING))
    }

    @Test
    fun test_gpu_isRefused_whenItsAnswersAreWrong() {
        factory.hasGpu = true
        factory.gpuScores = floatArrayOf(0f, 1f, 0f)
        assertThrows(AcceleratorWrong::class.java) { run(SHORT, Accelerator.GPU) }
        assertTrue(BenchmarkStage.TIMING !in stages)
    }

    private companion object {
        val SHORT = Protocol("quick", false, 34, 1.0, warmupMinSeconds = 0.2)
    }
}
