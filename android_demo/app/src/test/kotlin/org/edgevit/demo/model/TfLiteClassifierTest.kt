package org.edgevit.demo.model

import org.edgevit.core.ModelMismatch
import org.edgevit.demo.TestBundle
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** What can be said without TensorFlow Lite's native library, which no computer has. */
class TfLiteClassifierTest {
    @get:Rule val folder = TemporaryFolder()

    private fun open(accelerator: Accelerator): String {
        val factory = TfLiteClassifiers(ModelAssets(TestBundle(folder.root).files))
        val open = { factory.open(RunSettings(1, accelerator)) }
        return assertThrows(ModelMismatch::class.java) { open() }.message.orEmpty()
    }

    @Test
    fun test_message_isReadable_whenTheNativeLibraryIsMissing() {
        val message = open(Accelerator.CPU)
        assertTrue(message, message.startsWith("TensorFlow Lite does not start on this phone"))
        assertTrue(message, message.lines().size == 1)
    }

    @Test
    fun test_gpu_isNotOffered_whenItsClassesAreMissing() {
        assertFalse(GpuDelegate.isBuiltIn)
        val message = open(Accelerator.GPU)
        assertTrue(message, "Choose the CPU" in message)
    }
}
