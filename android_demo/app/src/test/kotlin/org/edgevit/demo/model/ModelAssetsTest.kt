package org.edgevit.demo.model

import org.edgevit.core.ModelMismatch
import org.edgevit.demo.TestBundle
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class ModelAssetsTest {
    @get:Rule val folder = TemporaryFolder()
    private lateinit var bundle: TestBundle
    private val assets get() = ModelAssets(bundle.files)

    @Before
    fun install() {
        bundle = TestBundle(folder.root)
    }

    private fun refused(): String {
        val message = assertThrows(ModelMismatch::class.java) { assets.load() }.message.orEmpty()
        assertEquals("one line", 1, message.lines().size)
        return message
    }

    private fun refusedWith(key: String, value: String): String {
        bundle.properties[key] = value
        bundle.writeProperties()
        return refused()
    }

    @Test
    fun test_bundle_isLoaded_whenAllBelongsTogether() {
        val installed = assets.load()
        assertEquals(TestBundle.LABELS, installed.labels.names)
        assertEquals(TestBundle.MODEL.size, installed.file.limit())
    }

    @Test
    fun test_message_namesFileAndRemedy_whenAFileIsMissing() {
        for (name in listOf("model.tflite", "labels.txt", "model.properties")) {
            bundle.delete(name)
            val message = refused()
            assertTrue(message, "no model is installed: $name is missing" in message)
            assertTrue(message, "edgevit android install BUNDLE" in message)
        }
    }

    @Test
    fun test_bundle_isRefused_whenAFileIsEmpty() {
        for (name in listOf("model.tflite", "labels.txt", "model.properties")) {
            bundle.write(name, ByteArray(0))
            assertTrue(refused(), "$name is empty" in refused())
        }
    }

    @Test
    fun test_bundle_isRefused_whenTheModelIsAnother() {
        bundle.write("model.tflite", TestBundle.MODEL + 0)
        assertTrue(refused(), "${TestBundle.MODEL.size} were recorded" in refused())
        bundle.write("model.tflite", TestBundle.MODEL.copyOf().also { it[30] = 1 })
        assertTrue(refused(), "was changed" in refused())
    }

    @Test
    fun test_bundle_isRefused_whenTheRecordDoesNotFit() {
        assertTrue("3 labels, model.properties says 4" in refusedWith("label_count", "4"))
        assertTrue("takes float32" in refusedWith("input_type", "float32"))
    }
}
