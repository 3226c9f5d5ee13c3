package org.edgevit.core

import java.time.OffsetDateTime
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** The phone's result against the document that Python made from the same numbers. */
class BenchDocumentTest {
    private val template = Golden.text("bench/template.json")
    private val input = fields(Json.parse(Golden.text("bench/phone.json")))

    @Test
    fun `the document is the one that edgevit report reads`() {
        assertSame("", Json.parse(Golden.text("bench/document.json")), Json.parse(rendered()))
    }

    @Test
    fun `samples are thinned in the document and not in the statistics`() {
        val many = Protocol("many", false, 200_000, 0.0, repeats = 1)
        val timing = Timing(many, listOf(LongArray(200_000) { 1_000_000L + it }), 10, true)
        val measured = Measured(1, "cpu", timing, null, 1.0, 1.0, "unknown")
        val rows = fields(Json.parse(rendered(listOf(measured))))["rows"] as List<*>
        val latency = fields(fields(fields(rows.single())["measurement"])["latency"])
        assertEquals(4L, latency["sample_stride"])
        assertEquals(50_000, (latency["samples_ns"] as List<*>).size)
        assertEquals(200_000L, latency["query_count"])
    }

    @Test
    fun `UTC is written as Python reads it`() {
        val text = rendered(started = OffsetDateTime.parse("2026-01-02T03:04:05.678Z"))
        assertEquals("2026-01-02T03:04:05+00:00", fields(Json.parse(text))["started"])
    }

    @Test
    fun `a damaged template is refused`() {
        val rowless = template.replace("\"rows\"", "\"r\"")
        for (text in listOf("", "[]", "{}", template.take(200), rowless)) {
            val error = failure<ModelMismatch> { rendered(template = text) }
            assertTrue(error.message, error.message!!.startsWith("bench_template.json is damaged"))
        }
    }

    private fun rendered(
        measured: List<Measured> = (input["measured"] as List<*>).map { measured(fields(it)) },
        started: OffsetDateTime = OffsetDateTime.parse(input["started"] as String),
        template: String = this.template,
    ): String = BenchDocument.render(
        template,
        started,
        phone(fields(input["phone"])),
        fields(input["versions"]).mapValues { it.value as String },
        (input["notes"] as List<*>).map { it as String },
        measured,
    )

    private fun phone(from: Map<String, Any?>) = Phone(
        release = from["release"] as String,
        kernel = from["kernel"] as String,
        abi = from["abi"] as String,
        maker = from["maker"] as String,
        model = from["model"] as String,
        soc = from["soc"] as String,
        cpu = from["cpu"] as String,
        logicalCores = (from["logical_cores"] as Long).toInt(),
        memoryBytes = from["memory_bytes"] as Long,
        memoryAvailableBytes = from["memory_available_bytes"] as Long,
    )

    private fun measured(from: Map<String, Any?>) = Measured(
        threads = (from["threads"] as Long).toInt(),
        device = from["device"] as String,
        inference = timing(from, "inference_ns")!!,
        endToEnd = timing(from, "end_to_end_ns"),
        loadMs = from["load_ms"] as Double,
        firstInferenceMs = from["first_inference_ms"] as Double,
        placement = from["placement"] as String,
        accelerator = from["accelerator"]?.let { use(from["device"] as String, fields(it)) },
        heat = (from["heat"] as List<*>).map {
            HeatSample(fields(it)["seconds"] as Double, (fields(it)["status"] as Long).toInt())
        },
        clockJumpSeconds = from["clock_jump_seconds"] as Double,
    )

    private fun timing(from: Map<String, Any?>, name: String): Timing? {
        val repeats = from[name] as List<*>? ?: return null
        return Timing(
            Protocol.QUICK,
            repeats.map { part -> (part as List<*>).map { it as Long }.toLongArray() },
            (from["warmup_count"] as Long).toInt(),
            from["warmup_settled"] as Boolean,
            (from["cooldown_seconds"] as List<*>).map { it as Double },
        )
    }

    private fun use(device: String, from: Map<String, Any?>) = AcceleratorUse(
        device,
        (from["compared_count"] as Long).toInt(),
        from["agreement"] as Double,
        from["max_abs_difference"] as Double,
        from["detail"] as String,
    )

    /**
     * Compares two documents; of numbers only the last digits may differ.
     *
     * A field that Python has at its default and the phone leaves out is the same to the reader.
     */
    private fun assertSame(place: String, expected: Any?, found: Any?) {
        when (expected) {
            is Map<*, *> -> {
                val other = fields(found)
                assertTrue("$place: ${other.keys}", expected.keys.containsAll(other.keys))
                for ((name, value) in fields(expected)) {
                    if (name in other) {
                        assertSame("$place.$name", value, other[name])
                    } else {
                        assertTrue("$place.$name is missing", value in DEFAULTS)
                    }
                }
            }
            is List<*> -> {
                assertEquals(place, expected.size, (found as List<*>).size)
                expected.indices.forEach { assertSame("$place[$it]", expected[it], found[it]) }
            }
            is Double -> assertEquals(place, expected, found as Double, 1e-10 * abs(expected))
            else -> assertEquals(place, expected, found)
        }
    }

    private companion object {
        val DEFAULTS = listOf(null, false, emptyList<Any>())

        @Suppress("UNCHECKED_CAST")
        fun fields(value: Any?): Map<String, Any?> = value as Map<String, Any?>
    }
}

/** Our small JSON. */
class JsonTest {
    @Test
    fun `what is written is read again`() {
        val value = mapOf(
            "text" to "\"\\/\b\u000c\n\r\t\u0001 Käuzchen 犬 🦊",
            "numbers" to listOf(0L, -1L, Long.MAX_VALUE, 0.5, -1e-300, 1e300, 1.0),
            "words" to listOf(true, false, null),
            "empty" to listOf(emptyMap<String, Any>(), emptyList<Any>()),
        )
        assertEquals(value, Json.parse(Json.write(value)))
    }

    @Test
    fun `it is laid out as Python's`() {
        val text = "{\n  \"a\": [\n    1,\n    \"b\"\n  ],\n  \"c\": {},\n  \"d\": null\n}\n"
        assertEquals(text, Json.write(Json.parse(text)))
    }

    @Test
    fun `escapes are read`() {
        assertEquals("é🦊/\n", Json.parse("\"\\u00e9\\ud83e\\udd8a\\/\\n\""))
    }

    @Test
    fun `what is no JSON is refused with the place`() {
        val wrong = listOf(
            "", " ", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "nul", "01", "1.", ".5",
            "+1", "1e", "-", "\"", "\"\\x\"", "\"\\u12\"", "\"\n\"", "[] []", "NaN", "1e999",
            "[".repeat(200),
        )
        for (text in wrong) {
            val error = failure<IllegalArgumentException> { Json.parse(text) }
            assertTrue("$text: ${error.message}", error.message!!.startsWith("no JSON: "))
        }
    }

    @Test
    fun `what JSON cannot hold is refused`() {
        failure<IllegalArgumentException> { Json.write(Double.NaN) }
        failure<IllegalArgumentException> { Json.write(Float.POSITIVE_INFINITY) }
        failure<IllegalArgumentException> { Json.write('c') }
    }
}
