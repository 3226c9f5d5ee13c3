package org.edgevit.demo

import java.util.Locale

/** A number with about three digits, in the phone's language. */
fun shortNumber(value: Double): String =
    String.format(Locale.getDefault(), if (value < 10) "%.2f" else "%.1f", value)
