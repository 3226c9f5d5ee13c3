"""Deployment graph → float TFLite: one or a few builtin operators for each op.

Values keep the graph's names. Tokens are ``[tokens, channels]`` without a batch dimension, so that
dense layers are two-dimensional; images are ``[1, height, width, channels]`` and vectors
``[1, channels]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.tflite_writer import TFLiteWriter

INPUT_NAME = "pixels"
OUTPUT_NAME = "probabilities"

_NO_ACTIVATION = {"fusedActivationFunction": 0}


class _Emission:
    """One graph on its way into a file.

    Attributes:
        writer: Receives tensors and operators.
        graph: What is written.
        half: Keep kernels in float16.
        values: Tensor number of every value that is written already.
    """

    def __init__(self, graph: DeployGraph, *, half: bool) -> None:
        self.writer = TFLiteWriter()
        self.graph = graph
        self.half = half
        self.values: dict[str, int] = {}

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return a value's shape in the file."""
        shape = self.graph.shapes[name]
        return shape if len(shape) == 2 else (1, *shape)

    def inputs(self, op: ops.Op) -> list[int]:
        """Return the tensors that an op reads."""
        return [self.values[name] for name in op.inputs]

    def constant(self, op: ops.Op, part: str, value: ops.Array | float) -> int:
        """Add one of an op's float32 constants."""
        return self.writer.constant(f"{op.name}/{part}", value)

    def kernel(self, op: ops.Op, value: ops.Array) -> int:
        """Add the weights of a convolution or dense layer."""
        if not self.half:
            return self.constant(op, "kernel", value)
        # XNNPACK takes this pair as float16 weights: nothing is widened at each inference.
        stored = self.writer.constant(f"{op.name}/kernel", value, np.float16)
        return self.writer.operator("DEQUANTIZE", (stored,), f"{op.name}/wide", value.shape)

    def integers(self, op: ops.Op, part: str, values: tuple[int, ...]) -> int:
        """Add one of an op's int32 parameters, such as a shape."""
        return self.writer.constant(f"{op.name}/{part}", values, np.int32)

    def binary(self, kind: str, a: int, b: int, name: str, shape: tuple[int, ...]) -> int:
        """Add ``ADD``, ``SUB`` or ``MUL``."""
        options = (f"{kind.capitalize()}Options", dict(_NO_ACTIVATION))
        return self.writer.operator(kind, (a, b), name, shape, options)

    def concatenate(
        self, inputs: Sequence[int], axis: int, name: str, shape: tuple[int, ...]
    ) -> int:
        """Add a concatenation."""
        options = ("ConcatenationOptions", {"axis": axis, **_NO_ACTIVATION})
        return self.writer.operator("CONCATENATION", inputs, name, shape, options)

    def reshape(self, op: ops.Op, x: int, name: str, shape: tuple[int, ...]) -> int:
        """Add a reshape."""
        target = self.integers(op, f"{name.rsplit('/', 1)[-1]}_shape", shape)
        return self.writer.operator("RESHAPE", (x, target), name, shape)

    def activation_of(self, op: ops.Op) -> tuple[int, str]:
        """Return the activation that is fused into an op, and the name of the fused value."""
        relu = fused_relu(self.graph, op)
        functions = self.writer.schema.ActivationFunctionType
        return (functions.NONE, op.name) if relu is None else (functions.RELU, relu.name)


def fused_relu(graph: DeployGraph, op: ops.Op) -> ops.Relu | None:
    """Return the ReLU that is the only reader of an op's value."""
    readers = graph.consumers(op.name)
    if len(readers) == 1 and isinstance(readers[0], ops.Relu):
        return readers[0]
    return None


def result_of(graph: DeployGraph, product: ops.Op) -> str:
    """Return the tensor that a dense layer or convolution computes, its ReLU included."""
    relu = fused_relu(graph, product)
    return product.name if relu is None else relu.name


def write_float(graph: DeployGraph, *, half: bool = False) -> bytes:
    """Return the float file: builtin operators only, batch 1, static shapes.

    Args:
        graph: After the passes.
        half: Keep kernels in float16; everything is computed in float32 or as the device prefers.
    """
    emission = _Emission(graph, half=half)
    for op in graph.ops:
        emission.values[op.name] = _emit(op, emission)
    return emission.writer.render({INPUT_NAME: 0}, {OUTPUT_NAME: emission.values[graph.output]})


@singledispatch
def _emit(op: ops.Op, to: _Emission) -> int:
    """Write one op and return the tensor that holds its value."""
    raise TypeError(f"TFLite has no lowering for {type(op).__name__}")


@_emit.register
def _(op: ops.Input, to: _Emission) -> int:
    shape = to.shape_of(op.name)
    pixels = to.writer.tensor(INPUT_NAME, shape, np.uint8)
    return to.writer.operator("CAST", (pixels,), f"{op.name}/float", shape)


@_emit.register
def _(op: ops.Normalise, to: _Emission) -> int:
    (x,) = to.inputs(op)
    shape = to.shape_of(op.name)
    if op.swap_channels:
        axis = to.integers(op, "axis", (len(shape) - 1,))
        x = to.writer.operator("REVERSE_V2", (x, axis), f"{op.name}/swapped", shape)
    if not np.all(op.scale == 1):
        x = to.binary("MUL", x, to.constant(op, "scale", op.scale), f"{op.name}/scaled", shape)
    return to.binary("ADD", x, to.constant(op, "offset", op.offset), op.name, shape)


@_emit.register
def _(op: ops.Conv2D, to: _Emission) -> int:
    activation, name = to.activation_of(op)
    padding = getattr(to.writer.schema.Padding, op.padding.upper())
    inputs = (
        *to.inputs(op),
        to.kernel(op, op.kernel.transpose(3, 0, 1, 2)),
        to.constant(op, "bias", op.bias),
    )
    fields = {
        "padding": padding,
        "strideH": op.stride,
        "strideW": op.stride,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
        "fusedActivationFunction": activation,
    }
    shape = to.shape_of(op.name)
    return to.writer.operator("CONV_2D", inputs, name, shape, ("Conv2DOptions", fields))


@_emit.register
def _(op: ops.Dense, to: _Emission) -> int:
    activation, name = to.activation_of(op)
    inputs = (
        *to.inputs(op),
        to.kernel(op, op.kernel.T),
        to.constant(op, "bias", op.bias),
    )
    options = ("FullyConnectedOptions", {"fusedActivationFunction": activation})
    return to.writer.operator("FULLY_CONNECTED", inputs, name, to.shape_of(op.name), options)


@_emit.register
def _(op: ops.Relu, to: _Emission) -> int:
    (x,) = to.inputs(op)
    source = to.graph.op(op.inputs[0])
    if isinstance(source, (ops.Conv2D, ops.Dense)) and fused_relu(to.graph, source) is op:
        return x
    return to.writer.operator("RELU", (x,), op.name, to.shape_of(op.name))


@_emit.register
def _(op: ops.MaxPool2D, to: _Emission) -> int:
    fields = {
        "padding": to.writer.schema.Padding.VALID,
        "filterHeight": op.size,
        "filterWidth": op.size,
        "strideH": op.size,
        "strideW": op.size,
    }
    shape = to.shape_of(op.name)
    return to.writer.operator(
        "MAX_POOL_2D", to.inputs(op), op.name, shape, ("Pool2DOptions", fields)
    )


@_emit.register
def _(op: ops.PadConstant, to: _Emission) -> int:
    (x,) = to.inputs(op)
    _, _, width, channels = to.shape_of(op.inputs[0])
    _, rows, columns, _ = to.shape_of(op.name)

    def band(part: str, *shape: int) -> int:
        return to.constant(op, part, np.broadcast_to(op.value, shape))

    above = band("above", 1, op.before, width, channels)
    below = band("below", 1, op.after, width, channels)
    left = band("left", 1, rows, op.before, channels)
    right = band("right", 1, rows, op.after + op.spare, channels)
    tall = to.concatenate((above, x, below), 1, f"{op.name}/tall", (1, rows, width, channels))
    return to.concatenate((left, tall, right), 2, op.name, (1, rows, columns, channels))


@_emit.register
def _(op: ops.SpaceToDepth, to: _Emission) -> int:
    options = ("SpaceToDepthOptions", {"blockSize": op.block})
    return to.writer.operator(
        "SPACE_TO_DEPTH", to.inputs(op), op.name, to.shape_of(op.name), options
    )


@_emit.register
def _(op: ops.Reshape, to: _Emission) -> int:
    (x,) = to.inputs(op)
    return to.reshape(op, x, op.name, to.shape_of(op.name))


@_emit.register
def _(op: ops.PrependToken, to: _Emission) -> int:
    token = to.constant(op, "token", op.token[np.newaxis])
    return to.concatenate((token, *to.inputs(op)), 0, op.name, to.shape_of(op.name))


@_emit.register
def _(op: ops.AddConstant, to: _Emission) -> int:
    (x,) = to.inputs(op)
    return to.binary("ADD", x, to.constant(op, "value", op.value), op.name, to.shape_of(op.name))


@_emit.register
def _(op: ops.Add, to: _Emission) -> int:
    a, b = to.inputs(op)
    return to.binary("ADD", a, b, op.name, to.shape_of(op.name))


@_emit.register
def _(op: ops.LayerNorm, to: _Emission) -> int:
    (x,) = to.inputs(op)
    shape = to.shape_of(op.name)
    column = (*shape[:-1], 1)
    axis = to.integers(op, "axis", (len(shape) - 1,))

    def mean(value: int, name: str) -> int:
        options = ("ReducerOptions", {"keepDims": True})
        return to.writer.operator("MEAN", (value, axis), f"{op.name}/{name}", column, options)

    # d*d rather than SQUARED_DIFFERENCE: every operator of this form runs inside XNNPACK.
    centred = x
    if not op.centred:
        centred = to.binary("SUB", x, mean(x, "mean"), f"{op.name}/centred", shape)
    squares = to.binary("MUL", centred, centred, f"{op.name}/squares", shape)
    variance = mean(squares, "variance")
    epsilon = to.constant(op, "epsilon", op.epsilon)
    shifted = to.binary("ADD", variance, epsilon, f"{op.name}/shifted", column)
    inverse = to.writer.operator("RSQRT", (shifted,), f"{op.name}/inverse", column)
    affine = [("MUL", "gain", op.gain), ("ADD", "bias", op.bias)]
    left = [(kind, part, value) for kind, part, value in affine if value is not None]
    y = to.binary("MUL", centred, inverse, f"{op.name}/unit" if left else op.name, shape)
    for kind, part, value in left:
        name = op.name if part == left[-1][1] else f"{op.name}/scaled"
        y = to.binary(kind, y, to.constant(op, part, value), name, shape)
    return y


@_emit.register
def _(op: ops.BatchNorm, to: _Emission) -> int:
    (x,) = to.inputs(op)
    shape = to.shape_of(op.name)
    scaled = to.binary("MUL", x, to.constant(op, "scale", op.scale), f"{op.name}/scaled", shape)
    return to.binary("ADD", scaled, to.constant(op, "offset", op.offset), op.name, shape)


@_emit.register
def _(op: ops.Gelu, to: _Emission) -> int:
    options = ("GeluOptions", {"approximate": False})
    return to.writer.operator("GELU", to.inputs(op), op.name, to.shape_of(op.name), options)


@_emit.register
def _(op: ops.Softmax, to: _Emission) -> int:
    return _softmax(to, to.inputs(op)[0], op.name, to.shape_of(op.name))


def _softmax(to: _Emission, x: int, name: str, shape: tuple[int, ...]) -> int:
    return to.writer.operator("SOFTMAX", (x,), name, shape, ("SoftmaxOptions", {"beta": 1.0}))


@_emit.register
def _(op: ops.TakeToken, to: _Emission) -> int:
    shape = to.shape_of(op.name)
    inputs = (
        *to.inputs(op),
        to.integers(op, "begin", (op.index, 0)),
        to.integers(op, "size", shape),
    )
    return to.writer.operator("SLICE", inputs, op.name, shape)


@_emit.register
def _(op: ops.Attention, to: _Emission) -> int:
    tokens, width = to.shape_of(op.name)
    others = to.shape_of(op.inputs[1])[0]
    queries, keys, values = (
        _split_heads(op, to, x, part, count)
        for x, part, count in zip(
            to.inputs(op), ("queries", "keys", "values"), (tokens, others, others), strict=True
        )
    )
    scores_shape = (op.heads, tokens, others)
    scores = _batch_matmul(to, queries, keys, f"{op.name}/scores", scores_shape, transpose=True)
    if op.scale != 1.0:
        factor = to.constant(op, "scale", op.scale)
        scores = to.binary("MUL", scores, factor, f"{op.name}/scaled", scores_shape)
    weights = _softmax(to, scores, f"{op.name}/weights", scores_shape)
    mixed_shape = (op.heads, tokens, width // op.heads)
    mixed = _batch_matmul(to, weights, values, f"{op.name}/mixed", mixed_shape, transpose=False)
    if tokens > 1:
        order = to.integers(op, "order", (1, 0, 2))
        swapped = (tokens, op.heads, width // op.heads)
        mixed = to.writer.operator("TRANSPOSE", (mixed, order), f"{op.name}/swapped", swapped)
    return to.reshape(op, mixed, op.name, (tokens, width))


def _split_heads(op: ops.Attention, to: _Emission, x: int, part: str, tokens: int) -> int:
    """Turn ``[tokens, heads * size]`` into ``[heads, tokens, size]``."""
    size = to.shape_of(op.name)[1] // op.heads
    if tokens == 1:  # a reshape does it
        return to.reshape(op, x, f"{op.name}/{part}", (op.heads, 1, size))
    split = to.reshape(op, x, f"{op.name}/{part}_split", (tokens, op.heads, size))
    order = to.integers(op, "order", (1, 0, 2))
    shape = (op.heads, tokens, size)
    return to.writer.operator("TRANSPOSE", (split, order), f"{op.name}/{part}", shape)


def _batch_matmul(
    to: _Emission, a: int, b: int, name: str, shape: tuple[int, ...], *, transpose: bool
) -> int:
    options = ("BatchMatMulOptions", {"adjX": False, "adjY": transpose})
    return to.writer.operator("BATCH_MATMUL", (a, b), name, shape, options)
