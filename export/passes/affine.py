"""Folding a per-channel affine map into the dense layers that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Dense, Op, Reshape, TakeToken

_Wide = npt.NDArray[np.float64]


def fold_into_readers(
    graph: DeployGraph, name: str, scale: npt.ArrayLike, offset: npt.ArrayLike
) -> dict[str, Sequence[Op]] | None:
    """Move ``y = x * scale + offset`` from the op ``name`` into every dense layer that reads it.

    The map passes through a selection of tokens and through a flattening of tokens. With
    ``W' = diag(scale) W`` and ``b' = b + offset W`` the answers stay the same.

    Args:
        graph: The graph.
        name: The op whose output is ``y`` now and shall be ``x``.
        scale: ``[channels]``.
        offset: ``[channels]``.

    Returns:
        Replacements for :meth:`DeployGraph.edit`, or ``None`` if some reader is no dense layer.
    """
    wide_scale = np.asarray(scale, dtype=np.float64)
    wide_offset = np.asarray(offset, dtype=np.float64)
    replacements: dict[str, Sequence[Op]] = {}
    for reader in graph.consumers(name):
        if isinstance(reader, Dense):
            replacements[reader.name] = (_folded(reader, wide_scale, wide_offset),)
            continue
        if isinstance(reader, TakeToken):
            inner = fold_into_readers(graph, reader.name, wide_scale, wide_offset)
        elif isinstance(reader, Reshape) and len(reader.target) == 1:
            repeats = reader.target[0] // len(wide_scale)
            tiled = (np.tile(wide_scale, repeats), np.tile(wide_offset, repeats))
            inner = fold_into_readers(graph, reader.name, *tiled)
        else:
            return None
        if inner is None:
            return None
        replacements.update(inner)
    return replacements or None


def _folded(dense: Dense, scale: _Wide, offset: _Wide) -> Dense:
    kernel = dense.kernel.astype(np.float64)
    return replace(
        dense,
        kernel=(scale[:, None] * kernel).astype(np.float32),
        bias=(dense.bias + offset @ kernel).astype(np.float32),
    )
