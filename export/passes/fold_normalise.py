"""The normalisation of pixels becomes part of the first convolution, as far as padding allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Conv2D, Normalise, Op


def fold_normalise(graph: DeployGraph) -> DeployGraph:
    """Fold channel order, scale and – where the convolution does not pad – the offset.

    A convolution that pads with zeros (VGG16's first) pads *after* the normalisation. There the
    offset stays in front of it: folding it into the bias would change the border.
    """
    for normalise in tuple(graph.of_type(Normalise)):
        readers = graph.consumers(normalise.name)
        conv = readers[0]
        if len(readers) != 1 or not isinstance(conv, Conv2D):
            continue
        if conv.padding == "valid":
            left: Sequence[Op] = ()
        elif normalise.swap_channels or not np.all(normalise.scale == 1):
            left = (_offset_only(normalise),)
        else:
            continue  # only the offset is left
        folded = _folded(conv, normalise, with_offset=not left)
        graph = graph.edit({conv.name: (folded,), normalise.name: left})
    return graph


def _offset_only(normalise: Normalise) -> Normalise:
    """Return the part of ``scale * (x + offset / scale)`` that is inside the brackets."""
    offset = normalise.offset / normalise.scale
    return replace(
        normalise,
        scale=np.ones_like(offset),
        offset=offset[::-1].copy() if normalise.swap_channels else offset,
        swap_channels=False,
    )


def _folded(conv: Conv2D, normalise: Normalise, *, with_offset: bool) -> Conv2D:
    kernel = conv.kernel.astype(np.float64)
    bias = conv.bias.astype(np.float64)
    if with_offset:
        bias = bias + np.einsum("c,hwco->o", normalise.offset.astype(np.float64), kernel)
    kernel = kernel * normalise.scale.astype(np.float64)[:, None]
    if normalise.swap_channels:
        kernel = kernel[:, :, ::-1]
    return replace(
        conv,
        kernel=np.ascontiguousarray(kernel, dtype=np.float32),
        bias=bias.astype(np.float32),
    )
