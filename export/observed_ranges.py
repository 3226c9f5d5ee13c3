"""Activation ranges for files in which every number is an integer.

A range is not the span from the least to the greatest number: one far outlier would take resolution
from all others. It is the clipped span whose 256 levels give the least squared error on a sample of
the numbers. Besides the graph's values there are those *inside* its ops, named ``OP/part``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.calibration.statistics import Range
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Attention, LayerNorm, Op
from edgevit.preprocessing import Pixels

VARIANCE = "variance"

_BATCH_SIZE = 2
_SAMPLE_PER_BATCH = 4096
_SHARES_KEPT = np.linspace(1, 0.3, 36)
_STEPS = 255


@dataclass(frozen=True)
class _Observed:
    """What is kept of one value of one batch."""

    low: float
    high: float
    sample: Array


def observe_ranges(graph: DeployGraph, images: Pixels) -> dict[str, Range]:
    """Return the range of every value, and of every part inside an op.

    Args:
        graph: As it will be written.
        images: ``uint8 [n, height, width, 3]``, training photos.
    """

    def observe(pixels: Pixels) -> dict[str, _Observed]:
        return {name: _observed(value) for name, value in _values_and_parts(graph, pixels)}

    batches = graph.map_batches(observe, images, _BATCH_SIZE)
    return {name: _range(name, [batch[name] for batch in batches]) for name in batches[0]}


def _values_and_parts(graph: DeployGraph, pixels: Pixels) -> Iterator[tuple[str, Array]]:
    with_parts = (Attention, LayerNorm)
    needed = {name for op in graph.ops if isinstance(op, with_parts) for name in op.inputs}
    kept: dict[str, Array] = {}
    for op, value in graph.walk(pixels):
        if op.name in needed:
            kept[op.name] = value
        if isinstance(op, with_parts):
            for part, inner in _parts(op, [kept[name] for name in op.inputs]).items():
                yield f"{op.name}/{part}", inner
        yield op.name, value


def _parts(op: Op, inputs: Sequence[Array]) -> dict[str, Array]:
    """Return the numbers that an op computes on the way."""
    if isinstance(op, Attention):
        queries, keys = (x.reshape(*x.shape[:2], op.heads, -1) for x in inputs[:2])
        return {"scores": np.float32(op.scale) * np.einsum("nqhd,nkhd->nhqk", queries, keys)}
    mean = inputs[0].mean(axis=-1, keepdims=True)
    centred = inputs[0] - mean
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return {"mean": mean, "centred": centred, VARIANCE: variance}


def _observed(value: Array) -> _Observed:
    flat = value.reshape(-1)
    chosen = np.random.default_rng(0).integers(0, flat.size, min(_SAMPLE_PER_BATCH, flat.size))
    return _Observed(float(flat.min()), float(flat.max()), flat[chosen])


def _range(name: str, batches: Sequence[_Observed]) -> Range:
    low, high = min(batch.low for batch in batches), max(batch.high for batch in batches)
    if name.endswith(f"/{VARIANCE}"):  # its extremes decide about overflow, not about rounding
        return low, high
    sample = np.concatenate([batch.sample for batch in batches])
    low, high = min(low, 0.0), max(high, 0.0)
    errors = [_squared_error(sample, share * low, share * high) for share in _SHARES_KEPT]
    share = float(_SHARES_KEPT[int(np.argmin(errors))])
    return share * low, share * high


def _squared_error(sample: Array, low: float, high: float) -> float:
    scale = np.float32((high - low) / _STEPS or 1.0)
    levels = np.rint(sample.clip(low, high) / scale)
    return float(np.mean(np.square(levels * scale - sample)))
