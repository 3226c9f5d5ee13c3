package org.edgevit.core

/**
 * A label and how sure the model is.
 *
 * @property score probability, 0–1.
 */
data class Scored(val label: String, val score: Float)

/** The best labels. */
object TopK {
    /**
     * Returns the [k] best labels, best first; equal scores keep the labels' order.
     *
     * @return as many as there are labels where [k] is more.
     * @throws ModelMismatch if there are not as many scores as labels, or a score is no number.
     */
    fun best(scores: FloatArray, labels: Labels, k: Int): List<Scored> {
        labels.check(scores.size)
        return indices(scores, k).map { Scored(labels.names[it], scores[it]) }
    }

    /**
     * Returns the positions of the [k] best scores, as [best] does.
     *
     * @throws ModelMismatch if a score is no number.
     */
    fun indices(scores: FloatArray, k: Int): List<Int> {
        val broken = scores.indexOfFirst { it.isNaN() }
        if (broken >= 0) {
            throw ModelMismatch("the model returned NaN as score $broken", "Export the run again")
        }
        val taken = BooleanArray(scores.size)
        return List(minOf(k, scores.size)) {
            var best = -1
            for (index in scores.indices) {
                // Compared as numbers: sorting boxed floats would put -0 behind 0.
                if (!taken[index] && (best < 0 || scores[index] > scores[best])) best = index
            }
            taken[best] = true
            best
        }
    }
}
