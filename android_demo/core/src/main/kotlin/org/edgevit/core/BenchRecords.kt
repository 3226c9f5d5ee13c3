package org.edgevit.core

/**
 * The phone that something was measured on.
 *
 * @property release Android's version, such as `14`.
 * @property kernel Linux's release.
 * @property abi such as `arm64-v8a`.
 * @property maker such as `Google`.
 * @property model such as `Pixel 8`.
 * @property soc the chip, such as `Google Tensor G3`; `null` before Android 12.
 * @property cpu the processor's name.
 * @property logicalCores at least 1.
 * @property memoryBytes of RAM.
 * @property memoryAvailableBytes what programs could take before the benchmark.
 */
class Phone(
    val release: String,
    val kernel: String,
    val abi: String,
    val maker: String,
    val model: String,
    val soc: String?,
    val cpu: String,
    val logicalCores: Int,
    val memoryBytes: Long,
    val memoryAvailableBytes: Long?,
)

/**
 * How hot Android said the phone was.
 *
 * @property seconds since the measurement began.
 * @property thermalStatus PowerManager.getCurrentThermalStatus(), 0 for none; `null` before
 *   Android 10.
 */
class HeatSample(val seconds: Double, val thermalStatus: Int?)

/**
 * One model with one number of threads on one device of the phone.
 *
 * @property threads of the CPU.
 * @property device `cpu`, or kind and name such as `gpu TFLite GPU delegate`.
 * @property inference times of the model alone.
 * @property endToEnd times from an encoded photo to its best label; `null` if not taken.
 * @property loadMs mapping the file and making the interpreter, milliseconds.
 * @property firstInferenceMs milliseconds.
 * @property placement where the ops run as far as it is known, in words.
 * @property accelerator how its answers compare with the CPU's; `null` on the CPU.
 * @property heat in order of time; empty if it was not watched.
 * @property clockJumpSeconds how far the time of day was set meanwhile; 0 if it was not.
 */
class Measured(
    val threads: Int,
    val device: String,
    val inference: Timing,
    val endToEnd: Timing?,
    val loadMs: Double,
    val firstInferenceMs: Double,
    val placement: String,
    val accelerator: AcceleratorUse? = null,
    val heat: List<HeatSample> = emptyList(),
    val clockJumpSeconds: Double = 0.0,
) {
    /** What Android said about heat meanwhile, in words; empty while all was well. */
    val throttling: List<String>
        get() = heat.mapNotNull { it.thermalStatus }.filter { it > 0 }.distinct().map {
            "Android's thermal status $it (${THERMAL_STATUS.getOrElse(it) { "unknown" }})"
        }

    private companion object {
        // Of android.os.PowerManager, by number.
        val THERMAL_STATUS =
            listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
    }
}
