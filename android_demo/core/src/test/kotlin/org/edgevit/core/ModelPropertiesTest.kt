package org.edgevit.core

import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** What `edgevit android install` wrote, and what becomes of it in careless hands. */
class ModelPropertiesTest {
    private val intact = Golden.text("properties/model.properties")

    private fun load(text: String) = ModelProperties.load(text.byteInputStream())

    /** The message for properties in which a line was changed. */
    private fun refusal(key: String, value: String): String {
        val line = Regex.escapeReplacement("$key=$value")
        val changed = intact.replace(Regex("(?m)^$key=.*$"), line)
        return failure<ModelMismatch> { load(changed) }.message!!
    }

    @Test
    fun `Java reads what Python wrote`() {
        val model = load(intact)
        assertEquals("pets.tflite.int8", model.name)
        assertEquals("vit-b32", model.architecture)
        assertEquals("pets", model.runName)
        assertEquals("int8", model.precision)
        assertEquals("model.tflite", model.modelFile)
        assertEquals("9".repeat(64), model.sha256)
        assertEquals(88_123_456L, model.sizeBytes)
        assertEquals(ElementType.UINT8, model.inputType)
        assertEquals(ElementType.FLOAT32, model.outputType)
        assertEquals(3, model.labelCount)
        assertEquals(192, model.preprocessing.width)
        assertEquals(224, model.preprocessing.height)
        assertEquals("crop", model.preprocessing.resizeMode)
        assertEquals("bicubic", model.preprocessing.interpolation)
    }

    @Test
    fun `odd texts survive the properties' syntax`() {
        val reader = java.util.Properties()
        Golden.file("properties/odd.properties").inputStream().use { reader.load(it) }
        val cases = Golden.table("properties", least = 6)
        assertEquals(cases.size, reader.size)
        for (case in cases) {
            val key = Json.parse(case.text("key_json")) as String
            assertEquals(key, Json.parse(case.text("value_json")), reader.getProperty(key))
        }
    }

    @Test
    fun `a value that is missing or wrong is named`() {
        val lost = intact.replace(Regex("(?m)^label_count=.*\n"), "")
        val message = failure<ModelMismatch> { load(lost) }.message!!
        assertTrue(message, message.startsWith("model.properties has no label_count. Install"))
        assertTrue(refusal("label_count", "three").contains("label_count is 'three'"))
        assertTrue(refusal("schema", "2").contains("schema 2, this app reads 1"))
        assertTrue(refusal("input_type", "float32").contains("the model takes float32"))
        assertTrue(refusal("input_type", "int16").contains("the model takes int16"))
        assertTrue(refusal("output_type", "int64").contains("the model returns int64"))
        assertTrue(refusal("interpolation", "lanczos").contains("lanczos"))
        assertTrue(refusal("input_width", "0").contains("224×0"))
        assertTrue(refusal("name", "\\u12").contains("damaged"))
    }

    @Test
    fun `an empty asset is refused`() {
        val message = failure<ModelMismatch> { load("") }.message!!
        assertTrue(message, message.startsWith("model.properties is empty"))
    }

    @Test
    fun `messages are one line`() {
        assertFalse(refusal("label_count", "three").contains('\n'))
    }

    @Test
    fun `labels are counted`() {
        load(intact).checkLabels(Labels(listOf("a", "b", "c")))
        val error = failure<ModelMismatch> { load(intact).checkLabels(Labels(listOf("a", "b"))) }
        assertTrue(error.message!!.startsWith("labels.txt has 2 labels, model.properties says 3"))
    }

    @Test
    fun `the interpreter's tensors are held against the record`() {
        val model = load(intact)
        model.checkInput("uint8", intArrayOf(1, 224, 192, 3))
        model.checkOutput("float32", intArrayOf(1, 3))
        val shape = intArrayOf(1, 224, 192, 3)
        val type = failure<ModelMismatch> { model.checkInput("float32", shape) }
        assertTrue(
            type.message!!.startsWith(
                "the model takes float32 [1, 224, 192, 3], " +
                    "model.properties says uint8 [1, 224, 192, 3]",
            ),
        )
        // Height and width swapped: an input of as many bytes.
        failure<ModelMismatch> { model.checkInput("uint8", intArrayOf(1, 192, 224, 3)) }
        failure<ModelMismatch> { model.checkOutput("uint8", intArrayOf(1, 3)) }
        val labels = failure<ModelMismatch> { model.checkOutput("float32", intArrayOf(1, 1001)) }
        assertTrue(labels.message!!.contains("[1, 1001], there are 3 labels"))
    }

    @Test
    fun `the model file is checked before it is opened`() {
        val file = byteArrayOf(28, 0, 0, 0) + "TFL3".toByteArray() + Drawn.noise(100, 1)
        val model = load(
            intact.replace("9".repeat(64), Hashing.sha256(file)).replace("88123456", "108"),
        )
        val buffer = ByteBuffer.wrap(file)
        buffer.position(50)
        model.checkModel(buffer)
        assertEquals(50, buffer.position())

        fun refusal(bytes: ByteArray) =
            failure<ModelMismatch> { model.checkModel(ByteBuffer.wrap(bytes)) }.message!!

        assertTrue(refusal(ByteArray(0)).startsWith("model.tflite is empty (0 bytes)"))
        assertTrue(refusal(file.copyOf(107)).startsWith("model.tflite has 107 bytes, 108 were"))
        assertTrue(refusal(ByteArray(108)).startsWith("model.tflite is not a TFLite file"))
        val flipped = file.clone().also { it[60] = (it[60] + 1).toByte() }
        assertTrue(refusal(flipped).startsWith("model.tflite was changed: its sha256 is "))
    }
}

/** The self-test's photos and its verdicts. */
class GoldenSetTest {
    private val labels = Labels(listOf("cat", "dog", "fox"))
    private val text = Golden.text("properties/expected.properties")
    private val set = GoldenSet.load(text.byteInputStream(), labels.size)

    @Test
    fun `Java reads what Python wrote`() {
        assertEquals(0.05f, set.tolerance)
        assertEquals(listOf("00.png", "01.jpg"), set.photos.map { it.file })
        assertEquals(listOf(2, 0, 1), set.photos[0].best)
        assertEquals(listOf(0.75f, 0.2f, 0.05f), set.photos[0].scores)
        assertEquals("1".repeat(64), set.photos[0].pixelsSha256)
        assertNull(set.photos[1].pixelsSha256)
    }

    @Test
    fun `the expected answer passes`() {
        val verdict = set.compare(set.photos[0], floatArrayOf(0.21f, 0.05f, 0.74f), labels)
        assertTrue(verdict.message, verdict.passed)
        assertEquals(0.01f, verdict.worst, 1e-6f)
    }

    @Test
    fun `another label fails`() {
        val verdict = set.compare(set.photos[0], floatArrayOf(0.75f, 0.2f, 0.05f), labels)
        assertFalse(verdict.passed)
        assertTrue(verdict.message, verdict.message.contains("cat (0.75) instead of fox"))
    }

    @Test
    fun `a score that is off fails`() {
        val verdict = set.compare(set.photos[0], floatArrayOf(0.1f, 0.05f, 0.85f), labels)
        assertFalse(verdict.passed)
        assertTrue(verdict.message, verdict.message.contains("off by 0.1"))
    }

    @Test
    fun `two labels that were nearly equal may swap`() {
        val swapped = set.compare(set.photos[1], floatArrayOf(0.39f, 0.41f, 0.2f), labels)
        assertTrue(swapped.message, swapped.passed)
        val third = set.compare(set.photos[1], floatArrayOf(0.36f, 0.34f, 0.37f), labels)
        assertFalse(third.message, third.passed)
    }

    @Test
    fun `pixels are compared where decoders cannot differ`() {
        val image = Drawn.image("noise:1", 2, 2)
        assertNull(set.samePixels(set.photos[1], image))
        assertEquals(false, set.samePixels(set.photos[0], image))
        val known = text.replace("1".repeat(64), Hashing.sha256(image.pixels))
        val loaded = GoldenSet.load(known.byteInputStream(), labels.size)
        assertEquals(true, loaded.samePixels(loaded.photos[0], image))
    }

    @Test
    fun `answers about labels that the model has not are refused`() {
        val error = failure<ModelMismatch> { GoldenSet.load(text.byteInputStream(), 2) }
        assertTrue(error.message!!.contains("the model has 2 labels"))
        failure<ModelMismatch> { GoldenSet.load(text.replace("0.2,", "x,").byteInputStream(), 3) }
        failure<ModelMismatch> { GoldenSet.load("schema=1\ncount=0\n".byteInputStream(), 3) }
        failure<ModelMismatch> { GoldenSet.load("".byteInputStream(), 3) }
    }
}
