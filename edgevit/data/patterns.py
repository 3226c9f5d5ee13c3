"""The shapes and patterns of the demo set, as functions of an object's own coordinates.

``u`` points right and ``v`` down, in units of the object's radius. Shapes and patterns are
symmetric under ``u`` → ``-u``, so flipping a photo left to right never changes its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Computed in float32; NumPy's stubs take Python's floats for float64.
Plane = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Shape:
    """An outline: ``distance(u, v)`` is negative inside, about the distance to the edge."""

    name: str
    distance: Callable[[Plane, Plane], Plane]


@dataclass(frozen=True)
class Pattern:
    """A decoration: ``coverage(u, v)``, 0–1, is the share of the accent colour."""

    name: str
    coverage: Callable[[Plane, Plane], Plane]


def _disc(u: Plane, v: Plane) -> Plane:
    distance: Plane = np.hypot(u, v) - 1
    return distance


def _square(u: Plane, v: Plane) -> Plane:
    distance: Plane = np.maximum(np.abs(u), np.abs(v)) - 0.85
    return distance


def _triangle(u: Plane, v: Plane) -> Plane:
    slanted: Plane = 0.866 * np.abs(u) - 0.5 * v
    distance: Plane = np.maximum(slanted, v) - 0.62
    return distance


def _diamond(u: Plane, v: Plane) -> Plane:
    return (np.abs(u) + np.abs(v) - 1.15) * 0.707


def _cross(u: Plane, v: Plane) -> Plane:
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    distance: Plane = np.maximum(long - 1, short - 0.42)
    return distance


def _star(u: Plane, v: Plane) -> Plane:
    # The tip points up: five-fold symmetric in the angle from -v.
    angle = np.arctan2(u, -v)
    edge = 0.82 + 0.25 * np.cos(5 * angle)
    distance: Plane = np.hypot(u, v) - edge
    return distance


SHAPES = (
    Shape("disc", _disc),
    Shape("square", _square),
    Shape("triangle", _triangle),
    Shape("star, five-armed", _star),
    Shape("diamond", _diamond),
    Shape("cross", _cross),
)


def _sharpened(wave: Plane) -> Plane:
    """Turn a wave of -1…1 into soft-edged 0–1."""
    coverage: Plane = np.clip(0.5 + 2 * wave, 0.0, 1.0)
    return coverage


def _level_stripes(u: Plane, v: Plane) -> Plane:
    return _sharpened(np.cos(9.5 * v))


def _upright_stripes(u: Plane, v: Plane) -> Plane:
    return _sharpened(np.cos(9.5 * u))


def _checks(u: Plane, v: Plane) -> Plane:
    return _sharpened(2 * np.cos(6.5 * u) * np.cos(6.5 * v))


def _dots(u: Plane, v: Plane) -> Plane:
    return _sharpened(np.cos(10 * u) + np.cos(10 * v) - 0.9)


def _rings(u: Plane, v: Plane) -> Plane:
    return _sharpened(np.cos(9 * np.hypot(u, v)))


def _core(u: Plane, v: Plane) -> Plane:
    return _sharpened(3 * (0.55 - np.hypot(u, v)))


PATTERNS = (
    Pattern("Striped", _level_stripes),
    Pattern("Checked", _checks),
    Pattern("Ringed", _rings),
    Pattern("Barred", _upright_stripes),
    Pattern("Dotted", _dots),
    Pattern("Cored", _core),
)
