package org.edgevit.core

/**
 * The model, its labels and its properties do not belong together, or a file of them is damaged.
 *
 * The message is one line that names the value and the remedy, fit to be shown on the screen.
 */
class ModelMismatch(problem: String, remedy: String = INSTALL_AGAIN) :
    Exception("$problem. $remedy") {
    companion object {
        const val INSTALL_AGAIN =
            "Install the bundle again: edgevit android install BUNDLE, then build the app"
    }
}
