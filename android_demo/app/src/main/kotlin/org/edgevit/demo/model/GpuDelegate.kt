package org.edgevit.demo.model

import java.lang.reflect.InvocationTargetException
import org.edgevit.core.ModelMismatch
import org.tensorflow.lite.Delegate

/** The GPU delegate, found at run time: the app builds and runs without its library. */
object GpuDelegate {
    private const val DELEGATE = "org.tensorflow.lite.gpu.GpuDelegate"

    // In an artefact of its own; without it the delegate's constructor fails.
    private const val OPTIONS = "org.tensorflow.lite.gpu.GpuDelegateFactory\$Options"

    /** True if the app was built with both of its artefacts. */
    val isBuiltIn: Boolean by lazy {
        listOf(DELEGATE, OPTIONS).all { name ->
            try {
                Class.forName(name, false, javaClass.classLoader)
                true
            } catch (_: ClassNotFoundException) {
                false
            }
        }
    }

    /**
     * Starts the delegate; it is closed after the interpreter that uses it.
     *
     * @throws ModelMismatch if it does not start on this phone.
     */
    fun start(): Delegate =
        try {
            Class.forName(DELEGATE).getDeclaredConstructor().newInstance() as Delegate
        } catch (error: InvocationTargetException) {
            throw absent(error.cause ?: error)
        } catch (error: ReflectiveOperationException) {
            throw absent(error)
        } catch (error: LinkageError) {
            throw absent(error)
        }

    private fun absent(error: Throwable) =
        ModelMismatch("the GPU delegate does not start (${error.message})", "Choose the CPU")
}
