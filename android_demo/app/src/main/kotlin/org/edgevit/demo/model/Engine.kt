package org.edgevit.demo.model

import java.util.concurrent.Executor
import org.edgevit.core.AcceleratorWrong
import org.edgevit.core.ModelMismatch
import org.edgevit.core.TimingCancelled
import org.edgevit.core.UnreadablePhoto

/**
 * The one worker thread and the one open classifier, which lives on it.
 *
 * Camera, photos, self-test and benchmark all go through it, so that they never compete for the
 * processor and a benchmark times nothing but itself.
 *
 * @param worker runs one task at a time, in order.
 * @param main where results are delivered: the thread of the screen.
 */
class Engine(
    val factory: ClassifierFactory,
    private val worker: Executor,
    private val main: Executor,
) {
    // Touched on the worker only.
    private var current: Classifier? = null

    /** Works with the model on the worker thread and delivers the result, or why there is none. */
    fun <T> submit(settings: RunSettings, work: (Classifier) -> T, deliver: (Result<T>) -> Unit) {
        worker.execute {
            val result = attempt { work(classifier(settings)) }
            main.execute { deliver(result) }
        }
    }

    /** For callers that are on the worker thread already. */
    fun <T> workNow(settings: RunSettings, work: (Classifier) -> T, deliver: (Result<T>) -> Unit) {
        val result = attempt { work(classifier(settings)) }
        main.execute { deliver(result) }
    }

    /** Runs something on the screen's thread. */
    fun deliver(action: () -> Unit) = main.execute(action)

    /**
     * Closes the open classifier and opens another, however alike; on the worker thread.
     *
     * @throws ModelMismatch if the model cannot be used.
     */
    fun reopen(settings: RunSettings): Classifier {
        current?.close()
        current = null
        return factory.open(settings).also { current = it }
    }

    private fun classifier(settings: RunSettings): Classifier =
        current?.takeIf { it.settings == settings } ?: reopen(settings)

    private fun <T> attempt(work: () -> T): Result<T> =
        try {
            Result.success(work())
        } catch (error: Exception) {
            Result.failure(error)
        } catch (error: OutOfMemoryError) {
            // A large photo on a small phone: the photo is gone, the app need not be.
            Result.failure(UnreadablePhoto("There is not enough memory for this photo", error))
        }
}

/** What went wrong, in one line that can be shown. */
fun readable(error: Throwable): String =
    when (error) {
        is ModelMismatch, is UnreadablePhoto, is AcceleratorWrong, is TimingCancelled ->
            sentence(error.message.orEmpty())
        else -> "${error.javaClass.simpleName}: ${error.message.orEmpty().lineSequence().first()}"
    }

/** Begins with a capital letter, unless it begins with the name of a file. */
private fun sentence(message: String): String =
    if ('.' in message.substringBefore(' ')) message
    else message.replaceFirstChar { it.uppercase() }
