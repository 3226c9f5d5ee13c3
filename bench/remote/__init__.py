"""Benchmarks on another machine: over ssh, or on a phone over adb."""
