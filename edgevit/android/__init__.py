"""A TFLite bundle inside the Android demo: its assets, its expected answers, its APK."""
