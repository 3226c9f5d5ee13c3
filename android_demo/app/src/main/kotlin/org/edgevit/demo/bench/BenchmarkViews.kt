package org.edgevit.demo.bench

import android.app.Activity
import android.view.View
import android.widget.Button
import android.widget.TextView
import org.edgevit.core.LatencyStatistics
import org.edgevit.core.Measured
import org.edgevit.demo.R
import org.edgevit.demo.shortNumber

/** Shows a [BenchmarkState] on the benchmark's views. */
class BenchmarkViews(private val activity: Activity) {
    private val subtitle: TextView = find(R.id.subtitle)
    private val start: Button = find(R.id.start)
    private val progress: View = find(R.id.progress)
    private val progressText: TextView = find(R.id.progress_text)
    private val error: TextView = find(R.id.error)
    private val hint: View = find(R.id.hint)
    private val results: View = find(R.id.results)
    private val notes: TextView = find(R.id.notes)

    fun show(state: BenchmarkState) {
        subtitle.text = state.model?.let {
            text(R.string.model_size, it.name, it.precision, it.sizeBytes / BYTES_PER_MB)
        }
        start.setText(if (state.isRunning) R.string.stop else R.string.start)
        start.isEnabled = state.model != null
        for (id in listOf(R.id.threads, R.id.accelerator, R.id.protocol)) {
            find<View>(id).isEnabled = !state.isRunning
        }
        progress.visibility = visible(state.isRunning)
        progressText.text = state.progress?.let(::words)
        error.visibility = visible(state.error != null)
        error.text = state.error
        hint.visibility = visible(!state.isRunning && state.result == null && state.error == null)
        results.visibility = visible(state.result != null)
        state.result?.let { show(it.times) }
    }

    private fun words(progress: BenchmarkProgress): String =
        when (progress.stage) {
            BenchmarkStage.OPENING -> text(R.string.opening)
            BenchmarkStage.COMPARING -> text(R.string.comparing)
            BenchmarkStage.PREPROCESSING -> text(R.string.timing_preprocessing)
            BenchmarkStage.WARMING_UP -> text(R.string.warming_up)
            BenchmarkStage.TIMING -> text(R.string.timing, progress.count)
            BenchmarkStage.COOLING -> text(R.string.cooling)
            BenchmarkStage.END_TO_END -> text(R.string.timing_end_to_end, progress.count)
        }

    private fun show(times: BenchmarkTimes) {
        val measured = times.measured
        row(R.id.inference_row, R.string.inference, measured.inference.statistics)
        row(R.id.preprocessing_row, R.string.preprocessing, times.preprocessing.statistics)
        val endToEnd = measured.endToEnd
        find<View>(R.id.end_to_end_row).visibility = visible(endToEnd != null)
        endToEnd?.let { row(R.id.end_to_end_row, R.string.end_to_end, it.statistics) }
        notes.text = notes(measured).joinToString("\n")
    }

    private fun row(id: Int, name: Int, statistics: LatencyStatistics) {
        val row = find<View>(id)
        row.findViewById<TextView>(R.id.name).setText(name)
        val columns = mapOf(
            R.id.p50 to Pair(R.string.p50, statistics.p50Ms),
            R.id.p90 to Pair(R.string.p90, statistics.p90Ms),
            R.id.mean to Pair(R.string.mean, statistics.meanMs),
        )
        for ((column, shown) in columns) {
            val number = shortNumber(shown.second)
            val view = row.findViewById<TextView>(column)
            view.text = number
            // Read aloud without its header, a number says nothing.
            view.contentDescription = text(R.string.time, text(shown.first), number)
        }
    }

    private fun notes(measured: Measured): List<String> {
        val timing = measured.inference
        val notes = mutableListOf<String>()
        val worst = measured.heat.mapNotNull { it.thermalStatus }.maxOrNull()
        notes += thermal(worst)
        notes += text(R.string.queries, timing.samplesNs.size, timing.warmupCount)
        if (!timing.warmupSettled) notes += text(R.string.not_settled)
        notes += text(R.string.load, measured.loadMs, measured.firstInferenceMs)
        measured.accelerator?.let {
            notes += text(R.string.agreement, 100 * it.agreement, it.comparedCount)
        }
        if (!timing.protocol.comparable) notes += text(R.string.not_comparable)
        return notes
    }

    private fun thermal(worst: Int?): String {
        if (worst == null) return text(R.string.thermal, text(R.string.thermal_unknown))
        val names = activity.resources.getStringArray(R.array.thermal_status)
        val name = names.getOrElse(worst) { worst.toString() }
        return text(if (worst > 0) R.string.thermal_throttled else R.string.thermal, name)
    }

    private fun text(id: Int, vararg values: Any): String = activity.getString(id, *values)

    private fun visible(isVisible: Boolean) = if (isVisible) View.VISIBLE else View.GONE

    private fun <T : View> find(id: Int): T = activity.findViewById(id)

    private companion object {
        const val BYTES_PER_MB = 1e6
    }
}
