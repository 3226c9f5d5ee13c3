package org.edgevit.demo.model

import org.edgevit.core.RgbImage
import org.edgevit.core.Scored
import org.edgevit.core.TopK

/**
 * What the model says about a picture, and how long that took.
 *
 * @property best the best labels, best first.
 * @property preprocessingNs from the camera's or decoder's pixels to the model's, nanoseconds.
 * @property inferenceNs the model alone, nanoseconds.
 */
class Recognition(val best: List<Scored>, val preprocessingNs: Long, val inferenceNs: Long)

/**
 * From a picture to its best labels.
 *
 * @param clock nanoseconds, monotonic.
 */
class Recogniser(
    private val classifier: Classifier,
    private val clock: () -> Long = System::nanoTime,
) {
    /** [read] counts as preprocessing: converting and turning a camera picture is part of it. */
    fun recognise(read: () -> RgbImage): Recognition {
        val begun = clock()
        val input = classifier.model.preprocessing.fit(read())
        val prepared = clock()
        val scores = classifier.scores(input)
        val ended = clock()
        val best = TopK.best(scores, classifier.labels, SHOWN)
        return Recognition(best, prepared - begun, ended - prepared)
    }

    private companion object {
        const val SHOWN = 5
    }
}
