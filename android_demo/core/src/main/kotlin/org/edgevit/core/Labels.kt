package org.edgevit.core

import java.io.InputStream

/**
 * Names of the classes, in the order of the model's scores.
 *
 * @property names at least 1.
 */
class Labels(val names: List<String>) {
    /** Number of labels. */
    val size: Int get() = names.size

    /**
     * Checks that there is a label for each score.
     *
     * @throws ModelMismatch if there are more or fewer: names would stand beside other scores.
     */
    fun check(scoreCount: Int) {
        if (scoreCount != size) {
            throw ModelMismatch("the model returns $scoreCount scores, there are $size labels")
        }
    }

    companion object {
        const val FILE = "labels.txt"

        /**
         * Reads `labels.txt`: UTF-8, a label a line. The stream is closed.
         *
         * @throws ModelMismatch if it is empty.
         */
        fun load(stream: InputStream): Labels {
            val text = stream.use { it.readBytes() }.toString(Charsets.UTF_8)
            val names = text.removeSuffix("\n").split('\n')
            if (text.isEmpty()) throw ModelMismatch("$FILE is empty (0 bytes)")
            return Labels(names)
        }
    }
}
