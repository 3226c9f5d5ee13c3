package org.edgevit.demo

import org.edgevit.core.ModelMismatch
import org.edgevit.core.RgbImage
import org.edgevit.demo.camera.CameraProblem
import org.edgevit.demo.model.Classifier
import org.edgevit.demo.model.ClassifierFactory
import org.edgevit.demo.model.Engine
import org.edgevit.demo.model.ModelAssets
import org.edgevit.demo.model.RunSettings
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class MainPresenterTest {
    @get:Rule val folder = TemporaryFolder()
    private val green = RgbImage(4, 4, ByteArray(48) { if (it % 3 == 1) -1 else 0 })

    private fun presenter(factory: ClassifierFactory = fakes()): MainPresenter =
        MainPresenter(Engine(factory, Runnable::run, Runnable::run)).also { it.open() }

    private fun fakes() = FakeFactory(ModelAssets(TestBundle(folder.root).files), FakeClock())

    @Test
    fun test_frames_areClassified_whileTheCameraIsWanted() {
        val presenter = presenter()
        assertTrue(presenter.state.wantsCamera)
        presenter.onFrame { green }
        assertEquals("green", presenter.state.recognition?.best?.first()?.label)
    }

    @Test
    fun test_lateFrame_isNotShown_whenAPhotoWasPicked() {
        val presenter = presenter()
        presenter.onPhotoPicked { RgbImage(4, 4, ByteArray(48) { if (it % 3 == 0) -1 else 0 }) }
        presenter.onFrame { green }
        assertEquals("red", presenter.state.recognition?.best?.first()?.label)
    }

    @Test
    fun test_frame_thatCannotBeRead_isSaid_andTheNextIsClassified() {
        val presenter = presenter()
        presenter.onFrame { throw IllegalArgumentException("the Y plane has 3 bytes") }
        assertTrue((presenter.state.notice as Notice.Failed).message.endsWith("3 bytes"))
        presenter.onFrame { green }
        assertNull(presenter.state.notice)
    }

    @Test
    fun test_camera_isNotWanted_untilItIsTriedAgain_whenItFailed() {
        val presenter = presenter()
        presenter.onCameraFailed(CameraProblem.IN_USE)
        assertFalse(presenter.state.wantsCamera)
        presenter.useCamera()
        assertTrue(presenter.state.wantsCamera)
    }

    @Test
    fun test_problemOfTheCamera_isNotShown_besideAPhoto() {
        val presenter = presenter()
        presenter.onPhotoPicked { green }
        presenter.onCameraFailed(CameraProblem.DISCONNECTED)
        presenter.onPermissionDenied(canAsk = true)
        assertNull(presenter.state.notice)
    }

    @Test
    fun test_messageOfTheModel_stays_whenTheSourceChanges() {
        val broken = object : ClassifierFactory by fakes() {
            override fun open(settings: RunSettings): Classifier =
                throw ModelMismatch("labels.txt is empty")
        }
        val presenter = presenter(broken)
        presenter.useCamera()
        val notice = presenter.state.notice as Notice.ModelUnusable
        assertTrue(notice.message, notice.message.startsWith("labels.txt is empty. Install"))
        assertFalse(presenter.state.wantsCamera)
    }

    @Test
    fun test_newScreen_getsTheState_whenTheOldOneIsGone() {
        val presenter = presenter()
        presenter.onFrame { green }
        var shown: MainState? = null
        presenter.screen = { shown = it }
        assertEquals(presenter.state, shown)
    }
}
