"""Eight-bit grids: how a float range becomes 256 levels, and which values of a graph get one.

Source: Jacob et al. 2018 (arXiv:1712.05877), section 2: ``real = scale * (level - zero point)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevit.calibration.statistics import Range
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Conv2D, Dense, Input, Moving, Relu

_UINT8_STEPS = 255
_INT8_MAX = 127
_LEAST_SCALE = np.finfo(np.float32).tiny  # below, float32 has no room to divide
_LARGEST_BIAS = 2.0**30  # of an int32, half is left to the sum of the products


@dataclass(frozen=True)
class AffineUint8:
    """A grid of 256 real values for an activation.

    Attributes:
        scale: Distance of two neighbours.
        zero_point: The level of 0.
    """

    scale: float
    zero_point: int

    def rounded(self, x: Array) -> Array:
        """Return the nearest values of the grid, ``float32``."""
        levels = np.clip(np.rint(x / np.float32(self.scale)) + self.zero_point, 0, _UINT8_STEPS)
        return np.asarray((levels - self.zero_point) * np.float32(self.scale), dtype=np.float32)


# Pixels are integers from 0 to 255 already: no rounding at all.
PIXEL_GRID = AffineUint8(scale=1.0, zero_point=0)
PIXEL_RANGE: Range = (0.0, 255.0)


def affine_uint8(low: float, high: float) -> AffineUint8:
    """Return the grid over a range; 0 is always on it, for padding and ReLU to be exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / _UINT8_STEPS)) or 1.0
    return AffineUint8(scale, int(np.clip(np.rint(-low / scale), 0, _UINT8_STEPS)))


def int8_per_channel(
    kernel: Array, axis: int, least_scales: npt.ArrayLike = 0.0
) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise weights symmetrically, with one scale per output channel.

    Args:
        kernel: The weights.
        axis: Of the output channels.
        least_scales: ``[channels]``; a scale that would be smaller is this.

    Returns:
        Levels from −127 to 127, of the kernel's shape, and scales, ``float32 [channels]``.
    """
    others = tuple(i for i in range(kernel.ndim) if i != axis % kernel.ndim)
    largest = np.max(np.abs(kernel), axis=others, keepdims=True)
    scales = (np.where(largest > 0, largest, 1) / _INT8_MAX).astype(np.float32)
    floor = np.maximum(np.asarray(least_scales, dtype=np.float32), _LEAST_SCALE)
    along = [-1 if i == axis % kernel.ndim else 1 for i in range(kernel.ndim)]
    scales = np.maximum(scales, floor.reshape(along))
    levels = np.clip(np.rint(kernel / scales), -_INT8_MAX, _INT8_MAX).astype(np.int8)
    return levels, scales.reshape(-1)


def least_scales(bias: Array, input_scale: float) -> Array:
    """Return the weight scales below which a channel's bias does not fit into an int32.

    Such a channel has weights that are almost 0, as weight decay leaves them.
    """
    return np.asarray(np.abs(bias) / (input_scale * _LARGEST_BIAS), dtype=np.float32)


def root_of(graph: DeployGraph, name: str) -> str:
    """Return the value whose numbers a value has, before they were moved."""
    while isinstance(op := graph.op(name), Moving):
        name = op.inputs[0]
    return name


def has_integer_pixels(graph: DeployGraph) -> bool:
    """Say whether only convolutions and dense layers read the pixels: they need no rounding."""
    return _only_products_read(graph, graph.ops[0].name)


def _only_products_read(graph: DeployGraph, name: str) -> bool:
    return all(
        _only_products_read(graph, op.name)
        if isinstance(op, Moving)
        else isinstance(op, (Conv2D, Dense))
        for op in graph.consumers(name)
    )


def convolution_results(graph: DeployGraph, plan: Mapping[str, str]) -> tuple[str, ...]:
    """Return what calibrated convolutions hand on, each after its ReLU if it has one.

    No runtime has a fast convolution from int8 to float: these values are rounded whoever reads
    them.
    """
    results = []
    for conv in graph.of_type(Conv2D):
        readers = graph.consumers(conv.name)
        relu = len(readers) == 1 and isinstance(readers[0], Relu)
        if plan.get(conv.name) == "calibrated":
            results.append(readers[0].name if relu else conv.name)
    return tuple(results)


def activation_grids(
    graph: DeployGraph, plan: Mapping[str, str], ranges: Mapping[str, Range]
) -> dict[str, AffineUint8]:
    """Return the grids of all values that a calibrated product reads or a convolution hands on.

    An op that only moves numbers has one grid on both sides, so that it stays in integers. Pixels
    have theirs whatever the plan, if they are integers.

    Args:
        graph: The graph.
        plan: Where the range of each product's input comes from (:mod:`edgevit.export.plan`).
        ranges: Of the activations, by value.
    """
    grids: dict[str, AffineUint8] = {}
    for op in graph.ops:
        operand = plan.get(op.name, "float")
        if not isinstance(op, (Conv2D, Dense)) or operand == "float":
            continue
        source = graph.op(root_of(graph, op.inputs[0]))
        if isinstance(source, Input):
            if has_integer_pixels(graph):
                grids[source.name] = PIXEL_GRID
        elif operand == "calibrated":
            grids[source.name] = affine_uint8(*ranges[source.name])
    for name in convolution_results(graph, plan):
        grids.setdefault(name, affine_uint8(*ranges[name]))
    for op in graph.ops:  # what moves numbers has its source's grid
        if isinstance(op, Moving) and op.inputs[0] in grids:
            grids[op.name] = grids[op.inputs[0]]
    return grids
