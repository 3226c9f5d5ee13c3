package org.edgevit.demo.model

import org.edgevit.core.GoldenPhoto
import org.edgevit.core.GoldenSet
import org.edgevit.core.Hashing
import org.edgevit.core.RgbImage

/**
 * What the self-test found.
 *
 * @property passed true if every photo gave the expected answer.
 * @property lines one for each photo, fit to be shown.
 */
class SelfTestReport(val passed: Boolean, val lines: List<String>)

/**
 * Asks the model about the bundled photos and compares with the answers that were recorded when the
 * bundle was installed: what no test without a phone can show.
 *
 * @param readFile gives a golden photo's file.
 * @param decode turns a file into upright RGB, as a picked photo is.
 */
class SelfTest(
    private val golden: GoldenSet,
    private val readFile: (String) -> ByteArray,
    private val decode: (ByteArray) -> RgbImage,
) {
    fun run(classifier: Classifier): SelfTestReport {
        val verdicts = golden.photos.map { check(classifier, it) }
        return SelfTestReport(verdicts.all { it.first }, verdicts.map { it.second })
    }

    private fun check(classifier: Classifier, photo: GoldenPhoto): Pair<Boolean, String> {
        val bytes = readFile(photo.file)
        if (Hashing.sha256(bytes) != photo.sha256) {
            return Pair(false, "${photo.file} was changed since it was installed")
        }
        val input = classifier.model.preprocessing.fit(decode(bytes))
        if (golden.samePixels(photo, input) == false) {
            return Pair(false, "${photo.file}: the preprocessed pixels differ from Python's")
        }
        val verdict = golden.compare(photo, classifier.scores(input), classifier.labels)
        return Pair(verdict.passed, verdict.message)
    }
}
