from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevit.calibration import statistics
from edgevit.calibration.statistics import Calibration, Range
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Add, Attention, Dense, Input, LayerNorm, Relu, Reshape, TakeToken

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 2, 2, 3), dtype=np.uint8)
INPUT = Input(name="pixels", inputs=(), height=2, width=2)
TOKENS = Reshape(name="tokens", inputs=("pixels",), target=(4, 3))


def dense(name: str, outputs: int, seed: int = 0) -> Dense:
    """A layer whose weights are small integers: float32 sums are exact in any order."""
    random = np.random.default_rng(seed)
    kernel = random.integers(-3, 4, (3, outputs)).astype(np.float32)
    bias = random.integers(-9, 9, outputs).astype(np.float32)
    return Dense(name=name, inputs=("tokens",), kernel=kernel, bias=bias)


def spans_of(calibration: Calibration) -> dict[str, Range]:
    return {name: seen.span for name, seen in calibration.observed.items()}


@pytest.fixture
def graph() -> DeployGraph:
    return DeployGraph(
        (
            INPUT,
            TOKENS,
            dense("dense", 5),
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
    calibration = Calibration(graph, PIXELS)
    values = graph.values(PIXELS)
    assert len(values) == 6
    assert spans_of(calibration) == {n: (v.min(), v.max()) for n, v in values.items()}
    for name, value in values.items():
        by_image = value.reshape(7, -1, value.shape[-1])
        np.testing.assert_array_equal(calibration.observed[name].lows, by_image.min(axis=1))
        np.testing.assert_array_equal(calibration.observed[name].highs, by_image.max(axis=1))
        channels = value.reshape(-1, value.shape[-1])
        np.testing.assert_array_equal(calibration.observed[name].low, channels.min(axis=0))
        np.testing.assert_array_equal(calibration.observed[name].high, channels.max(axis=0))


@pytest.mark.parametrize("place", [0, 3, 6])
def test_ranges_hold_an_outlier_when_one_image_has_it(graph: DeployGraph, place: int) -> None:
    pixels = np.full((7, 2, 2, 3), 100, dtype=np.uint8)
    pixels[place, 1, 0, 2] = 250
    pixels[place, 0, 1, 1] = 3
    calibration = Calibration(graph, pixels)
    assert calibration.observed["pixels"].span == (3, 250)
    assert calibration.observed["tokens"].low.tolist() == [100, 3, 100]
    assert calibration.observed["tokens"].high.tolist() == [100, 100, 250]


def test_sample_is_of_all_images_and_channels_when_drawn(graph: DeployGraph) -> None:
    # Each number tells its image and channel.
    pixels = np.zeros((7, 2, 2, 3), dtype=np.uint8)
    pixels += 10 * np.arange(7, dtype=np.uint8)[:, None, None, None]
    pixels += np.arange(3, dtype=np.uint8)
    seen = Calibration(graph, pixels).observed["tokens"]
    np.testing.assert_array_equal(seen.sample % 10, seen.sample_channels)
    assert set(seen.sample // 10) == set(range(7))
    assert set(seen.sample_channels) == {0, 1, 2}


def test_images_are_looked_at_once_when_ranges_are_asked_for_twice(
    graph: DeployGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = Calibration(graph, PIXELS)
    first = spans_of(calibration)
    monkeypatch.setattr(DeployGraph, "map_batches", None)
    assert spans_of(calibration) == first


def test_parts_equal_loops_when_an_op_rounds_inside() -> None:
    projections = [dense(name, 4, seed) for seed, name in enumerate(("q", "k", "v"))]
    graph = DeployGraph(
        (
            INPUT,
            TOKENS,
            *projections,
            Attention(name="a", inputs=("q", "k", "v"), heads=2, scale=0.5),
            LayerNorm(name="norm", inputs=("a",), epsilon=1e-6),
        )
    )
    ranges = spans_of(Calibration(graph, PIXELS))
    values = graph.values(PIXELS)
    scores = [
        0.5 * values["q"][image, query, half] @ values["k"][image, key, half]
        for image, query, key in np.ndindex(7, 4, 4)
        for half in (slice(0, 2), slice(2, 4))
    ]
    assert ranges["a/scores"] == pytest.approx((min(scores), max(scores)))
    rows = values["a"].reshape(-1, 4)
    for part, numbers in {
        "mean": [row.mean() for row in rows],
        "centred": np.concatenate([row - row.mean() for row in rows]),
        "variance": [row.var() for row in rows],
    }.items():
        assert ranges[f"norm/{part}"] == pytest.approx((min(numbers), max(numbers)), rel=1e-5)


def test_rewritten_is_what_would_be_seen_when_channels_are_divided(graph: DeployGraph) -> None:
    scale = np.float32([1, 2, 4, 0.5, 8])  # powers of 2: exact
    layer = graph.op("dense")
    assert isinstance(layer, Dense)
    divided = replace(layer, kernel=layer.kernel / scale, bias=layer.bias / scale)
    other = graph.edit({"dense": (divided,)})
    scales = dict.fromkeys(("dense", "relu", "sum", "take"), scale)
    told = Calibration(graph, PIXELS).rewritten(other, scales)
    looked_at = Calibration(other, PIXELS)
    assert told.graph is other
    for name, seen in looked_at.observed.items():
        for field in ("lows", "highs", "low", "high", "sample", "sample_channels"):
            np.testing.assert_array_equal(
                getattr(told.observed[name], field), getattr(seen, field), err_msg=name
            )
