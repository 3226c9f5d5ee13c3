package org.edgevit.core

import java.time.OffsetDateTime
import java.time.format.DateTimeFormatter

/**
 * The benchmark's result in the schema of `edgevit bench`, so that `edgevit report` merges it.
 *
 * `edgevit android install` wrote a template with all that it knows: hashes, the run and its
 * full-precision reference, sizes. The phone adds what it measured.
 */
object BenchDocument {
    const val TEMPLATE_FILE = "bench_template.json"

    /** More samples are thinned in the document, never in the statistics. */
    const val MAX_KEPT_SAMPLES = 65_536

    /**
     * Writes the document.
     *
     * @param template the text of [TEMPLATE_FILE].
     * @param started when, with the time zone.
     * @param versions of what ran, such as `tflite` to `2.16.1`; added to the template's.
     * @param notes about the phone as a whole, such as its charger, as clauses without a full stop.
     * @param measured at least one, all under the same protocol.
     * @throws ModelMismatch if the template is damaged.
     */
    fun render(
        template: String,
        started: OffsetDateTime,
        phone: Phone,
        versions: Map<String, String>,
        notes: List<String>,
        measured: List<Measured>,
    ): String {
        require(measured.isNotEmpty()) { "nothing was measured" }
        val known = Template.parse(template)
        val document = LinkedHashMap(known.document)
        document["started"] = timestamp(started)
        document["machine"] = machine(phone)
        document["cpu_affinity"] = emptyList<Any>()
        document["versions"] = known.versions + versions
        document["protocol"] = protocol(measured.first().inference.protocol)
        document["rows"] = measured.map { row(known, it) }
        document["notes"] = known.notes + notes
        return Json.write(document)
    }

    /** ISO 8601 to the second, the zone as `+00:00`: older Pythons do not read `Z`. */
    private fun timestamp(time: OffsetDateTime): String =
        time.format(DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ssxxx"))

    private fun machine(phone: Phone): Map<String, Any?> = mapOf(
        "system" to "Android ${phone.release} (Linux ${phone.kernel})",
        "architecture" to phone.abi,
        "python" to "none",
        "cpu" to mapOf(
            "model" to phone.cpu,
            "physical_cores" to null,
            "logical_cores" to phone.logicalCores,
            "features" to emptyMap<String, Boolean>(),
            "governor" to null,
        ),
        "memory_bytes" to phone.memoryBytes,
        "board" to "${phone.maker} ${phone.model}",
        "accelerators" to emptyList<Any>(),
        "soc" to phone.soc,
        "memory_available_bytes" to phone.memoryAvailableBytes,
    )

    private fun protocol(protocol: Protocol): Map<String, Any?> = mapOf(
        "name" to protocol.name,
        "comparable" to protocol.comparable,
        "min_queries" to protocol.minQueries,
        "min_seconds" to protocol.minSeconds,
        "warmup_min_queries" to protocol.warmupMinQueries,
        "warmup_min_seconds" to protocol.warmupMinSeconds,
        "warmup_max_seconds" to protocol.warmupMaxSeconds,
        "repeats" to protocol.repeats,
        "cold_starts" to protocol.coldStarts,
    )

    private fun row(template: Template, measured: Measured): Map<String, Any?> {
        val row = LinkedHashMap(template.row)
        row["threads"] = measured.threads
        row["device"] = measured.device
        row["measurement"] = measurement(template, measured)
        return row
    }

    private fun measurement(template: Template, measured: Measured): Map<String, Any?> {
        val measurement = LinkedHashMap(template.measurement)
        measurement["latency"] = latency(measured.inference)
        measurement["repeats"] = mapOf(
            "latency_ms_p50" to measured.inference.mediansMs,
            "cooldown_seconds" to measured.inference.cooldownSeconds,
        )
        measurement["placement"] = mapOf(
            "summary" to measured.placement,
            "ops" to emptyMap<String, Int>(),
            "partitions" to 0,
        )
        measurement["end_to_end"] = measured.endToEnd?.let(::latency)
        measurement["cold_start"] = mapOf(
            "import_ms" to emptyList<Double>(),
            "load_ms" to listOf(measured.loadMs),
            "first_inference_ms" to listOf(measured.firstInferenceMs),
            "cache_state" to "inside the running app, once; the file may have been in memory",
        )
        measurement["accelerator"] = measured.accelerator?.let(::accelerator)
        measurement["conditions"] = conditions(measured)
        measurement["warnings"] = template.warnings + BenchWarnings.of(template, measured)
        return measurement
    }

    private fun latency(timing: Timing): Map<String, Any?> {
        val statistics = timing.statistics
        val samples = timing.samplesNs
        val stride = (samples.size + MAX_KEPT_SAMPLES - 1) / MAX_KEPT_SAMPLES
        return mapOf(
            "latency_ms_p50" to statistics.p50Ms,
            "latency_ms_p90" to statistics.p90Ms,
            "latency_ms_p95" to statistics.p95Ms,
            "latency_ms_p99" to statistics.p99Ms,
            "latency_ms_mean" to statistics.meanMs,
            "latency_ms_std" to statistics.stdMs,
            "latency_ms_min" to statistics.minMs,
            "latency_ms_max" to statistics.maxMs,
            "query_count" to statistics.count,
            "warmup_count" to timing.warmupCount,
            "warmup_settled" to timing.warmupSettled,
            "comparable" to timing.protocol.comparable,
            "sample_stride" to stride,
            "samples_ns" to samples.indices.step(stride).map { samples[it] },
        )
    }

    private fun accelerator(use: AcceleratorUse): Map<String, Any?> = mapOf(
        "device" to use.device,
        "ops_share" to null,
        "time_share" to null,
        "compared_count" to use.comparedCount,
        "agreement" to use.agreement,
        "max_abs_difference" to use.maxAbsDifference,
        "detail" to use.detail,
    )

    private fun conditions(measured: Measured): Map<String, Any?>? {
        if (measured.heat.isEmpty()) return null
        return mapOf(
            "samples" to measured.heat.map {
                mapOf(
                    "seconds" to it.seconds,
                    // Apps may only read the battery's temperature, which is another thing.
                    "temperature_c" to null,
                    "clock_mhz" to null,
                    "throttled" to null,
                )
            },
            "new_throttling" to measured.throttling,
            "clock_jump_seconds" to measured.clockJumpSeconds,
        )
    }
}

/** What `edgevit android install` knew, taken apart. */
internal class Template private constructor(
    val document: Map<String, Any?>,
    val versions: Map<String, Any?>,
    val notes: List<Any?>,
    val row: Map<String, Any?>,
    val measurement: Map<String, Any?>,
    val warnings: List<Any?>,
    val evaluation: Map<String, Any?>,
) {
    companion object {
        /** @throws ModelMismatch if the text is no template. */
        fun parse(text: String): Template {
            try {
                val document = fields(Json.parse(text))
                val row = fields(items(document["rows"]).single())
                val measurement = fields(row["measurement"])
                return Template(
                    document,
                    versions = fields(document["versions"]),
                    notes = items(document["notes"]),
                    row = row,
                    measurement = measurement,
                    warnings = items(measurement["warnings"]),
                    evaluation = fields(measurement["evaluation"]),
                )
            } catch (error: IllegalArgumentException) {
                throw damaged(error)
            } catch (error: NoSuchElementException) {
                throw damaged(error)
            }
        }

        private fun damaged(error: Exception) =
            ModelMismatch("${BenchDocument.TEMPLATE_FILE} is damaged (${error.message})")

        private fun fields(value: Any?): Map<String, Any?> {
            require(value is Map<*, *>) { "an object is missing" }
            return value.entries.associate { (name, item) -> name.toString() to item }
        }

        private fun items(value: Any?): List<Any?> {
            require(value is List<*>) { "a list is missing" }
            return value
        }
    }
}
