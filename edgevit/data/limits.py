"""Bounds of what the data commands take; the command line and the code behind it share them."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """The smallest and the largest whole number that is taken."""

    low: int
    high: int


DEMO_CLASSES = Bounds(2, 120)
# From 5 photos on, every class is in all three splits by default.
DEMO_PER_CLASS = Bounds(5, 9999)
DEMO_SIZE = Bounds(16, 2048)
SEED = Bounds(0, 2**32 - 1)
