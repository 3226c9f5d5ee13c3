"""Ranges at run time or calibrated: each dense layer takes what loses less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevit.calibration.ranges import RangePolicy
from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.job import ExportJob
from edgevit.export.operands import choose_operands
from edgevit.export.ops import Add, Dense
from edgevit.export.plan import everywhere, rounded_products, with_float
from tests.export.files import selected
from tests.export.small_graphs import INPUT, SMALL, TOKENS, dense

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 4, 6, 3), dtype=np.uint8)
# Most photos are dark here: the range of all wastes most of its levels on them.
DIM = np.concatenate([PIXELS[:1], PIXELS[1:] // 32 + 64])


def two_readers() -> DeployGraph:
    return DeployGraph(
        (
            INPUT,
            SMALL,
            TOKENS,
            dense("wide", "tokens", 6, 8),
            dense("a", "wide", 8, 4),
            dense("b", "wide", 8, 4),
            Add(name="sum", inputs=("a", "b")),
        )
    )


def chosen(graph: DeployGraph, pixels: np.ndarray, *kept: str) -> dict[str, str]:
    calibration = Calibration(graph, pixels)
    plan = with_float(everywhere("calibrated")(graph), frozenset(kept))
    ranges = RangePolicy().ranges(graph, calibration.observed)
    return dict(choose_operands(calibration, plan, ranges, ("per-image",)))


def with_large_weights_of_one_pixel(graph: DeployGraph) -> DeployGraph:
    """Make the first image's numbers much larger than the others'."""
    wide = graph.op("wide")
    assert isinstance(wide, Dense)
    return graph.edit({"wide": (replace(wide, kernel=wide.kernel * 4),)})


def test_range_is_of_the_image_when_images_differ_much() -> None:
    graph = with_large_weights_of_one_pixel(two_readers())
    plan = chosen(graph, DIM)
    assert plan["a"] == plan["b"] == "per-image"


def test_layers_agree_when_they_read_one_value(job: ExportJob) -> None:
    preparation = job.preparation(selected(job.graph, "onnx", "int8").recipe)
    graph = preparation.calibration.graph
    by_value: dict[str, set[str]] = {}
    for op in graph.of_type(Dense):
        by_value.setdefault(op.inputs[0], set()).add(preparation.plan[op.name])
    assert all(len(operands) == 1 for operands in by_value.values())
    # Both ways are taken somewhere, or the test could not fail.
    assert set(preparation.plan.values()) == {"calibrated", "per-image"}


def test_float_layers_stay_float_when_operands_are_chosen() -> None:
    plan = chosen(with_large_weights_of_one_pixel(two_readers()), DIM, "a", "wide")
    assert plan == {"wide": "float", "a": "float", "b": "per-image"}


def test_plan_stays_when_there_is_no_alternative() -> None:
    graph = two_readers()
    calibration = Calibration(graph, PIXELS)
    plan = everywhere("calibrated")(graph)
    ranges = RangePolicy().ranges(graph, calibration.observed)
    assert choose_operands(calibration, plan, ranges, ()) is plan
    dynamic = everywhere("per-token")(graph)
    assert choose_operands(calibration, dynamic, ranges, ("per-image",)) is dynamic


@pytest.mark.parametrize("pixels", [PIXELS, DIM])
def test_error_is_no_larger_when_operands_are_chosen(pixels: np.ndarray) -> None:
    graph = two_readers()
    ranges = RangePolicy().ranges(graph, Calibration(graph, pixels).observed)
    errors = []
    for plan in (
        chosen(graph, pixels),
        everywhere("calibrated")(graph),
        everywhere("per-image")(graph),
    ):
        products = rounded_products(graph, plan, ranges)  # type: ignore[arg-type]
        errors.append(
            sum(
                np.sum(np.square(products[op.name](*inputs) - value)) / np.sum(np.square(value))
                for op, inputs, value in graph.walk(pixels)
                if op.name in products
            )
        )
    assert errors[0] <= 1.0001 * min(errors[1:])
