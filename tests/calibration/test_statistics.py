from __future__ import annotations

import numpy as np
import pytest

from edgevit.calibration import statistics
from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Add, Dense, Input, Relu, Reshape, TakeToken

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (7, 2, 2, 3), dtype=np.uint8)


@pytest.fixture
def graph() -> DeployGraph:
    """A branch, whose weights are small integers: float32 sums are exact in any order."""
    kernel = RANDOM.integers(-3, 4, (3, 5)).astype(np.float32)
    bias = RANDOM.integers(-9, 9, 5).astype(np.float32)
    return DeployGraph(
        (
            Input(name="pixels", inputs=(), height=2, width=2),
            Reshape(name="tokens", inputs=("pixels",), target=(4, 3)),
            Dense(name="dense", inputs=("tokens",), kernel=kernel, bias=bias),
            Relu(name="relu", inputs=("dense",)),
            Add(name="sum", inputs=("dense", "relu")),
            TakeToken(name="take", inputs=("sum",), index=3),
        )
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 99])
def test_ranges_are_those_of_all_images_when_batches_have_any_size(
    graph: DeployGraph, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    monkeypatch.setattr(statistics, "_BATCH_SIZE", batch_size)
    expected = {name: (v.min(), v.max()) for name, v in graph.values(PIXELS).items()}
    assert len(expected) == 6
    assert Calibration(graph, PIXELS).ranges == expected


@pytest.mark.parametrize("place", [0, 3, 6])
def test_ranges_hold_an_outlier_when_one_image_has_it(graph: DeployGraph, place: int) -> None:
    pixels = np.full((7, 2, 2, 3), 100, dtype=np.uint8)
    pixels[place, 1, 0, 2] = 250
    pixels[place, 0, 1, 1] = 3
    ranges = Calibration(graph, pixels).ranges
    assert ranges["pixels"] == ranges["tokens"] == (3, 250)
    assert ranges["take"] == (
        graph.values(pixels)["take"].min(),
        graph.values(pixels)["take"].max(),
    )


def test_images_are_looked_at_once_when_ranges_are_asked_for_twice(graph: DeployGraph) -> None:
    calibration = Calibration(graph, PIXELS)
    assert calibration.ranges is calibration.ranges
