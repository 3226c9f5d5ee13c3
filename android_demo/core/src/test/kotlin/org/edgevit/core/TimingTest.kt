package org.edgevit.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** The timing loop under a clock that the test sets. */
class TimingTest {
    private var now = 0L

    private fun loop(protocol: Protocol, isCancelled: () -> Boolean = { false }) =
        TimingLoop(protocol, { now }, isCancelled)

    private fun takes(milliseconds: Long) {
        now += milliseconds * 1_000_000
    }

    private val short = Protocol("short", false, 20, 1.0, warmupMinSeconds = 0.5, repeats = 2)

    @Test
    fun `both limits are met`() {
        val byCount = loop(short).measure { takes(100) }
        assertEquals(listOf(20, 20), byCount.repeatsNs.map { it.size })
        val byTime = loop(short).measure { takes(10) }
        assertEquals(listOf(100, 100), byTime.repeatsNs.map { it.size })
        assertEquals(10.0, byTime.statistics.p50Ms, 1e-9)
    }

    @Test
    fun `the quick protocol meets its limits in all repeats together`() {
        val timing = loop(Protocol.QUICK).measure { takes(20) }
        assertTrue(timing.samplesNs.size >= 100)
        assertTrue(timing.samplesNs.sum() >= 10_000_000_000)
        assertFalse(timing.protocol.comparable)
    }

    @Test
    fun `the warm-up lasts until times are steady and does not count`() {
        // Halves from query to query down to 10 ms.
        val timing = loop(short).measure { query -> takes(maxOf(10L, 5120L shr minOf(query, 20))) }
        assertTrue(timing.warmupSettled)
        assertTrue("${timing.warmupCount}", timing.warmupCount >= 19)
        assertEquals(10.0, timing.statistics.maxMs, 1e-9)
    }

    @Test
    fun `a warm-up that never settles is given up and said`() {
        var run = 10L
        val timing = loop(short).measure {
            takes(run)
            run = run * 11 / 10 + 1
            if (run > 2_000) run = 10
        }
        assertFalse(timing.warmupSettled)
    }

    @Test
    fun `photos take turns without a gap`() {
        val queries = mutableListOf<Int>()
        loop(short).measure { queries += it; takes(100) }
        assertEquals(queries.indices.toList(), queries)
    }

    @Test
    fun `cooling lies between repeats only`() {
        var waits = 0
        val timing = loop(short).measure(coolDown = { 1.5 * ++waits }) { takes(100) }
        assertEquals(listOf(1.5), timing.cooldownSeconds)
        assertEquals(listOf(100.0, 100.0), timing.mediansMs)
    }

    @Test
    fun `progress counts over all repeats`() {
        val counts = mutableListOf<Int>()
        loop(short).measure(onProgress = { counts += it }) { takes(100) }
        assertEquals((1..40).toList(), counts)
    }

    @Test
    fun `a stop comes before the next inference`() {
        var done = 0
        failure<TimingCancelled> {
            loop(short, isCancelled = { done == 7 }).measure {
                done++
                takes(100)
            }
        }
        assertEquals(7, done)
    }

    @Test
    fun `an inference that fails ends the measurement`() {
        val error = failure<IllegalStateException> { loop(short).measure { error("no delegate") } }
        assertEquals("no delegate", error.message)
    }

    @Test
    fun `many samples are all kept`() {
        val fast = Protocol("fast", false, 3000, 0.0, warmupMinSeconds = 0.0, repeats = 1)
        val timing = loop(fast).measure { query -> now += query }
        assertEquals(3000, timing.samplesNs.size)
        assertArrayEquals(
            LongArray(3000) { it.toLong() + timing.warmupCount },
            timing.samplesNs,
        )
    }
}

/** Whether an accelerator's answers are believed. */
class AgreementTest {
    private val cpu = List(20) { floatArrayOf(0.75f - 0.01f * it, 0.25f + 0.01f * it) }

    private fun check(device: List<FloatArray>) = Agreement.check("gpu G", cpu, device, "unknown")

    @Test
    fun `small differences are reported`() {
        val use = check(cpu.map { floatArrayOf(it[0] + 0.001f, it[1] - 0.001f) })
        assertEquals(20, use.comparedCount)
        assertEquals(1.0, use.agreement, 0.0)
        assertEquals(0.001, use.maxAbsDifference, 1e-6)
    }

    @Test
    fun `other labels are refused`() {
        val error = failure<AcceleratorWrong> {
            check(cpu.mapIndexed { index, it -> if (index < 3) it.reversedArray() else it })
        }
        assertEquals(
            "gpu G gives the CPU's label for 17 of 20 photos: its times would mean nothing",
            error.message,
        )
        check(cpu.mapIndexed { index, it -> if (index < 2) it.reversedArray() else it })
    }

    @Test
    fun `numbers that are none are refused`() {
        val error = failure<AcceleratorWrong> { check(cpu.map { floatArrayOf(Float.NaN, 1f) }) }
        assertTrue(error.message!!.contains("20 of 20"))
    }

    @Test
    fun `one answer for every photo is refused`() {
        val error = failure<AcceleratorWrong> { check(cpu.map { floatArrayOf(0.9f, 0.1f) }) }
        assertTrue(error.message!!.contains("the same answer for every photo"))
    }
}
