"""Passes: pure functions from graph to graph that leave the answers as they are."""
