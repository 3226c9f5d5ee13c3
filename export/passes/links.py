"""Where a factor per channel may move: from what makes a value into what reads it.

Dividing each channel of a value where it is made and multiplying it where it is read changes
nothing in float. Three places of a classifier allow it: ReLU and pooling keep the factor (Nagel et
al. 2019, arXiv:1906.04721, section 4.1), a layer norm has a gain (Xiao et al. 2023,
arXiv:2211.10438, section 4), and attention mixes tokens but not the channels of its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import (
    Array,
    Attention,
    Conv2D,
    Dense,
    LayerNorm,
    MaxPool2D,
    Op,
    Relu,
    Reshape,
    TakeToken,
)
from edgevit.export.plan import Product


@dataclass(frozen=True)
class Link:
    """A value with all that makes and reads it.

    Attributes:
        maker: What a factor is divided out of.
        between: What hands the numbers on, first to last, each with the same channels.
        readers: What the factor is multiplied into.
    """

    maker: Conv2D | Dense | LayerNorm
    between: tuple[Op, ...]
    readers: tuple[Product, ...]

    @property
    def value(self) -> str:
        """The value whose channels are balanced: the last one that is not merely moved."""
        kept = [
            op.name for op in self.between if not isinstance(op, (Reshape, MaxPool2D, TakeToken))
        ]
        return kept[-1] if kept else self.maker.name


def convolution_links(graph: DeployGraph) -> list[Link]:
    """Return the convolutions that one layer reads, through a ReLU and what only moves numbers."""
    found = []
    for maker in graph.of_type(Conv2D):
        between: list[Op] = []
        last: Op = maker
        while len(readers := graph.consumers(last.name)) == 1:
            (last,) = readers
            if isinstance(last, (Conv2D, Dense)):
                if between and isinstance(between[0], Relu):
                    found.append(Link(maker, tuple(between), (last,)))
                break
            if not isinstance(last, (Relu, MaxPool2D, Reshape)):
                break
            if graph.shapes[last.name][-1] % maker.kernel.shape[-1]:
                break
            between.append(last)
    return found


def norm_links(graph: DeployGraph) -> list[Link]:
    """Return the layer norms that only dense layers read, also through a selection of tokens."""
    found = []
    for norm in graph.of_type(LayerNorm):
        readers: list[Dense] = []
        between: list[Op] = []
        pending = list(graph.consumers(norm.name))
        width = graph.shapes[norm.name][-1]
        while pending:
            op = pending.pop(0)
            if isinstance(op, Dense):
                readers.append(op)
            elif isinstance(op, TakeToken) or (
                isinstance(op, Reshape) and op.target[-1] % width == 0
            ):
                between.append(op)
                pending += graph.consumers(op.name)
            else:
                break
        else:
            if readers and norm.name != graph.output:
                found.append(Link(norm, tuple(between), tuple(readers)))
    return found


def value_links(graph: DeployGraph) -> list[Link]:
    """Return the projections to attention's values, if one dense layer reads what it mixes."""
    found = []
    for attention in graph.of_type(Attention):
        maker, readers = graph.op(attention.inputs[2]), graph.consumers(attention.name)
        if (
            isinstance(maker, Dense)
            and attention.inputs.count(maker.name) == 1
            and len(graph.consumers(maker.name)) == 1
            and len(readers) == 1
            and isinstance(readers[0], Dense)
        ):
            found.append(Link(maker, (attention,), (readers[0],)))
    return found


def divided(maker: Op, scale: Array) -> Op:
    """Return a maker whose channels are divided by ``float32 [channels]``."""
    if isinstance(maker, (Conv2D, Dense)):
        return replace(maker, kernel=maker.kernel / scale, bias=maker.bias / scale)
    assert isinstance(maker, LayerNorm)
    gain = np.ones_like(scale) if maker.gain is None else maker.gain
    bias = None if maker.bias is None else maker.bias / scale
    return replace(maker, gain=gain / scale, bias=bias)


def multiplied(reader: Product, scale: Array) -> Product:
    """Return a reader of divided channels; a flattened input repeats them."""
    outputs = reader.kernel.shape[-1]
    split = reader.kernel.reshape(-1, len(scale), outputs)
    return replace(reader, kernel=(split * scale[:, np.newaxis]).reshape(reader.kernel.shape))


def largest_weights(readers: Sequence[Product], channels: int) -> Array:
    """Return the largest weight that reads each channel, ``float32 [channels]``."""
    by_reader = [
        np.abs(reader.kernel.reshape(-1, channels, reader.kernel.shape[-1])).max(axis=(0, 2))
        for reader in readers
    ]
    return np.asarray(np.max(by_reader, axis=0))
