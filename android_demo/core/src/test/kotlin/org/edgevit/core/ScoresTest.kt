package org.edgevit.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** From pixels to stored integers, and from scores to labels, against Python's numbers. */
class ScoresTest {
    private fun quantisation(case: Case) =
        Quantisation(case.text("scale").toFloat(), case.int("zero_point"))

    private fun type(case: Case): ElementType = checkNotNull(ElementType.of(case.text("type")))

    private val everyPixel = ByteArray(256) { it.toByte() }

    @Test
    fun `stored pixels equal Python's`() {
        for (case in Golden.table("quantise", least = 10)) {
            if (case.text("result") == "refused") {
                failure<ModelMismatch> { quantisation(case).table(type(case)) }
            } else {
                case.assertBytes("result", quantisation(case).quantise(everyPixel, type(case)))
            }
        }
    }

    @Test
    fun `scores equal Python's to the bit`() {
        for (case in Golden.table("dequantise", least = 4)) {
            val stored = case.buffer("stored")
            val reader = ScoreReader(type(case), quantisation(case), count = 256)
            assertEquals(stored.capacity(), reader.sizeBytes)
            val expected = case.buffer("result").asFloatBuffer()
            val scores = reader.read(stored)
            for (index in scores.indices) {
                assertEquals(case.name, expected[index].toRawBits(), scores[index].toRawBits())
            }
        }
    }

    @Test
    fun `float scores are read as they are`() {
        val buffer = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder())
        buffer.putFloat(0.25f).putFloat(0.75f)
        val scores = ScoreReader(ElementType.FLOAT32, null, 2).read(buffer)
        assertArrayEquals(floatArrayOf(0.25f, 0.75f), scores, 0f)
    }

    @Test
    fun `pixels are written over and over`() {
        val image = RgbImage(2, 1, byteArrayOf(0, 1, 127, -128, -2, -1))
        val buffer = ByteBuffer.allocateDirect(6)
        PixelWriter(ElementType.UINT8, null).write(image, buffer)
        val shifted = PixelWriter(ElementType.INT8, Quantisation(1f, -128))
        repeat(2) { shifted.write(image, buffer) }
        assertEquals(0, buffer.position())
        val stored = ByteArray(6).also { buffer.get(it) }
        assertArrayEquals(byteArrayOf(-128, -127, -1, 0, 126, 127), stored)
    }

    @Test
    fun `an input of another size is refused`() {
        val image = RgbImage(1, 1, ByteArray(3))
        failure<IllegalArgumentException> {
            PixelWriter(ElementType.UINT8, null).write(image, ByteBuffer.allocate(6))
        }
        failure<IllegalArgumentException> {
            ScoreReader(ElementType.FLOAT32, null, 2).read(ByteBuffer.allocate(4))
        }
    }

    @Test
    fun `integers without a scale are refused`() {
        failure<ModelMismatch> { PixelWriter(ElementType.INT8, null) }
        failure<ModelMismatch> { PixelWriter(ElementType.FLOAT32, null) }
        failure<ModelMismatch> { ScoreReader(ElementType.UINT8, null, 2) }
        failure<ModelMismatch> { Quantisation(0f, 0) }
        failure<ModelMismatch> { Quantisation(Float.NaN, 0) }
        assertNull(ElementType.of("int64"))
    }

    @Test
    fun `the best labels are Python's, ties in label order`() {
        for (case in Golden.table("top_k", least = 12)) {
            val scores = case.text("scores").split(',').map { it.toFloat() }.toFloatArray()
            val labels = Labels(scores.indices.map { "label $it" })
            val k = case.int("k")
            when (val result = case.text("result")) {
                "refused" -> failure<ModelMismatch> { TopK.best(scores, labels, k) }
                "none" -> assertTrue(TopK.best(scores, labels, k).isEmpty())
                else -> {
                    val expected = result.split(',').map { it.toInt() }
                    assertEquals(case.name, expected, TopK.indices(scores, k))
                    val named = expected.map { Scored("label $it", scores[it]) }
                    assertEquals(case.name, named, TopK.best(scores, labels, k))
                }
            }
        }
    }

    @Test
    fun `labels are read as Python wrote them and counted`() {
        for (case in Golden.table("labels", least = 7)) {
            when (val result = case.text("result")) {
                "refused" -> failure<ModelMismatch> { loaded(case) }
                else -> assertEquals(case.name, Json.parse(result), loaded(case).names)
            }
        }
    }

    private fun loaded(case: Case): Labels {
        val labels = Labels.load(case.bytes("file").inputStream())
        labels.check(case.int("scores"))
        return labels
    }

    @Test
    fun `a label too many is named, not shifted away`() {
        val error = failure<ModelMismatch> {
            TopK.best(floatArrayOf(0.5f, 0.5f), Labels(listOf("a", "b", "background")), 1)
        }
        assertTrue(error.message!!.startsWith("the model returns 2 scores, there are 3 labels. "))
    }

    @Test
    fun `percentiles equal NumPy's`() {
        for (case in Golden.table("statistics", least = 8)) {
            val samples = LongArray(case.int("count"))
            case.buffer("samples_ns").asLongBuffer().get(samples)
            val found = LatencyStatistics(samples)
            val values = mapOf(
                "p50" to found.p50Ms, "p90" to found.p90Ms, "p95" to found.p95Ms,
                "p99" to found.p99Ms, "mean" to found.meanMs, "std" to found.stdMs,
                "min" to found.minMs, "max" to found.maxMs,
            )
            for ((name, value) in values) {
                val expected = case.text(name).toDoubleOrNull()
                if (expected == null) {
                    assertNull("${case.name} $name", value)
                } else {
                    val tolerance = 1e-10 * maxOf(1.0, expected)
                    assertEquals("${case.name} $name", expected, value!!, tolerance)
                }
            }
        }
    }

    @Test
    fun `no times have no statistics`() {
        failure<IllegalArgumentException> { LatencyStatistics(LongArray(0)) }
        failure<IllegalArgumentException> { LatencyStatistics(longArrayOf(1)).percentileMs(101.0) }
    }
}
