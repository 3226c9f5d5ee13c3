"""The passes on chains of convolutions: exact, and only where they apply."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Conv2D, Normalise
from edgevit.export.passes.join_pixels import joined_pixels
from edgevit.export.passes.pad_pixels import pad_pixels
from edgevit.preprocessing import Pixels
from tests.export.small_graphs import first_convolutions, squares


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
    joined = joined_pixels(graph)
    assert [conv.kernel.shape for conv in joined.of_type(Conv2D)] == [(3, 2, 12, 20), (3, 3, 5, 4)]
    assert_equal(graph, joined, squares())
    assert joined_pixels(joined) is joined


@pytest.mark.parametrize("size", [8, 9])
def test_pixels_are_not_joined_when_columns_do_not_come_in_fours(size: int) -> None:
    graph = pad_pixels(first_convolutions(size))
    assert (joined_pixels(graph) is graph) == (size % 4 != 0)
