"""Ops on images, ``[height, width, channels]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgevit.export.ops.base import Array, Moving, Op, Shape, TokenWise

Padding = Literal["valid", "same"]


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
class MaxPool2D(Moving):
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
class SpaceToDepth(Moving):
    """Put each ``block``×``block`` square of pixels into the channels of one, row by row.

    The order of the channels is (row, column, channel), as in a convolution's kernel.
    """

    block: int

    def shape(self, *inputs: Shape) -> Shape:
        """Return the smaller, deeper image's shape."""
        height, width, channels = inputs[0]
        if height % self.block or width % self.block:
            raise ValueError(f"{self.name}: {inputs[0]} is no whole number of squares")
        return (height // self.block, width // self.block, self.block**2 * channels)

    def evaluate(self, *inputs: Any) -> Array:
        """Unfold the squares."""
        (x,) = inputs
        rows, columns, depth = self.shape(x.shape[1:])
        split = x.reshape(len(x), rows, self.block, columns, self.block, -1)
        squares = split.transpose(0, 1, 3, 2, 4, 5)
        return np.asarray(squares.reshape(len(x), rows, columns, depth), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class PadConstant(Moving):
    """Put rows and columns of one pixel around an image; the pixel lies within the input's range.

    Attributes:
        before: Rows above, and columns on the left.
        after: Rows below, and columns on the right.
        value: ``float32 [channels]``.
        spare: Further columns on the right.
    """

    before: int
    after: int
    value: Array
    spare: int = 0

    def shape(self, *inputs: Shape) -> Shape:
        """Return the larger image's shape."""
        height, width, channels = inputs[0]
        added = self.before + self.after
        return (height + added, width + added + self.spare, channels)

    def evaluate(self, *inputs: Any) -> Array:
        """Pad."""
        (x,) = inputs
        padded = np.empty((len(x), *self.shape(x.shape[1:])), dtype=np.float32)
        padded[:] = self.value
        height, width = x.shape[1:3]
        rows, columns = (slice(self.before, self.before + size) for size in (height, width))
        padded[:, rows, columns] = x
        return padded
