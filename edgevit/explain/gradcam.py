"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), with its gradient written out in NumPy.

Behind the last convolution of VGG16 come a ReLU, a max-pool, a flatten and dense layers: few
enough that the gradient needs no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import (
    Array,
    BatchNorm,
    Conv2D,
    Dense,
    MaxPool2D,
    Op,
    Relu,
    Reshape,
    Softmax,
)


@dataclass(frozen=True)
class Tail:
    """What follows the last convolution.

    Attributes:
        features: Name of its values, after its ReLU: ``[rows, columns, channels]``.
        ops: From there to the dense layer of the logits, each reading the one before it.
    """

    features: str
    ops: tuple[Op, ...]

    @property
    def value_names(self) -> frozenset[str]:
        """The values that Grad-CAM needs."""
        return frozenset({self.features, *(name for op in self.ops for name in op.inputs)})


def tail_of(graph: DeployGraph) -> Tail | None:
    """Return what follows the last convolution; ``None`` if Grad-CAM cannot go through it."""
    places = [index for index, op in enumerate(graph.ops) if isinstance(op, Conv2D)]
    if not places or not isinstance(graph.ops[-1], Softmax):
        return None
    features = graph.ops[places[-1]].name
    ops = list(graph.ops[places[-1] + 1 : -1])
    if ops and isinstance(ops[0], Relu):
        features = ops.pop(0).name
    previous = features
    for op in ops:
        known = isinstance(op, (Dense, Reshape, Relu, MaxPool2D, BatchNorm))
        if not known or op.inputs != (previous,):
            return None
        previous = op.name
    return Tail(features, tuple(ops)) if ops and isinstance(ops[-1], Dense) else None


def grad_cam(tail: Tail, values: Mapping[str, Array], class_index: int) -> Array:
    """Compute the map of one image.

    Eq. 1: α_k = mean over the positions of ∂y_c / ∂A^k, where y_c is the logit (before the
    softmax) and A^k channel k of the last convolution. Eq. 2: ReLU(Σ_k α_k A^k).

    Args:
        tail: What follows the last convolution.
        values: Those of ``tail.value_names``, ``float32 [1, …]``.
        class_index: The class c.

    Returns:
        ``float32 [rows, columns]``, at least 0, in the unit of a logit per activation.
    """
    features = values[tail.features]
    weights = feature_gradient(tail, values, class_index).mean(axis=(1, 2))
    weighted = (features * weights[:, None, None]).sum(axis=-1)[0]
    return np.asarray(np.maximum(weighted, np.float32(0)), dtype=np.float32)


def feature_gradient(tail: Tail, values: Mapping[str, Array], class_index: int) -> Array:
    """Return ∂y_c / ∂A of one image, ``float32 [1, rows, columns, channels]``."""
    logits = tail.ops[-1]
    gradient: Array = np.zeros((1, *logits.shape(values[logits.inputs[0]].shape[1:])), np.float32)
    gradient[0, class_index] = 1
    for op in reversed(tail.ops):
        gradient = _backward(op, values[op.inputs[0]], gradient)
    return gradient


def _backward(op: Op, x: Array, gradient: Array) -> Array:
    """Return the gradient at an op's input ``x`` from that at its output."""
    if isinstance(op, Dense):
        return np.asarray(gradient @ op.kernel.T, dtype=np.float32)
    if isinstance(op, BatchNorm):
        return np.asarray(gradient * op.scale, dtype=np.float32)
    if isinstance(op, Relu):
        return np.asarray(gradient * (x > 0), dtype=np.float32)
    if isinstance(op, MaxPool2D):
        return _unpool(op, x, gradient)
    return gradient.reshape(x.shape)


def _unpool(op: MaxPool2D, x: Array, gradient: Array) -> Array:
    """Hand each square's gradient to its largest value, the first one where several are."""
    size = op.size
    count, height, width, channels = gradient.shape
    whole = x[:, : height * size, : width * size]
    squares = whole.reshape(count, height, size, width, size, channels)
    squares = squares.transpose(0, 1, 3, 5, 2, 4).reshape(count, height, width, channels, -1)
    chosen = np.zeros_like(squares)
    np.put_along_axis(chosen, squares.argmax(axis=-1)[..., None], gradient[..., None], axis=-1)
    unfolded = chosen.reshape(count, height, width, channels, size, size)
    result = np.zeros_like(x)
    result[:, : height * size, : width * size] = unfolded.transpose(0, 1, 4, 2, 5, 3).reshape(
        whole.shape
    )
    return result
