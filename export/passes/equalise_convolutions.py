"""Channels between convolutions get one range, so that one int8 scale suits them all.

Cross-layer equalisation (Nagel et al. 2019, arXiv:1906.04721, section 4.1) for positively
homogeneous ops: with ``relu(s x) = s relu(x)`` for ``s > 0``, a channel can be divided by ``s`` in
the convolution that makes it and multiplied by ``s`` in the layer that reads it. The paper takes
``s`` from the weights; here it comes from the channel's largest value on calibration images, since
weights have a scale per channel anyway and the values between the layers have one for all.

Every ``s`` is a power of two, so that the float32 answers do not change by a single bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Conv2D, Dense, MaxPool2D, Op, Relu, Reshape
from edgevit.preprocessing import Pixels

_HOMOGENEOUS = (Relu, MaxPool2D, Reshape)
_LARGEST_SCALE_LOG2 = 6


def equalise_convolutions(graph: DeployGraph, images: Pixels) -> DeployGraph:
    """Equalise every convolution whose value is read by one convolution or dense layer.

    Args:
        graph: The graph.
        images: Calibration images, ``uint8 [n, height, width, 3]``.
    """
    found = ((conv, _matrix_reader(graph, conv)) for conv in graph.of_type(Conv2D))
    pairs = [(conv.name, reader.name) for conv, reader in found if reader is not None]
    maxima = _channel_maxima(graph, [name for name, _ in pairs], images)
    for name, reader_name in pairs:
        conv, reader = graph.op(name), graph.op(reader_name)
        assert isinstance(conv, Conv2D)
        assert isinstance(reader, (Conv2D, Dense))
        scale = _powers_of_two(maxima[name])
        divided = replace(conv, kernel=conv.kernel / scale, bias=conv.bias / scale)
        graph = graph.edit({name: (divided,), reader_name: (_multiplied(reader, scale),)})
    return graph


def _matrix_reader(graph: DeployGraph, conv: Conv2D) -> Conv2D | Dense | None:
    """Follow a convolution's value through homogeneous ops to its only reader with weights."""
    op: Op = conv
    while len(readers := graph.consumers(op.name)) == 1:
        op = readers[0]
        if isinstance(op, (Conv2D, Dense)):
            return op
        if not isinstance(op, _HOMOGENEOUS):
            return None
    return None


def _channel_maxima(graph: DeployGraph, names: list[str], images: Pixels) -> dict[str, Array]:
    """Return the largest positive value of each convolution's channels, ``float32 [channels]``."""

    def maxima(batch: Pixels) -> dict[str, Array]:
        values = graph.values(batch)
        return {name: values[name].max(axis=(0, 1, 2)) for name in names}

    batches = graph.map_batches(maxima, images, batch_size=1)
    return {name: np.max([batch[name] for batch in batches], axis=0) for name in names}


def _powers_of_two(maxima: Array) -> Array:
    """Return a scale per channel around 1; channels that are never positive keep theirs."""
    alive = maxima > 0
    if not alive.any():
        return np.ones_like(maxima)
    logs = np.zeros(len(maxima))
    logs[alive] = np.log2(maxima[alive])
    logs[alive] -= logs[alive].mean()
    rounded = np.clip(np.round(logs), -_LARGEST_SCALE_LOG2, _LARGEST_SCALE_LOG2)
    return np.exp2(rounded).astype(np.float32)


def _multiplied(reader: Conv2D | Dense, scale: Array) -> Conv2D | Dense:
    if isinstance(reader, Conv2D):
        return replace(reader, kernel=reader.kernel * scale[:, None])
    # Flattened images: the channels are the fastest dimension.
    repeats = reader.kernel.shape[0] // len(scale)
    return replace(reader, kernel=reader.kernel * np.tile(scale, repeats)[:, None])
