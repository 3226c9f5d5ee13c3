"""The classifiers that edgevit trains: one file per family, and an explicit registry."""
