"""The training room: from a prepared data set to a run with its full-precision reference."""
