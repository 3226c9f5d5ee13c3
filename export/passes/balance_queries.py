"""Queries and keys share the spread of their channels, where their products are integers too.

A score is a sum over channels of query times key: multiplying a channel of the one and dividing
that of the other changes nothing. With the same largest number on both sides, neither loses
resolution to channels in which only the other is small (the geometric mean of SmoothQuant's eq. 4,
Xiao et al. 2023, arXiv:2211.10438, with keys in the place of weights).
"""

from __future__ import annotations

import numpy as np

from edgevit.calibration.statistics import Calibration, Observed
from edgevit.export.ops import Array, Attention, Dense, Op
from edgevit.export.passes.calibrated import Rounding
from edgevit.export.passes.links import divided


def balance_queries(calibration: Calibration, rounding: Rounding) -> Calibration:
    """Balance the queries and keys of each attention that alone reads them."""
    graph = calibration.graph
    layers: dict[str, Op] = {}
    scales: dict[str, Array] = {}
    for attention in graph.of_type(Attention):
        query, key = (graph.op(name) for name in attention.inputs[:2])
        makers = (query, key)
        if not all(isinstance(op, Dense) and len(graph.consumers(op.name)) == 1 for op in makers):
            continue
        if len(set(attention.inputs)) < len(attention.inputs):
            continue
        of_queries, of_keys = (_largest(calibration.observed[op.name]) for op in makers)
        alive = (of_queries > 0) & (of_keys > 0)
        ratio = np.where(alive, of_queries, 1) / np.where(alive, of_keys, 1)
        scale: Array = np.sqrt(ratio).astype(np.float32)
        for op, factor in ((query, scale), (key, np.float32(1) / scale)):
            layers[op.name], scales[op.name] = divided(op, factor), factor
    if not layers:
        return calibration
    rewritten = graph.edit({name: (layer,) for name, layer in layers.items()})
    return calibration.rewritten(rewritten, scales)


def _largest(seen: Observed) -> Array:
    return np.asarray(np.maximum(np.abs(seen.low), np.abs(seen.high)))
