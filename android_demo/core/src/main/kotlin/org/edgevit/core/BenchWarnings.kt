package org.edgevit.core

import java.util.Locale

/** What must be known before a measurement is used, in the words of `edgevit bench`. */
internal object BenchWarnings {
    private const val MAX_REPEAT_SPREAD = 0.05

    /** Every reason to doubt it, the gravest first, as clauses without a full stop. */
    fun of(template: Template, measured: Measured): List<String> =
        ofTheAccelerator(measured) + ofTheDevice(measured) + ofThePhotos(template) +
            ofTheTimes(measured.inference)

    private fun ofTheAccelerator(measured: Measured): List<String> {
        val use = measured.accelerator ?: return emptyList()
        return listOf("nobody knows how much of the model runs on ${use.device} (${use.detail})")
    }

    private fun ofTheDevice(measured: Measured): List<String> {
        val lines = mutableListOf<String>()
        if (measured.throttling.isNotEmpty()) {
            lines += "the device throttled while it was measured " +
                "(${measured.throttling.joinToString(", ")}): these times are not valid; " +
                "check cooling and power supply, and measure again"
        }
        if (measured.heat.isNotEmpty() && measured.clockJumpSeconds != 0.0) {
            val jump = String.format(Locale.ROOT, "%+.0f", measured.clockJumpSeconds)
            lines += "the time of day was set by $jump s meanwhile; the times come from a clock " +
                "that this does not touch"
        }
        return lines
    }

    private fun ofThePhotos(template: Template): List<String> {
        if (template.evaluation["same_photos"] == true) return emptyList()
        val source = template.evaluation["source"]
        return listOf("measured on other photos ($source) than the run's own")
    }

    private fun ofTheTimes(timing: Timing): List<String> {
        val lines = mutableListOf<String>()
        if (!timing.warmupSettled) {
            lines += "the times were not steady after the longest warm-up: is the machine busy?"
        }
        val medians = timing.mediansMs
        val spread = (medians.max() - medians.min()) / medians.min()
        if (spread > MAX_REPEAT_SPREAD) {
            val percent = String.format(Locale.ROOT, "%.0f", 100 * spread)
            lines += "the medians of ${medians.size} repeats differ by $percent %, " +
                "more than 5 %: is the machine busy?"
        }
        return lines
    }
}
