package org.edgevit.core

import java.io.InputStream
import kotlin.math.abs

/**
 * A bundled photo and what the model said about it on the machine that installed it.
 *
 * @property file its name below the assets' `golden/`.
 * @property sha256 of the file.
 * @property pixelsSha256 hash of the model's input for it, uint8 RGB; `null` where decoders may
 *   differ by a step (JPEG), so that only the answers can be compared.
 * @property best positions of the best labels, best first.
 * @property scores of these, 0–1.
 */
class GoldenPhoto internal constructor(
    val file: String,
    val sha256: String,
    val pixelsSha256: String?,
    val best: List<Int>,
    val scores: List<Float>,
)

/**
 * What came out for a golden photo on the phone.
 *
 * @property passed true if the phone's answer is the expected one.
 * @property message one line, fit to be shown.
 * @property worst largest difference of a score, 0–1.
 */
class GoldenVerdict(val passed: Boolean, val message: String, val worst: Float)

/**
 * The bundled photos with their expected answers.
 *
 * @property photos at least 1.
 * @property tolerance how far a score may be off, 0–1: kernels of other processors round otherwise.
 */
class GoldenSet(val photos: List<GoldenPhoto>, val tolerance: Float) {
    /**
     * Compares the phone's scores with the expected ones.
     *
     * The order of labels whose expected scores lie closer together than twice the tolerance is
     * left open.
     *
     * @param probabilities one for each label.
     */
    fun compare(photo: GoldenPhoto, probabilities: FloatArray, labels: Labels): GoldenVerdict {
        val top = TopK.indices(probabilities, 1).first()
        val worst = photo.best.zip(photo.scores).maxOf { (label, expected) ->
            abs(probabilities[label] - expected)
        }
        val name = labels.names[top]
        return when {
            !mayBeFirst(photo, top) -> {
                val expected = labels.names[photo.best.first()]
                val text = "${photo.file}: $name (${probabilities[top]}) instead of $expected"
                GoldenVerdict(false, text, worst)
            }
            worst > tolerance -> {
                val text = "${photo.file}: a score is off by $worst, at most $tolerance"
                GoldenVerdict(false, text, worst)
            }
            else -> GoldenVerdict(true, "${photo.file}: $name, off by at most $worst", worst)
        }
    }

    /** Whether a label was the expected best one, or so near to it that they may have swapped. */
    private fun mayBeFirst(photo: GoldenPhoto, label: Int): Boolean {
        val place = photo.best.indexOf(label)
        if (place == 0) return true
        // A label that was not among the expected best had at most the last one's score.
        val expected = if (place > 0) photo.scores[place] else photo.scores.last()
        return photo.scores.first() - expected < 2 * tolerance
    }

    /**
     * Compares the preprocessed pixels, where every decoder gives the same ones.
     *
     * @return `null` if that cannot be told for this photo.
     */
    fun samePixels(photo: GoldenPhoto, input: RgbImage): Boolean? =
        photo.pixelsSha256?.let { it == Hashing.sha256(input.pixels) }

    companion object {
        const val FOLDER = "golden"
        const val FILE = "golden/expected.properties"

        /**
         * Reads `golden/expected.properties`; the stream is closed.
         *
         * @throws ModelMismatch if a value is missing or wrong, or a label is not the model's.
         */
        fun load(stream: InputStream, labelCount: Int): GoldenSet {
            val reader = PropertyReader(FILE, stream)
            val count = reader.int("count")
            if (count < 1) throw ModelMismatch("$FILE lists $count photos")
            val photos = List(count) { photo(reader, it, labelCount) }
            return GoldenSet(photos, reader.float("tolerance"))
        }

        private fun photo(reader: PropertyReader, index: Int, labelCount: Int): GoldenPhoto {
            val best = reader.list("$index.best") { it.toIntOrNull() }
            val scores = reader.list("$index.scores") { it.toFloatOrNull() }
            val areLabels = best.all { it in 0 until labelCount }
            if (best.isEmpty() || best.size != scores.size || !areLabels) {
                throw ModelMismatch(
                    "$FILE: photo $index has the labels $best with the scores $scores, " +
                        "the model has $labelCount labels",
                )
            }
            val pixels = "$index.pixels_sha256"
            return GoldenPhoto(
                file = reader.text("$index.file"),
                sha256 = reader.text("$index.sha256"),
                pixelsSha256 = if (reader.has(pixels)) reader.text(pixels) else null,
                best = best,
                scores = scores,
            )
        }
    }
}
