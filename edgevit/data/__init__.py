"""Labelled photos: read them, split them, and keep their pixels ready for training."""
