package org.edgevit.demo

import android.app.Application
import android.content.Context
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import android.os.SystemClock
import org.edgevit.demo.bench.PhoneFacts
import org.edgevit.demo.bench.Surroundings
import org.edgevit.demo.model.ApkFiles
import org.edgevit.demo.model.Engine
import org.edgevit.demo.model.ModelAssets
import org.edgevit.demo.model.TfLiteClassifiers

/**
 * What the screens share for as long as the app runs.
 *
 * @property worker the thread of the [engine], for the camera's calls.
 */
class Services(
    val engine: Engine,
    val worker: Handler,
    val assets: ModelAssets,
    val phone: PhoneFacts,
    val surroundings: Surroundings,
) {
    companion object {
        /** The real ones. */
        fun of(context: Context): Services {
            val thread = HandlerThread("edgevit").apply { start() }
            val worker = Handler(thread.looper)
            val main = Handler(Looper.getMainLooper())
            val assets = ModelAssets(ApkFiles(context.assets))
            val engine = Engine(TfLiteClassifiers(assets), worker::post, main::post)
            val phone = PhoneFacts(context)
            val surroundings = Surroundings(
                clock = SystemClock::elapsedRealtimeNanos,
                wallClockMs = System::currentTimeMillis,
                thermalStatus = phone::thermalStatus,
            )
            return Services(engine, worker, assets, phone, surroundings)
        }
    }
}

/** Holds the [Services]; tests put theirs in their place. */
open class DemoApplication : Application() {
    val services: Services by lazy { makeServices() }

    protected open fun makeServices(): Services = Services.of(this)
}

/** The app's services. */
val Context.services: Services get() = (applicationContext as DemoApplication).services
