"""Latency, accuracy and drop of models, measured on the device they run on."""
