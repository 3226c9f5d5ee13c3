"""The residual stream of a transformer is kept at mean zero, so that no layer norm subtracts it.

Every reader of the stream is a layer norm, which takes the mean over the channels away. Taking it
away from everything that is written into the stream gives the same answers (Ashkboos et al. 2024,
SliceGPT, arXiv:2401.15024, section 3.1: layer norm becomes RMS norm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import (
    Add,
    AddConstant,
    Array,
    Dense,
    LayerNorm,
    Op,
    PrependToken,
    TakeToken,
)


def centre_residual(graph: DeployGraph) -> DeployGraph:
    """Centre what writes into the streams that only layer norms read, and mark those norms."""
    for norm in tuple(graph.of_type(LayerNorm)):
        norm_now = graph.op(norm.name)
        assert isinstance(norm_now, LayerNorm)
        if norm_now.centred:
            continue
        stream = _stream(graph, norm.inputs[0])
        if stream is None:
            continue
        replacements: dict[str, Sequence[Op]] = {
            name: (_centred(op),) for name, op in stream.items()
        }
        for reader in graph.of_type(LayerNorm):
            if reader.inputs[0] in stream:
                replacements[reader.name] = (replace(reader, centred=True),)
        graph = graph.edit(replacements)
    return graph


def _stream(graph: DeployGraph, name: str) -> dict[str, Op] | None:
    """Return the ops whose values are added up with ``name``; ``None`` if others read one.

    The reader of the graph's output is its user.
    """
    found: dict[str, Op] = {}
    pending = [name]
    while pending:
        op = graph.op(pending.pop())
        if op.name in found:
            continue
        found[op.name] = op
        if op.name == graph.output:
            return None
        if isinstance(op, (Add, AddConstant, PrependToken, TakeToken)):
            pending += op.inputs
        elif not isinstance(op, Dense):
            return None
        for reader in graph.consumers(op.name):
            if isinstance(reader, (Add, AddConstant, PrependToken, TakeToken)):
                pending.append(reader.name)
            elif not isinstance(reader, LayerNorm):
                return None
    return found


def _centred(op: Op) -> Op:
    if isinstance(op, Dense):
        return replace(op, kernel=_without_mean(op.kernel), bias=_without_mean(op.bias))
    if isinstance(op, AddConstant):
        return replace(op, value=_without_mean(op.value))
    if isinstance(op, PrependToken):
        return replace(op, token=_without_mean(op.token))
    return op


def _without_mean(value: Array) -> Array:
    wide = value.astype(np.float64)
    return np.asarray(wide - wide.mean(axis=-1, keepdims=True), dtype=np.float32)
