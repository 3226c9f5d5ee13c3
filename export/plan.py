"""The plan of a file: how each of its products – dense layer or convolution – rounds its numbers.

Writers write what the plan says, and :class:`RoundedProduct` computes it in NumPy: choosing scales,
correcting biases and ranking layers by the damage they do need no file and no runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgevit.calibration.statistics import Range
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Conv2D, Dense, Op
from edgevit.export.quantised import (
    PIXEL_GRID,
    AffineUint8,
    activation_grids,
    int8_per_channel,
)

Operand = Literal["float", "calibrated", "per-image", "per-token"]
"""Where the range of a product's input comes from: nowhere (the product is float), from
calibration images, or at run time from the whole input or from each token of it."""

Plan = Mapping[str, Operand]
"""By name of the product; a file without int8 has an empty one."""

Product = Dense | Conv2D


def products_of(graph: DeployGraph) -> tuple[Product, ...]:
    """Return all dense layers and convolutions, in order."""
    return tuple(op for op in graph.ops if isinstance(op, (Dense, Conv2D)))


def everywhere(operand: Operand) -> Callable[[DeployGraph], Plan]:
    """Return how to plan the same for every product."""

    def plan(graph: DeployGraph) -> Plan:
        return {op.name: operand for op in products_of(graph)}

    return plan


def unplanned(graph: DeployGraph) -> Plan:
    """Plan no int8 at all."""
    return {}


def with_float(plan: Plan, names: frozenset[str]) -> Plan:
    """Return a plan in which some products stay float."""
    return {name: "float" if name in names else operand for name, operand in plan.items()}


@dataclass(frozen=True)
class RoundedProduct:
    """A product as an int8 file computes it, up to the order of float sums.

    Attributes:
        op: The product with rounded weights.
        round_input: What happens to its input before.
    """

    op: Product
    round_input: Callable[[Array], Array]

    def __call__(self, x: Array) -> Array:
        """Compute the product, ``float32``, of a batch."""
        return self.op.evaluate(self.round_input(x))


def rounded_products(
    graph: DeployGraph, plan: Plan, ranges: Mapping[str, Range]
) -> dict[str, RoundedProduct]:
    """Return the products that a plan rounds, by name.

    Args:
        graph: The graph.
        plan: Of that graph.
        ranges: Of the values that its calibrated products read.
    """
    grids = activation_grids(graph, plan, ranges)
    return {
        op.name: RoundedProduct(rounded_weights(op), _rounding(op, plan[op.name], grids))
        for op in products_of(graph)
        if plan.get(op.name, "float") != "float"
    }


def rounded_weights(op: Product) -> Product:
    """Return a product with its weights on their int8 grids."""
    levels, scales = int8_per_channel(op.kernel, op.kernel.ndim - 1)
    return replace(op, kernel=np.asarray(levels * scales, dtype=np.float32))


def _rounding(
    op: Op, operand: Operand, grids: Mapping[str, AffineUint8]
) -> Callable[[Array], Array]:
    grid = grids.get(op.inputs[0])
    if operand == "per-token" and isinstance(op, Conv2D):
        return _per_image  # an image is one token to a convolution
    if operand == "per-image" and grid is PIXEL_GRID:
        return grid.rounded  # pixels are integers already
    return input_rounding(operand, grid)


def input_rounding(operand: Operand, grid: AffineUint8 | None) -> Callable[[Array], Array]:
    """Return how a product rounds its input.

    Args:
        operand: Where the range comes from.
        grid: Of a calibrated input.
    """
    if operand == "per-token":
        return _per_token
    if operand == "per-image":
        return _per_image
    assert grid is not None
    return grid.rounded


def _per_token(x: Array) -> Array:
    """Round to 256 levels between each vector's own extremes."""
    return _between_extremes(x, (-1,))


def _per_image(x: Array) -> Array:
    """Round to 256 levels between each image's own extremes."""
    return _between_extremes(x, tuple(range(1, x.ndim)))


def _between_extremes(x: Array, axes: tuple[int, ...]) -> Array:
    low = np.minimum(x.min(axis=axes, keepdims=True), 0)
    high = np.maximum(x.max(axis=axes, keepdims=True), 0)
    scale = np.where(high > low, (high - low) / 255, 1)
    zero_point = np.rint(-low / scale)
    levels = np.clip(np.rint(x / scale) + zero_point, 0, 255)
    return np.asarray((levels - zero_point) * scale, dtype=np.float32)
