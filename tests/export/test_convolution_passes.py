"""The passes on chains of convolutions: exact, and only where they apply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Conv2D, Dense, Input, Normalise, Relu, Reshape, Softmax
from edgevit.export.passes.join_pixels import join_pixels
from edgevit.export.passes.migrate_scale import migrate_scale
from edgevit.export.passes.pad_pixels import pad_pixels
from edgevit.preprocessing import Pixels
from tests.export.small_graphs import RANDOM, normal


def first_convolutions(size: int = 8) -> DeployGraph:
    """Two convolutions as VGG16 begins: the first pads behind an offset."""
    image = Input(name="pixels", inputs=(), height=size, width=size)
    offset = Normalise(
        name="offset",
        inputs=("pixels",),
        scale=np.ones(3, np.float32),
        offset=np.float32([-104, -117, -124]),
        swap_channels=False,
    )
    return DeployGraph(
        (
            image,
            offset,
            Conv2D(
                name="c",
                inputs=("offset",),
                kernel=normal(3, 3, 3, 5) / 64,
                bias=normal(5),
                padding="same",
            ),
            Relu(name="r", inputs=("c",)),
            Conv2D(name="d", inputs=("r",), kernel=normal(3, 3, 5, 4) / 8, bias=normal(4)),
            Relu(name="s", inputs=("d",)),
            Reshape(name="flat", inputs=("s",), target=((size - 2) ** 2 * 4,)),
            Dense(
                name="logits",
                inputs=("flat",),
                kernel=normal((size - 2) ** 2 * 4, 3) / 8,
                bias=normal(3),
            ),
            Softmax(name="answer", inputs=("logits",)),
        )
    )


def squares(size: int = 8) -> Pixels:
    return RANDOM.integers(0, 256, (3, size, size, 3), dtype=np.uint8)


def assert_equal(before: DeployGraph, after: DeployGraph, pixels: Pixels) -> None:
    expected = before.evaluate(pixels)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(after.evaluate(pixels), expected, atol=1e-4)


def test_pixels_stay_plain_when_a_convolution_pads_behind_an_offset() -> None:
    graph = first_convolutions()
    padded = pad_pixels(graph)
    assert not list(padded.of_type(Normalise))
    assert [conv.padding for conv in padded.of_type(Conv2D)] == ["valid", "valid"]
    assert_equal(graph, padded, squares())


def test_four_pixels_are_joined_when_channels_do_not_come_in_fours() -> None:
    graph = pad_pixels(first_convolutions())
    joined = join_pixels(graph)
    assert [conv.kernel.shape for conv in joined.of_type(Conv2D)] == [(3, 2, 12, 20), (3, 3, 5, 4)]
    assert_equal(graph, joined, squares())
    assert join_pixels(joined) is joined


@pytest.mark.parametrize("size", [8, 9])
def test_pixels_are_not_joined_when_columns_do_not_come_in_fours(size: int) -> None:
    graph = pad_pixels(first_convolutions(size))
    assert (join_pixels(graph) is graph) == (size % 4 != 0)


def test_channels_are_balanced_when_convolutions_follow_each_other() -> None:
    graph = pad_pixels(first_convolutions())
    conv, reader = graph.op("c"), graph.op("d")
    assert isinstance(conv, Conv2D)
    assert isinstance(reader, Conv2D)
    spread = np.float32([1, 50, 1, 0.02, 1])
    uneven = graph.edit(
        {
            "c": (replace(conv, kernel=conv.kernel * spread, bias=conv.bias * spread),),
            "d": (replace(reader, kernel=reader.kernel / spread[:, np.newaxis]),),
        }
    )
    pixels = squares()
    before = Calibration(uneven, pixels)
    after = migrate_scale(before)
    assert_equal(uneven, after.graph, pixels)
    ratios = [np.ptp(np.log(c.observed["r"].high)) for c in (before, after)]
    assert ratios[1] < 0.7 * ratios[0]
    seen = Calibration(after.graph, pixels).observed  # what was scaled along is what would be seen
    for name in ("c", "r", "s", "flat"):
        np.testing.assert_allclose(after.observed[name].high, seen[name].high, rtol=1e-3)
        np.testing.assert_allclose(after.observed[name].low, seen[name].low, rtol=1e-3, atol=1e-3)
