"""Two models on the same photos: who is right where, and whether the difference is shown."""
