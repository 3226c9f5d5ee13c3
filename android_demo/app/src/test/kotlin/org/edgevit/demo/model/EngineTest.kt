package org.edgevit.demo.model

import org.edgevit.demo.FakeClassifier
import org.edgevit.demo.FakeClock
import org.edgevit.demo.FakeFactory
import org.edgevit.demo.TestBundle
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class EngineTest {
    @get:Rule val folder = TemporaryFolder()
    private val factory by lazy {
        FakeFactory(ModelAssets(TestBundle(folder.root).files), FakeClock())
    }
    private val engine by lazy { Engine(factory, Runnable::run, Runnable::run) }
    private val one = RunSettings(1, Accelerator.CPU)

    private fun <T> result(settings: RunSettings, work: (Classifier) -> T): Result<T> {
        var found: Result<T>? = null
        engine.submit(settings, work) { found = it }
        return checkNotNull(found)
    }

    @Test
    fun test_classifier_isKept_whenTheSettingsStay() {
        val first = result(one) { it }.getOrThrow()
        assertSame(first, result(one) { it }.getOrThrow())
    }

    @Test
    fun test_classifier_isClosed_whenTheSettingsChange() {
        val first = result(one) { it }.getOrThrow() as FakeClassifier
        val second = result(one.copy(threads = 4)) { it }.getOrThrow()
        assertTrue(first.isClosed)
        assertEquals(4, second.settings.threads)
    }

    @Test
    fun test_nextTaskWorks_whenOneFailed() {
        val error = result(one) { throw OutOfMemoryError() }.exceptionOrNull()
        assertEquals("There is not enough memory for this photo", readable(checkNotNull(error)))
        assertEquals(3, result(one) { it.labels.size }.getOrThrow())
    }
}
