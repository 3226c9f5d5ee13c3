package org.edgevit.demo.model

import org.edgevit.core.Labels
import org.edgevit.core.ModelProperties
import org.edgevit.core.RgbImage

/** What computes the model. */
enum class Accelerator {
    /** The processor, by XNNPACK's kernels. */
    CPU,

    /** The graphics processor, by TensorFlow Lite's delegate; an option, where it is built in. */
    GPU,
}

/**
 * How a model is run.
 *
 * @property threads of the CPU, at least 1.
 */
data class RunSettings(val threads: Int, val accelerator: Accelerator) {
    companion object {
        /** Two threads: most phones have at least two fast cores. */
        val DEFAULT = RunSettings(threads = 2, accelerator = Accelerator.CPU)
    }
}

/**
 * A model that is ready to answer.
 *
 * Not thread-safe: whoever opened it calls it and closes it, on one thread.
 */
interface Classifier : AutoCloseable {
    val model: ModelProperties
    val labels: Labels
    val settings: RunSettings

    /** From the mapped file to the ready interpreter, milliseconds. */
    val loadMs: Double

    /** Where the model's ops run, as far as that is known, in words. */
    val placement: String

    /**
     * Asks the model.
     *
     * @param input RGB of exactly the model's size.
     * @return probabilities, one for each label.
     */
    fun scores(input: RgbImage): FloatArray
}

/** Opens the installed model. */
interface ClassifierFactory {
    /** True if the app was built with the GPU delegate; it may still not suit the phone. */
    val hasGpu: Boolean

    /** Of the library that runs the model, such as `tflite` to `2.16.1`. */
    val versions: Map<String, String>

    /**
     * Opens the model; takes up to a second.
     *
     * @throws org.edgevit.core.ModelMismatch if it is missing, damaged or not what was recorded.
     */
    fun open(settings: RunSettings): Classifier
}
