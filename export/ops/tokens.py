"""Ops on tokens, ``[tokens, channels]``, and on vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.errors import MissingDependencyError
from edgevit.export.ops.base import Array, Moving, Op, Shape, TokenWise
from edgevit.metrics import softmax


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Moving):
    """The same numbers in another shape (without the batch dimension)."""

    target: Shape

    def shape(self, *inputs: Shape) -> Shape:
        """Return the target."""
        if math.prod(inputs[0]) != math.prod(self.target):
            raise ValueError(f"{self.name}: {inputs[0]} cannot become {self.target}")
        return self.target

    def evaluate(self, *inputs: Any) -> Array:
        """Reshape each item of the batch."""
        (x,) = inputs
        return np.asarray(x.reshape(len(x), *self.target), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class PrependToken(Op):
    """Put a learned token (``float32 [channels]``) before the others."""

    token: Array

    def shape(self, *inputs: Shape) -> Shape:
        """Return one token more."""
        tokens, channels = inputs[0]
        return (tokens + 1, channels)

    def evaluate(self, *inputs: Any) -> Array:
        """Concatenate."""
        (x,) = inputs
        token = np.broadcast_to(self.token, (len(x), 1, x.shape[2]))
        return np.concatenate([token, x], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class AddConstant(Op):
    """Add a constant of the input's shape, such as the position embedding."""

    value: Array

    def shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        if inputs[0] != self.value.shape:
            raise ValueError(f"{self.name}: {inputs[0]} and {self.value.shape} differ")
        return inputs[0]

    def evaluate(self, *inputs: Any) -> Array:
        """Add."""
        (x,) = inputs
        return np.asarray(x + self.value, dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(TokenWise):
    """The sum of two values of one shape: the residual connection."""

    def shape(self, *inputs: Shape) -> Shape:
        """Return the shape of both."""
        if inputs[0] != inputs[1]:
            raise ValueError(f"{self.name}: {inputs[0]} and {inputs[1]} differ")
        return inputs[0]

    def evaluate(self, *inputs: Any) -> Array:
        """Add."""
        a, b = inputs
        return np.asarray(a + b, dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNorm(TokenWise):
    """Layer normalisation over the channels (Ba et al. 2016, arXiv:1607.06450, eq. 4).

    Attributes:
        epsilon: Added to the variance.
        gain: ``float32 [channels]``, or ``None`` once it is folded into the readers.
        bias: ``float32 [channels]``, or ``None`` likewise.
        centred: The input's mean is 0 already, up to rounding: a lowering need not subtract it.
    """

    epsilon: float
    gain: Array | None = None
    bias: Array | None = None
    centred: bool = False

    def evaluate(self, *inputs: Any) -> Array:
        """Normalise, then apply gain and bias."""
        (x,) = inputs
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        y = centred / np.sqrt(variance + self.epsilon)
        if self.gain is not None:
            y = y * self.gain
        if self.bias is not None:
            y = y + self.bias
        return np.asarray(y, dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchNorm(TokenWise):
    """Batch normalisation at inference: ``y = x * scale + offset`` per channel."""

    scale: Array
    offset: Array

    def evaluate(self, *inputs: Any) -> Array:
        """Apply the affine map."""
        (x,) = inputs
        return np.asarray(x * self.scale + self.offset, dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(TokenWise):
    """``y = x @ kernel + bias`` over the last dimension.

    Attributes:
        kernel: ``float32 [in, out]``.
        bias: ``float32 [out]``.
    """

    kernel: Array
    bias: Array

    def shape(self, *inputs: Shape) -> Shape:
        """Replace the last dimension."""
        if inputs[0][-1] != self.kernel.shape[0]:
            raise ValueError(f"{self.name}: {inputs[0]} for a kernel {self.kernel.shape}")
        return (*inputs[0][:-1], self.kernel.shape[1])

    def evaluate(self, *inputs: Any) -> Array:
        """Multiply and add."""
        (x,) = inputs
        # One product of two matrices: NumPy multiplies stacks of matrices one by one.
        flat = x.reshape(-1, x.shape[-1]) @ self.kernel + self.bias
        return np.asarray(flat.reshape(*x.shape[:-1], -1), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Relu(TokenWise):
    """``max(x, 0)``."""

    def evaluate(self, *inputs: Any) -> Array:
        """Clip below."""
        return np.asarray(np.maximum(inputs[0], np.float32(0)), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Gelu(TokenWise):
    """``x * Φ(x)`` with the exact normal distribution (Hendrycks & Gimpel, arXiv:1606.08415)."""

    def evaluate(self, *inputs: Any) -> Array:
        """Evaluate with the error function."""
        try:
            from scipy.special import erf
        except ImportError:
            raise MissingDependencyError(
                "evaluating a GELU needs scipy", "pip install 'edgevit[export]'"
            ) from None
        (x,) = inputs
        return np.asarray(0.5 * x * (1 + erf(x / np.float32(math.sqrt(2)))), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Attention(Op):
    """Multi-head attention of projected queries, keys and values (arXiv:1706.03762, eq. 1).

    Inputs are queries ``[tokens, heads * size]``, keys and values ``[others, heads * size]``.

    Attributes:
        heads: Number of heads.
        scale: Multiplies the scores: 1/√size, or 1 once it is folded into the queries.
    """

    heads: int
    scale: float

    def shape(self, *inputs: Shape) -> Shape:
        """Return as many tokens as there are queries."""
        queries, keys, values = inputs
        if keys[0] != values[0] or queries[1] != keys[1] or queries[1] % self.heads:
            raise ValueError(f"{self.name}: {inputs} do not fit {self.heads} heads")
        return (queries[0], values[1])

    def _split(self, x: Array) -> Array:
        """Turn ``[n, tokens, heads * size]`` into ``[n, heads, tokens, size]``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(0, 2, 1, 3)

    def evaluate(self, *inputs: Any) -> Array:
        """Score, softmax, mix."""
        queries, keys, values = (self._split(x) for x in inputs)
        scores = queries @ keys.transpose(0, 1, 3, 2) * np.float32(self.scale)
        mixed = softmax(scores) @ values
        merged = mixed.transpose(0, 2, 1, 3)
        return np.asarray(merged.reshape(*merged.shape[:2], -1), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class TakeToken(Moving):
    """Keep one token: ``[tokens, channels]`` to ``[1, channels]``."""

    index: int

    def shape(self, *inputs: Shape) -> Shape:
        """Return one token."""
        return (1, inputs[0][1])

    def evaluate(self, *inputs: Any) -> Array:
        """Slice."""
        return np.asarray(inputs[0][:, self.index : self.index + 1], dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(TokenWise):
    """Probabilities over the last dimension."""

    def evaluate(self, *inputs: Any) -> Array:
        """Exponentiate and normalise."""
        return softmax(inputs[0])
