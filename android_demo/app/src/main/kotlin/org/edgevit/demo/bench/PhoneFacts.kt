package org.edgevit.demo.bench

import android.app.ActivityManager
import android.content.Context
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import org.edgevit.core.Phone

/** What Android says about the phone. */
class PhoneFacts(context: Context) {
    private val power = context.getSystemService(PowerManager::class.java)
    private val battery = context.getSystemService(BatteryManager::class.java)
    private val activities = context.getSystemService(ActivityManager::class.java)

    /** PowerManager's thermal status, 0 for none; `null` before Android 10. */
    fun thermalStatus(): Int? =
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) power.currentThermalStatus else null

    fun describe(): Phone {
        val memory = ActivityManager.MemoryInfo().also { activities.getMemoryInfo(it) }
        return Phone(
            release = Build.VERSION.RELEASE,
            kernel = System.getProperty("os.version") ?: "unknown",
            abi = Build.SUPPORTED_ABIS.firstOrNull() ?: "unknown",
            maker = Build.MANUFACTURER,
            model = Build.MODEL,
            soc = soc(),
            cpu = soc() ?: Build.HARDWARE,
            logicalCores = Runtime.getRuntime().availableProcessors(),
            memoryBytes = memory.totalMem,
            memoryAvailableBytes = memory.availMem,
        )
    }

    /** What beside heat changes the speed, as clauses. */
    fun notes(): List<String> {
        val notes = mutableListOf<String>()
        notes += if (battery.isCharging) "charging" else "on battery"
        if (power.isPowerSaveMode) notes += "battery saver is on, which slows the processor"
        return notes
    }

    private fun soc(): String? {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.S) return null
        return "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}".takeIf { it.isNotBlank() }
    }
}
