package org.edgevit.core

import java.io.File
import java.nio.ByteBuffer
import javax.imageio.ImageIO
import org.junit.Assert.assertEquals
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test

/**
 * Assets that `edgevit android install` has just written, read as the app reads them.
 *
 * tests/android/test_core.py installs a bundle and names its assets; without them there is nothing
 * to test.
 */
class InstalledAssetsTest {
    private val folder = File(System.getProperty("edgevit.assets", ""))

    @Before
    fun needsAssets() = assumeTrue("no assets are named", folder.isDirectory)

    @Test
    fun `the app's checks pass and its pixels are Python's`() {
        val model = ModelProperties.load(file(ModelProperties.FILE).inputStream())
        val labels = Labels.load(file(Labels.FILE).inputStream())
        model.checkLabels(labels)
        model.checkModel(ByteBuffer.wrap(file(model.modelFile).readBytes()))
        val golden = GoldenSet.load(file(GoldenSet.FILE).inputStream(), model.labelCount)
        var exact = 0
        for (photo in golden.photos) {
            val bytes = file("${GoldenSet.FOLDER}/${photo.file}").readBytes()
            assertEquals(photo.file, photo.sha256, Hashing.sha256(bytes))
            val fitted = model.preprocessing.fit(decoded(bytes))
            if (photo.pixelsSha256 != null) {
                assertEquals(photo.file, true, golden.samePixels(photo, fitted))
                exact++
            }
        }
        assertEquals(golden.photos.count { it.file.endsWith(".png") }, exact)
        assertEquals((golden.photos.size + 1) / 2, exact)
    }

    private fun file(name: String) = File(folder, name)

    private fun decoded(bytes: ByteArray): RgbImage {
        val image = ImageIO.read(bytes.inputStream())
        val argb = image.getRGB(0, 0, image.width, image.height, null, 0, image.width)
        return RgbImage.fromArgb(image.width, image.height, argb)
    }
}
