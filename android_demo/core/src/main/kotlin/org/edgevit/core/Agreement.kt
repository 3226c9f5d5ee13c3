package org.edgevit.core

import kotlin.math.abs

/**
 * Whether an accelerator's answers are those of the CPU.
 *
 * @property device as it was asked for, such as `gpu TFLite GPU delegate`.
 * @property comparedCount photos that were compared before anything was timed.
 * @property agreement share of them with the CPU's best label, 0–1.
 * @property maxAbsDifference largest difference of a probability.
 * @property detail what is known about where the ops run, in words.
 */
class AcceleratorUse(
    val device: String,
    val comparedCount: Int,
    val agreement: Double,
    val maxAbsDifference: Double,
    val detail: String,
)

/** An accelerator whose answers are wrong: its times would mean nothing. */
class AcceleratorWrong(message: String) : Exception(message)

/** Compares an accelerator with the CPU, as `edgevit bench` does before it times one. */
object Agreement {
    /** Share of photos whose label must be the CPU's. */
    const val MIN_AGREEMENT = 0.9

    /**
     * Compares the answers to the same photos.
     *
     * @param onCpu probabilities for each photo, at least one.
     * @param onDevice the accelerator's for the same photos.
     * @throws AcceleratorWrong if numbers are not finite, all answers alike, or too many labels
     *   are others.
     */
    fun check(
        device: String,
        onCpu: List<FloatArray>,
        onDevice: List<FloatArray>,
        detail: String,
    ): AcceleratorUse {
        require(onCpu.isNotEmpty() && onCpu.size == onDevice.size) {
            "${onCpu.size} answers of the CPU, ${onDevice.size} of $device"
        }
        val broken = onDevice.count { scores -> scores.any { !it.isFinite() } }
        if (broken > 0) {
            throw AcceleratorWrong(
                "$device returns numbers that are not finite " +
                    "for $broken of ${onDevice.size} photos",
            )
        }
        if (areAlike(onDevice) && !areAlike(onCpu)) {
            throw AcceleratorWrong("$device returns the same answer for every photo")
        }
        val pairs = onCpu.zip(onDevice)
        val same = pairs.count { (cpu, other) -> best(cpu) == best(other) }
        val agreement = same.toDouble() / pairs.size
        if (agreement < MIN_AGREEMENT) {
            throw AcceleratorWrong(
                "$device gives the CPU's label for $same of ${pairs.size} photos: " +
                    "its times would mean nothing",
            )
        }
        val largest = pairs.maxOf { (cpu, other) -> cpu.indices.maxOf { abs(cpu[it] - other[it]) } }
        return AcceleratorUse(device, pairs.size, agreement, largest.toDouble(), detail)
    }

    private fun areAlike(answers: List<FloatArray>): Boolean =
        answers.all { it.contentEquals(answers.first()) }

    private fun best(scores: FloatArray): Int = TopK.indices(scores, 1).first()
}
