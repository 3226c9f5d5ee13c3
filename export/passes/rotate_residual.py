"""Outliers in the residual stream of a transformer are spread over all of its channels.

A layer norm over a centred stream only divides by the length of a token, which no rotation changes:
rotating what writes into the stream and what reads the norms gives the same answers (Ashkboos et
al. 2024, QuaRot, arXiv:2404.00456, section 3). One int8 scale then suits all channels. Where ranges
are per token or the stream stays float there is nothing to win.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import (
    Add,
    AddConstant,
    Dense,
    LayerNorm,
    Op,
    PrependToken,
    Reshape,
    TakeToken,
)
from edgevit.export.passes.calibrated import Rounding

_Wide = npt.NDArray[np.float64]
_STREAM_OPS = (Add, AddConstant, PrependToken, TakeToken)
_SEED = 0


def rotate_residual(calibration: Calibration, rounding: Rounding) -> Calibration:
    """Rotate the centred stream; its activations must then be looked at again."""
    graph = rotated_residual(calibration.graph)
    return calibration if graph is calibration.graph else Calibration(graph, calibration.images)


def rotated_residual(graph: DeployGraph) -> DeployGraph:
    """Rotate the centred stream, if the norms that read it are read by dense layers only."""
    norms = [norm for norm in graph.of_type(LayerNorm) if norm.centred]
    readers = _dense_readers(graph, norms)
    if not norms or readers is None or any(norm.gain is not None for norm in norms):
        return graph
    width = graph.shapes[norms[0].name][-1]
    rotation = _rotation(width)
    replacements: dict[str, Sequence[Op]] = {
        op.name: (_written(op, rotation),) for op in _stream(graph, norms)
    }
    for dense in readers:
        dense_now = replacements.get(dense.name, (dense,))[0]
        assert isinstance(dense_now, Dense)
        replacements[dense.name] = (_read(dense_now, rotation),)
    return graph.edit(replacements)


def _rotation(width: int) -> _Wide:
    """Return a symmetric orthogonal matrix that leaves the mean over the channels alone.

    In the cosine basis it flips the sign of every other component or so, but never of the
    constant one.
    """
    positions = np.arange(width)
    basis = np.cos(np.pi / width * (positions[:, np.newaxis] + 0.5) * positions)
    basis /= np.linalg.norm(basis, axis=0)
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], width)
    signs[0] = 1
    rotation: _Wide = (basis * signs) @ basis.T
    return rotation


def _stream(graph: DeployGraph, norms: Iterable[LayerNorm]) -> list[Op]:
    """Return the ops whose values are added up before the norms, writers included."""
    found: dict[str, Op] = {}
    pending = [norm.inputs[0] for norm in norms]
    while pending:
        op = graph.op(pending.pop())
        if op.name not in found:
            found[op.name] = op
            if isinstance(op, _STREAM_OPS):
                pending += op.inputs
    return list(found.values())


def _dense_readers(graph: DeployGraph, ops: Iterable[Op]) -> list[Dense] | None:
    """Return the dense layers that read the ops, also through a selection or a flattening."""
    found: list[Dense] = []
    for op in ops:
        for reader in graph.consumers(op.name):
            if isinstance(reader, Dense):
                found.append(reader)
            elif isinstance(reader, (TakeToken, Reshape)):
                inner = _dense_readers(graph, [reader])
                if inner is None:
                    return None
                found += inner
            else:
                return None
    return found


def _written(op: Op, rotation: _Wide) -> Op:
    def rotated(value: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(value.astype(np.float64) @ rotation, dtype=np.float32)

    if isinstance(op, Dense):
        return replace(op, kernel=rotated(op.kernel), bias=rotated(op.bias))
    if isinstance(op, AddConstant):
        return replace(op, value=rotated(op.value))
    if isinstance(op, PrependToken):
        return replace(op, token=rotated(op.token))
    return op


def _read(dense: Dense, rotation: _Wide) -> Dense:
    """Undo the rotation; a flattened input has the channels as its fastest dimension."""
    width, outputs = len(rotation), dense.kernel.shape[1]
    tokens = dense.kernel.astype(np.float64).reshape(-1, width, outputs)
    kernel = np.asarray(rotation @ tokens, dtype=np.float32)
    return replace(dense, kernel=kernel.reshape(-1, outputs))
