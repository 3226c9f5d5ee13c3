package org.edgevit.demo.bench

import android.app.Activity
import android.content.ClipData
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.view.WindowManager
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Spinner
import org.edgevit.core.Protocol
import org.edgevit.demo.R
import org.edgevit.demo.model.Accelerator
import org.edgevit.demo.model.RunSettings
import org.edgevit.demo.photo.PhotoReader
import org.edgevit.demo.services

/** Measures the model's speed on this phone. */
class BenchmarkActivity : Activity() {
    private lateinit var presenter: BenchmarkPresenter
    private lateinit var views: BenchmarkViews
    private val protocols = listOf(Protocol.QUICK, Protocol.FULL)
    private lateinit var accelerators: List<Accelerator>

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.benchmark)
        views = BenchmarkViews(this)
        val kept = lastNonConfigurationInstance as? BenchmarkPresenter
        presenter = kept ?: newPresenter().also { it.open() }
        accelerators = Accelerator.entries.filter { it == Accelerator.CPU || presenter.hasGpu }
        fillChoices()
        findViewById<View>(R.id.back).setOnClickListener { finish() }
        findViewById<View>(R.id.start).setOnClickListener {
            if (presenter.state.isRunning) presenter.stop() else presenter.start()
        }
        findViewById<View>(R.id.share).setOnClickListener { share() }
        presenter.screen = ::render
    }

    override fun onStop() {
        // Android slows down what is not in front: such times would be of no use.
        if (!isChangingConfigurations) presenter.stop()
        super.onStop()
    }

    override fun onDestroy() {
        presenter.screen = null
        super.onDestroy()
    }

    override fun onRetainNonConfigurationInstance(): Any = presenter

    private fun newPresenter() = BenchmarkPresenter(
        services.engine,
        services.assets,
        services.phone,
        PhotoReader()::decode,
        services.surroundings,
    )

    private fun render(state: BenchmarkState) {
        views.show(state)
        if (state.isRunning) window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        else window.clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
    }

    private fun fillChoices() {
        val state = presenter.state
        val names = mapOf(Accelerator.CPU to R.string.cpu, Accelerator.GPU to R.string.gpu)
        fill(R.id.threads, THREADS.map { it.toString() }, THREADS.indexOf(state.settings.threads))
        fill(
            R.id.accelerator,
            accelerators.map { getString(names.getValue(it)) },
            accelerators.indexOf(state.settings.accelerator),
        )
        fill(
            R.id.protocol,
            listOf(getString(R.string.quick), getString(R.string.full)),
            protocols.indexOf(state.protocol),
        )
    }

    private fun fill(id: Int, names: List<String>, selected: Int) {
        val spinner = findViewById<Spinner>(id)
        val adapter = ArrayAdapter(this, R.layout.choice, names)
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
        spinner.adapter = adapter
        spinner.setSelection(selected)
        spinner.onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
            override fun onItemSelected(parent: AdapterView<*>?, view: View?, at: Int, id: Long) =
                choose()

            override fun onNothingSelected(parent: AdapterView<*>?) = Unit
        }
    }

    private fun choose() {
        val settings =
            RunSettings(THREADS[selected(R.id.threads)], accelerators[selected(R.id.accelerator)])
        presenter.choose(settings, protocols[selected(R.id.protocol)])
    }

    private fun selected(id: Int): Int = findViewById<Spinner>(id).selectedItemPosition

    private fun share() {
        val state = presenter.state
        val result = state.result ?: return
        val uri = ResultProvider.save(this, state.model?.name ?: "model", result.document)
        val intent = Intent(Intent.ACTION_SEND)
            .setType(ResultProvider.TYPE)
            .putExtra(Intent.EXTRA_STREAM, uri)
            .putExtra(Intent.EXTRA_TITLE, uri.lastPathSegment)
            .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
        // The chooser hands the permission on only for what is in the clip.
        intent.clipData = ClipData.newRawUri(null, uri)
        startActivity(Intent.createChooser(intent, getString(R.string.share)))
    }

    private companion object {
        val THREADS = listOf(1, 2, 4)
    }
}
