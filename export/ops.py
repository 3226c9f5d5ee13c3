"""The ops of a deployment graph: for each, its weights, its shape rule and its meaning in NumPy.

``evaluate`` is the definition of an op, in float32; a lowering is right when it computes the same.
Shapes leave out the batch dimension, which is always first. Tokens are ``[tokens, channels]``,
images are ``[height, width, channels]``. Adding an op is one class here and one function in each
lowering.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgevit.metrics import softmax

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Padding = Literal["valid", "same"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Op(ABC):
    """One step of a graph.

    Attributes:
        name: Of the op and of the value that it computes.
        inputs: Names of the values that it reads.
    """

    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def shape(self, *inputs: Shape) -> Shape:
        """Return the output's shape; raises ValueError if the inputs do not fit."""

    @abstractmethod
    def evaluate(self, *inputs: Any) -> Array:
        """Compute the output for a batch."""

    def arrays(self) -> dict[str, Array]:
        """Return the op's weights by field name."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in held.items() if isinstance(value, np.ndarray)}


class TokenWise(Op):
    """An op that treats every token (or pixel) on its own: a selection of tokens passes it.

    The shape stays, unless a subclass says otherwise.
    """

    def shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        return inputs[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Op):
    """Pixels, ``uint8 [height, width, 3]`` RGB, handed on as float32 0–255."""

    height: int
    width: int

    def shape(self, *inputs: Shape) -> Shape:
        """Return (height, width, 3)."""
        return (self.height, self.width, 3)

    def evaluate(self, *inputs: Any) -> Array:
        """Cast to float32."""
        (pixels,) = inputs
        return np.asarray(pixels, dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalise(TokenWise):
    """``y = x * scale + offset`` per channel, after an optional swap of RGB to BGR.

    Attributes:
        scale: ``float32 [3]``, in the order after the swap.
        offset: ``float32 [3]``, likewise.
        swap_channels: Reverse the channels first.
    """

    scale: Array
    offset: Array
    swap_channels: bool

    def evaluate(self, *inputs: Any) -> Array:
        """Apply the affine map."""
        (x,) = inputs
        ordered = x[..., ::-1] if self.swap_channels else x
        return np.asarray(ordered * self.scale + self.offset, dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2D(Op):
    """A 2-D convolution (cross-correlation) with bias.

    Attributes:
        kernel: ``float32 [kernel height, kernel width, in channels, out channels]``.
        bias: ``float32 [out channels]``.
        stride: In both directions.
        padding: ``same`` (stride 1 only, zeros) or ``valid``.
    """

    kernel: Array
    bias: Array
    stride: int = 1
    padding: Padding = "valid"

    def shape(self, *inputs: Shape) -> Shape:
        """Return the output image's shape."""
        height, width, channels = inputs[0]
        kernel_height, kernel_width, in_channels, out_channels = self.kernel.shape
        if channels != in_channels:
            raise ValueError(f"{self.name}: {channels} channels for a kernel of {in_channels}")
        if self.padding == "same":
            if self.stride != 1:
                raise ValueError(f"{self.name}: same padding needs stride 1, got {self.stride}")
            return (height, width, out_channels)
        return (
            (height - kernel_height) // self.stride + 1,
            (width - kernel_width) // self.stride + 1,
            out_channels,
        )

    def evaluate(self, *inputs: Any) -> Array:
        """Add up one matrix product per kernel position, image by image to bound memory."""
        (images,) = inputs
        rows, columns = self.kernel.shape[:2]
        if self.padding == "same":
            vertical, horizontal = (rows - 1) // 2, (columns - 1) // 2
            images = np.pad(
                images,
                (
                    (0, 0),
                    (vertical, rows - 1 - vertical),
                    (horizontal, columns - 1 - horizontal),
                    (0, 0),
                ),
            )
        convolve = self._convolve_patches if self.stride == rows == columns else self._convolve
        return np.stack([convolve(image) + self.bias for image in images])

    def _convolve_patches(self, image: Array) -> Array:
        """Convolve squares that do not overlap: one product with the unfolded patches."""
        size = self.stride
        rows, columns, channels = image.shape[0] // size, image.shape[1] // size, image.shape[2]
        whole = image[: rows * size, : columns * size]
        patches = whole.reshape(rows, size, columns, size, channels).transpose(0, 2, 1, 3, 4)
        matrix = self.kernel.reshape(-1, self.kernel.shape[3])
        return np.asarray(patches.reshape(rows, columns, -1) @ matrix, dtype=np.float32)

    def _convolve(self, image: Array) -> Array:
        """Convolve in general: unfolding would take nine copies of VGG16's largest image."""
        rows, columns, _, channels = self.kernel.shape
        height = (image.shape[0] - rows) // self.stride + 1
        width = (image.shape[1] - columns) // self.stride + 1
        total = np.zeros((height, width, channels), dtype=np.float32)
        for row in range(rows):
            for column in range(columns):
                shifted = image[
                    row : row + (height - 1) * self.stride + 1 : self.stride,
                    column : column + (width - 1) * self.stride + 1 : self.stride,
                ]
                total += np.ascontiguousarray(shifted) @ self.kernel[row, column]
        return total


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool2D(Op):
    """The maximum of each ``size``×``size`` square; squares do not overlap, edges are dropped."""

    size: int

    def shape(self, *inputs: Shape) -> Shape:
        """Return the output image's shape."""
        height, width, channels = inputs[0]
        return (height // self.size, width // self.size, channels)

    def evaluate(self, *inputs: Any) -> Array:
        """Take the maxima."""
        (x,) = inputs
        height, width, channels = self.shape(x.shape[1:])
        whole = x[:, : height * self.size, : width * self.size]
        squares = whole.reshape(-1, height, self.size, width, self.size, channels)
        return np.asarray(squares.max(axis=(2, 4)), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Op):
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
    """

    epsilon: float
    gain: Array | None = None
    bias: Array | None = None

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
        from scipy.special import erf

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
class TakeToken(Op):
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
