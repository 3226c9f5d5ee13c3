"""Writing integer TFLite files: tensors on grids of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.calibration.statistics import Range
from edgevit.export import ops
from edgevit.export.tflite_writer import TFLiteWriter

Shape = tuple[int, ...]
Options = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Grid:
    """``real = scale * (level - zero_point)`` for levels of an integer type."""

    scale: float
    zero_point: int = 0
    dtype: npt.DTypeLike = np.int8

    def levels(self, value: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the nearest levels."""
        info = np.iinfo(np.dtype(self.dtype))
        rounded = np.rint(np.asarray(value) / self.scale) + self.zero_point
        return rounded.clip(info.min, info.max).astype(self.dtype)


def affine(bounds: Range) -> Grid:
    """Return the int8 grid over a range; 0 is always on it."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = float(np.float32((high - low) / 255)) or 1.0
    return Grid(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def symmetric(bounds: Range, dtype: npt.DTypeLike = np.int8) -> Grid:
    """Return the grid over a range with 0 in the middle."""
    largest = max(abs(bounds[0]), abs(bounds[1]))
    return Grid(float(np.float32(largest / np.iinfo(np.dtype(dtype)).max)) or 1.0, 0, dtype)


def positive(largest: float) -> Grid:
    """Return the int8 grid from 0 to a number."""
    return affine((0.0, largest))


class IntegerWriter(TFLiteWriter):
    """A writer whose tensors are on grids."""

    def __init__(self) -> None:
        super().__init__()
        self.grids: dict[int, Grid] = {}

    def placed(self, tensor: int, grid: Grid) -> int:
        """Put a tensor on a grid and return its number."""
        self._tensors[tensor].type = self._type(grid.dtype)
        self._state(tensor, np.array([grid.scale], np.float32), grid.zero_point)
        self.grids[tensor] = grid
        return tensor

    def apply(
        self,
        kind: str,
        inputs: Sequence[int],
        name: str,
        shape: Sequence[int],
        grid: Grid,
        options: Options | None = None,
    ) -> int:
        """Add an operator whose output is on a grid."""
        return self.placed(self.operator(kind, inputs, name, shape, options), grid)

    def levels(self, name: str, levels: npt.NDArray[Any], grid: Grid) -> int:
        """Add a constant that is on a grid already."""
        return self.placed(self._stored(name, levels), grid)

    def per_channel(self, name: str, levels: npt.NDArray[Any], scales: ops.Array) -> int:
        """Add a constant with one scale for each index of its first dimension."""
        tensor = self._stored(name, levels)
        self._state(tensor, scales.astype(np.float32), 0)
        return tensor

    def shape(self, tensor: int) -> Shape:
        """Return a tensor's shape."""
        return tuple(self._tensors[tensor].shape)

    def _type(self, dtype: npt.DTypeLike) -> int:
        number: int = getattr(self.schema.TensorType, np.dtype(dtype).name.upper())
        return number

    def _stored(self, name: str, levels: npt.NDArray[Any]) -> int:
        # Not `constant`: equal levels on two grids are two constants.
        buffer = self.schema.BufferT()
        buffer.data = np.ascontiguousarray(levels).reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        return self.tensor(name, levels.shape, levels.dtype, len(self._buffers) - 1)

    def _state(self, tensor: int, scales: ops.Array, zero_point: int) -> None:
        quantisation = self.schema.QuantizationParametersT()
        quantisation.scale = scales
        quantisation.zeroPoint = np.full(len(scales), zero_point, dtype=np.int64)
        quantisation.quantizedDimension = 0
        self._tensors[tensor].quantization = quantisation
