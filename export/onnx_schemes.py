"""The arithmetic of an ONNX file: how its matrix products and its stored values are written.

Every op but convolutions and dense layers is written the same way in every precision; these two
ask their scheme.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevit.export.onnx_writer import OnnxWriter
from edgevit.export.ops import Array
from edgevit.export.plan import Plan
from edgevit.export.quantised import PIXEL_GRID, AffineUint8, int8_per_channel, least_scales

# Measured for VGG16: blocks 3 to 5 take half the time with AMX and a quarter more without.
_DEEP_CHANNELS, _DEEP_INNER = 256, 1024


@dataclass(frozen=True)
class Product:
    """A matrix product to write.

    Attributes:
        kind: ``Gemm``, ``MatMul`` (for values with a batch dimension) or ``Conv``.
        name: Of the op.
        value: The graph's value that it reads.
        root: The value whose numbers those are, before they were moved (reshaped, selected).
        source: Where that value is in the file.
        kernel: Weights in the file's layout.
        bias: ``float32 [channels]``.
        axis: Of the output channels in ``kernel``.
        attributes: Of the node.
    """

    kind: str
    name: str
    value: str
    root: str
    source: str
    kernel: Array
    bias: Array
    axis: int
    attributes: Mapping[str, Any]

    def write(self, writer: OnnxWriter, kernel: str, bias: str) -> str:
        """Write the product of the source with a kernel that is in the file already."""
        if self.kind == "MatMul":  # it has no bias of its own
            plain = writer.node("MatMul", (self.source, kernel), f"{self.name}/WithoutBiases")
            return writer.node("Add", (plain, bias), self.name)
        inputs = (self.source, kernel, bias)
        return writer.node(self.kind, inputs, self.name, **self.attributes)


class Scheme(Protocol):
    """One arithmetic."""

    @property
    def dtype(self) -> npt.DTypeLike:
        """Of the float constants and of what is computed in float."""

    def pixels(self, writer: OnnxWriter, name: str, source: str) -> str:
        """Write how the ``uint8`` input becomes the value ``name``."""

    def store(self, writer: OnnxWriter, name: str, root: str, source: str) -> str:
        """Write how a value is kept for its readers, and return where it is.

        Args:
            writer: The file.
            name: Of the value.
            root: The value whose numbers those are, before they were moved.
            source: Where the value is now.
        """

    def constant_beside(self, writer: OnnxWriter, name: str, value: Array, beside: str) -> str:
        """Write a constant that is put beside the numbers of a value."""

    def product(self, writer: OnnxWriter, product: Product) -> str:
        """Write a convolution or a dense layer."""


@dataclass(frozen=True)
class Float:
    """Everything in one float type."""

    dtype: npt.DTypeLike = np.float32

    def pixels(self, writer: OnnxWriter, name: str, source: str) -> str:
        """Cast them."""
        return writer.cast(source, f"{name}/float", self.dtype)

    def store(self, writer: OnnxWriter, name: str, root: str, source: str) -> str:
        """Leave it."""
        return source

    def constant_beside(self, writer: OnnxWriter, name: str, value: Array, root: str) -> str:
        """Write it in the float type."""
        return writer.constant(name, value, self.dtype)

    def product(self, writer: OnnxWriter, product: Product) -> str:
        """Write the plain node."""
        kernel = writer.constant(f"{product.name}/kernel", product.kernel, self.dtype)
        bias = writer.constant(f"{product.name}/bias", product.bias, self.dtype)
        return product.write(writer, kernel, bias)


class Planned:
    """Every product as a plan says; everything else is float.

    *Calibrated* products have QDQ pairs around them and a float output. ONNX Runtime fuses a
    ``Gemm`` only if its bias is a dequantised int32 (its selector ``GemmNodeGroupSelector``);
    anything else would dequantise the weights at each inference. Products with ranges *per image*
    are the nodes that ONNX Runtime fuses into ``MatMulIntegerToFloat``.

    Args:
        plan: Of the graph.
        grids: Of the values that are kept in eight bits.
        always_rounded: The values among them that float readers must read rounded too.
        integer_pixels: Whether only products read the pixels: they stay the bytes they are.
        for_onnx_runtime: Keep biases as int32 on the grid of the products, and give the weights of
            deep convolutions a zero point beside 0: ONNX Runtime's kernel for symmetric weights
            does not use AMX, its matrix product does.
    """

    dtype: npt.DTypeLike = np.float32

    def __init__(
        self,
        plan: Plan,
        grids: Mapping[str, AffineUint8],
        *,
        always_rounded: Collection[str] = (),
        integer_pixels: bool,
        for_onnx_runtime: bool = True,
    ) -> None:
        self._always_rounded = always_rounded
        self._plan = plan
        self._grids = grids
        self._integer_pixels = integer_pixels
        self._for_onnx_runtime = for_onnx_runtime
        self._raw: str | None = None  # the name of the pixels, if they are bytes
        self._unrounded: dict[str, str] = {}  # by where a rounded value is
        # Levels, scale, zero point of what was rounded per image, by where it was.
        self._levels: dict[str, tuple[str, str, str]] = {}

    def pixels(self, writer: OnnxWriter, name: str, source: str) -> str:
        """Take them as levels of scale 1 and zero point 0, or else cast them."""
        if not self._integer_pixels:
            return writer.cast(source, f"{name}/float", self.dtype)
        self._raw = name
        return source

    def constant_beside(self, writer: OnnxWriter, name: str, value: Array, root: str) -> str:
        """Round what is put beside bytes."""
        if root != self._raw:
            return writer.constant(name, value)
        return writer.constant(name, np.rint(value).clip(0, 255), np.uint8)

    def store(self, writer: OnnxWriter, name: str, root: str, source: str) -> str:
        """Write a QDQ pair if the value is kept in eight bits."""
        grid = self._grids.get(name)
        if grid is None or root == self._raw:
            return source
        inputs = (source, *_grid_constants(writer, name, grid))
        levels = writer.node("QuantizeLinear", inputs, f"{name}/quantised")
        stored = _dequantised(writer, name, levels, grid)
        if name not in self._always_rounded:
            self._unrounded[stored] = source
        return stored

    def product(self, writer: OnnxWriter, product: Product) -> str:
        """Write a product as the plan says."""
        operand = self._plan[product.name]
        if operand == "calibrated":
            return self._calibrated(writer, product)
        source = self._unrounded.get(product.source, product.source)
        product = replace(product, source=source)
        if operand == "float":
            if product.root == self._raw:
                source = writer.cast(source, f"{product.name}/wide", self.dtype)
            elif product.kind == "Conv" and self._for_onnx_runtime:
                # Between two QDQ pairs, ONNX Runtime would quantise the weights itself.
                least = writer.constant(f"{product.name}/least", np.finfo(np.float32).min)
                source = writer.node("Max", (source, least), f"{product.name}/unfused")
            return Float().product(writer, replace(product, source=source))
        return self._per_image(writer, product)

    def _calibrated(self, writer: OnnxWriter, product: Product) -> str:
        """Dequantise input, weights and bias; the runtime fuses all of it into one int8 node."""
        if product.root == self._raw:
            source = _dequantised(writer, product.value, product.source, PIXEL_GRID)
            product = replace(product, source=source)
        least: Array | float = 0.0
        if self._for_onnx_runtime:
            least = least_scales(product.bias, self._grids[product.value].scale)
        levels, scales = int8_per_channel(product.kernel, product.axis, least)
        name = f"{product.name}/kernel"
        zero_point = -1 if self._for_onnx_runtime and _is_deep(product) else 0
        kernel = _dequantised_constant(
            writer, name, levels + np.int8(zero_point), scales, product.axis, zero_point
        )
        return product.write(writer, kernel, self._bias(writer, product, scales))

    def _bias(self, writer: OnnxWriter, product: Product, kernel_scales: Array) -> str:
        name = f"{product.name}/bias"
        if not self._for_onnx_runtime:
            return writer.constant(name, product.bias)
        scales = np.float32(self._grids[product.value].scale) * kernel_scales
        levels = np.rint(product.bias.astype(np.float64) / scales).astype(np.int32)
        return _dequantised_constant(writer, name, levels, scales, 0)

    def _per_image(self, writer: OnnxWriter, product: Product) -> str:
        """Quantise the input at run time, multiply integers, scale, add the bias."""
        name = product.name
        levels, scale, zero_point = self._at_run_time(writer, product)
        kernel, kernel_scales = int8_per_channel(product.kernel, product.axis)
        inputs = (levels, writer.constant(f"{name}/kernel/levels", kernel, np.int8), zero_point)
        sums = writer.node("MatMulInteger", inputs, f"{name}/integers")
        wide = writer.cast(sums, f"{name}/sums", np.float32)
        factors = (scale, writer.constant(f"{name}/kernel/scale", kernel_scales))
        step = writer.node("Mul", factors, f"{name}/step")
        scaled = writer.node("Mul", (wide, step), f"{name}/scaled")
        return writer.node("Add", (scaled, writer.constant(f"{name}/bias", product.bias)), name)

    def _at_run_time(self, writer: OnnxWriter, product: Product) -> tuple[str, str, str]:
        """Return levels, scale and zero point of what a product reads."""
        value = product.value
        if product.root == self._raw:
            return (product.source, *_grid_constants(writer, product.root, PIXEL_GRID))
        if value not in self._levels:  # once for all of its readers
            outputs = (f"{value}/levels", f"{value}/scale_seen", f"{value}/zero_point_seen")
            writer.node("DynamicQuantizeLinear", (product.source,), *outputs)
            self._levels[value] = outputs
        return self._levels[value]


def _is_deep(product: Product) -> bool:
    """Say whether unfolding a convolution's input costs little next to multiplying it."""
    channels = product.kernel.shape[product.axis]
    inner = product.kernel.size // channels
    return product.kind == "Conv" and channels >= _DEEP_CHANNELS and inner >= _DEEP_INNER


def _dequantised(writer: OnnxWriter, name: str, levels: str, grid: AffineUint8) -> str:
    inputs = (levels, *_grid_constants(writer, name, grid))
    return writer.node("DequantizeLinear", inputs, f"{name}/dequantised")


def _grid_constants(writer: OnnxWriter, name: str, grid: AffineUint8) -> tuple[str, str]:
    # An op of that name may have a "scale" of its own.
    return (
        writer.constant(f"{name}/grid_scale", grid.scale),
        writer.constant(f"{name}/grid_zero_point", grid.zero_point, np.uint8),
    )


def _dequantised_constant(
    writer: OnnxWriter,
    name: str,
    levels: npt.NDArray[Any],
    scales: Array,
    axis: int,
    zero_point: int = 0,
) -> str:
    inputs = (
        writer.constant(f"{name}/levels", levels, levels.dtype),
        writer.constant(f"{name}/scale", scales),
        writer.constant(f"{name}/zero_point", np.full(scales.shape, zero_point), levels.dtype),
    )
    return writer.node("DequantizeLinear", inputs, name, axis=axis)
