package org.edgevit.demo.bench

import org.edgevit.core.ModelProperties
import org.edgevit.core.Protocol
import org.edgevit.demo.model.RunSettings

/**
 * What a benchmark found.
 *
 * @property document of `edgevit bench`, as JSON.
 */
class BenchmarkResult(val times: BenchmarkTimes, val document: String)

/**
 * Everything that the benchmark's screen shows.
 *
 * @property model `null` until it is open.
 * @property progress `null` while nothing runs.
 * @property result of the last benchmark, if it was not stopped.
 * @property error why there is no result, in one line.
 */
data class BenchmarkState(
    val model: ModelProperties? = null,
    val settings: RunSettings = RunSettings.DEFAULT,
    val protocol: Protocol = Protocol.QUICK,
    val progress: BenchmarkProgress? = null,
    val result: BenchmarkResult? = null,
    val error: String? = null,
) {
    val isRunning: Boolean get() = progress != null
}
