package org.edgevit.demo.model

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.edgevit.core.ModelMismatch
import org.edgevit.core.PixelWriter
import org.edgevit.core.Quantisation
import org.edgevit.core.RgbImage
import org.edgevit.core.ScoreReader
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite

/**
 * The model on TensorFlow Lite.
 *
 * Uses only what TensorFlow Lite 2.16.1 and LiteRT 1.4 have in common.
 */
class TfLiteClassifier private constructor(
    private val installed: InstalledModel,
    override val settings: RunSettings,
    override val loadMs: Double,
    private val interpreter: Interpreter,
    private val delegate: Delegate?,
) : Classifier {
    override val model get() = installed.properties
    override val labels get() = installed.labels
    override val placement: String
        get() = when (settings.accelerator) {
            Accelerator.CPU -> "CPU, XNNPACK where it has the op; shares are not known on a phone"
            Accelerator.GPU -> "GPU where the delegate takes the op, else CPU; shares are not known"
        }

    private val writer = PixelWriter(model.inputType, quantisation(interpreter.getInputTensor(0)))
    private val reader =
        ScoreReader(model.outputType, quantisation(interpreter.getOutputTensor(0)), labels.size)
    private val input = direct(interpreter.getInputTensor(0).numBytes())
    private val output = direct(reader.sizeBytes)

    override fun scores(input: RgbImage): FloatArray {
        writer.write(input, this.input)
        output.rewind()
        interpreter.run(this.input, output)
        return reader.read(output)
    }

    override fun close() {
        interpreter.close()
        delegate?.close()
    }

    companion object {
        /**
         * Makes the interpreter and checks its tensors against the record.
         *
         * @throws ModelMismatch if TensorFlow Lite cannot run the model, or it is another.
         */
        fun open(installed: InstalledModel, settings: RunSettings): TfLiteClassifier {
            val begun = System.nanoTime()
            val delegate =
                if (settings.accelerator == Accelerator.GPU) GpuDelegate.start() else null
            var interpreter: Interpreter? = null
            try {
                interpreter = interpreter(installed, settings, delegate)
                check(installed, interpreter)
                val loadMs = (System.nanoTime() - begun) / 1e6
                return TfLiteClassifier(installed, settings, loadMs, interpreter, delegate)
            } catch (error: ModelMismatch) {
                interpreter?.close()
                delegate?.close()
                throw error
            }
        }

        private fun interpreter(
            installed: InstalledModel,
            settings: RunSettings,
            delegate: Delegate?,
        ): Interpreter {
            val options = Interpreter.Options()
            options.setNumThreads(settings.threads)
            // Beside a GPU too: it computes the ops that the GPU does not take.
            options.setUseXNNPACK(true)
            delegate?.let { options.addDelegate(it) }
            try {
                return Interpreter(installed.file, options).also { it.allocateTensors() }
            } catch (error: LinkageError) {
                throw ModelMismatch(
                    "TensorFlow Lite does not start on this phone (${oneLine(error)})",
                    "Build the app for the phone's processor",
                )
            } catch (error: IllegalArgumentException) {
                throw refused(error)
            } catch (error: IllegalStateException) {
                throw refused(error)
            }
        }

        private fun check(installed: InstalledModel, interpreter: Interpreter) {
            val properties = installed.properties
            val inputs = interpreter.inputTensorCount
            val outputs = interpreter.outputTensorCount
            if (inputs != 1 || outputs != 1) {
                throw ModelMismatch("the model has $inputs inputs and $outputs outputs, not one")
            }
            val input = interpreter.getInputTensor(0)
            val output = interpreter.getOutputTensor(0)
            properties.checkInput(input.dataType().name.lowercase(), input.shape())
            properties.checkOutput(output.dataType().name.lowercase(), output.shape())
        }

        private fun refused(error: Exception) =
            ModelMismatch("TensorFlow Lite refuses the model (${oneLine(error)})")

        private fun oneLine(error: Throwable): String =
            error.message.orEmpty().trim().lineSequence().first()

        private fun quantisation(tensor: Tensor): Quantisation? {
            val parameters = tensor.quantizationParams()
            // TensorFlow Lite's way of saying that there are none.
            if (parameters.scale == 0f) return null
            return Quantisation(parameters.scale, parameters.zeroPoint)
        }

        private fun direct(sizeBytes: Int): ByteBuffer =
            ByteBuffer.allocateDirect(sizeBytes).order(ByteOrder.nativeOrder())
    }
}

/** Opens the model in the app's assets; reads and checks them once. */
class TfLiteClassifiers(private val assets: ModelAssets) : ClassifierFactory {
    private val installed by lazy { assets.load() }

    override val hasGpu: Boolean get() = GpuDelegate.isBuiltIn

    override val versions: Map<String, String>
        get() = mapOf("tflite" to TensorFlowLite.runtimeVersion())

    override fun open(settings: RunSettings): Classifier =
        TfLiteClassifier.open(installed, settings)
}
