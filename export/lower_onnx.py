"""Deployment graph → ONNX: one or a few operators for each op.

Values keep the graph's names. Tokens are ``[tokens, channels]`` without a batch dimension, so that
dense layers are two-dimensional ``Gemm`` nodes; images are ``[1, channels, height, width]`` and
vectors ``[1, channels]``. The residual stays outside ``Gemm``: ONNX Runtime computes in float what
adds anything but an int32 bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.onnx_schemes import Product, Scheme
from edgevit.export.onnx_writer import OnnxWriter
from edgevit.export.quantised import root_of

INPUT_NAME = "pixels"
OUTPUT_NAME = "probabilities"
_LAST = "last"


class _Emission:
    """One graph on its way into a file.

    Attributes:
        writer: Receives constants and nodes.
        graph: What is written.
        scheme: The arithmetic.
        batched: Tokens have a batch dimension.
        values: Name in the file of every value that is written already.
        channels_last: The images among them that are not channels first.
    """

    def __init__(self, graph: DeployGraph, scheme: Scheme, *, batched: bool) -> None:
        self.writer = OnnxWriter()
        self.graph = graph
        self.scheme = scheme
        self.batched = batched
        self.values: dict[str, str] = {}
        self.channels_last: set[str] = set()

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return a value's shape in the file, channels first if it is an image."""
        shape = self.graph.shapes[name]
        if len(shape) == 3:
            return (1, shape[2], shape[0], shape[1])
        return shape if len(shape) == 2 and not self.batched else (1, *shape)

    def inputs(self, op: ops.Op) -> list[str]:
        """Return the values that an op reads."""
        return [self.values[name] for name in op.inputs]

    def constant(self, op: ops.Op, part: str, value: ops.Array | float) -> str:
        """Add one of an op's float constants."""
        return self.writer.constant(f"{op.name}/{part}", value, self.scheme.dtype)

    def integers(self, op: ops.Op, part: str, values: tuple[int, ...]) -> str:
        """Add one of an op's int64 parameters, such as an axis."""
        return self.writer.constant(f"{op.name}/{part}", values, np.int64)

    def channels_first(self, name: str) -> str:
        """Return an image as ``[1, channels, height, width]``."""
        if name not in self.channels_last:
            return self.values[name]
        order = (0, 3, 1, 2)
        return self.writer.node("Transpose", (self.values[name],), f"{name}/nchw", perm=order)

    def spatial(self, name: str) -> str:
        """Return a value as NumPy has it: an image as ``[1, height, width, channels]``."""
        if len(self.graph.shapes[name]) != 3 or name in self.channels_last:
            return self.values[name]
        order = (0, 2, 3, 1)
        return self.writer.node("Transpose", (self.values[name],), f"{name}/nhwc", perm=order)


def write_onnx(
    graph: DeployGraph,
    scheme: Scheme,
    metadata: Mapping[str, str],
    *,
    batched: bool = False,
) -> bytes:
    """Return the file: batch 1, static shapes.

    Args:
        graph: After the passes.
        scheme: The arithmetic.
        metadata: For ``metadata_props``.
        batched: Give tokens a batch dimension. OpenVINO fuses attention into one op, and the
            rounding to int8 into a layer norm, only then (and OpenVINO 2026.4 crashes with one
            thread on a residual of one token without it); ONNX Runtime multiplies in int8, and
            folds attention's transpositions, only without it.
    """
    # The output has a name of its own, whatever the graph calls its last value. (A product keeps
    # the name that the plan knows.)
    if not isinstance(graph.ops[-1], (ops.Dense, ops.Conv2D)):
        graph = DeployGraph((*graph.ops[:-1], replace(graph.ops[-1], name=_LAST)))
    to = _Emission(graph, scheme, batched=batched)
    for op in graph.ops:
        value = _emit(op, to)
        if not isinstance(op, ops.Input):
            value = scheme.store(to.writer, op.name, root_of(graph, op.name), value)
        to.values[op.name] = value
    to.writer.cast(to.spatial(graph.output), OUTPUT_NAME, np.float32)
    answer_shape = graph.shapes[graph.output]
    images = len(answer_shape) == 3
    return to.writer.render(
        (INPUT_NAME, (1, *graph.shapes[graph.ops[0].name])),
        (OUTPUT_NAME, (1, *answer_shape) if images else to.shape_of(graph.output)),
        metadata,
    )


@singledispatch
def _emit(op: ops.Op, to: _Emission) -> str:
    """Write one op and return the name of its value."""
    raise TypeError(f"ONNX has no lowering for {type(op).__name__}")


@_emit.register
def _(op: ops.Input, to: _Emission) -> str:
    to.channels_last.add(op.name)
    return to.scheme.pixels(to.writer, op.name, INPUT_NAME)


@_emit.register
def _(op: ops.Normalise, to: _Emission) -> str:
    to.channels_last.add(op.name)
    (x,) = to.inputs(op)
    if op.swap_channels:
        order = to.integers(op, "order", (2, 1, 0))
        x = to.writer.node("Gather", (x, order), f"{op.name}/swapped", axis=3)
    if not np.all(op.scale == 1):
        x = to.writer.node("Mul", (x, to.constant(op, "scale", op.scale)), f"{op.name}/scaled")
    return to.writer.node("Add", (x, to.constant(op, "offset", op.offset)), op.name)


@_emit.register
def _(op: ops.Conv2D, to: _Emission) -> str:
    rows, columns = op.kernel.shape[:2]
    before = ((rows - 1) // 2, (columns - 1) // 2) if op.padding == "same" else (0, 0)
    after = (rows - 1 - before[0], columns - 1 - before[1]) if op.padding == "same" else (0, 0)
    source, kernel = to.channels_first(op.inputs[0]), op.kernel.transpose(3, 2, 0, 1)
    pads, strides = (*before, *after), (op.stride, op.stride)
    return _product(op, to, "Conv", source, kernel, axis=0, pads=pads, strides=strides)


@_emit.register
def _(op: ops.PadConstant, to: _Emission) -> str:
    (source,) = op.inputs
    _, width, channels = to.graph.shapes[source]
    rows = to.graph.shapes[op.name][0]

    def band(part: str, height: int, columns: int) -> str:
        value = np.broadcast_to(op.value.reshape(1, -1, 1, 1), (1, channels, height, columns))
        root = root_of(to.graph, source)
        return to.scheme.constant_beside(to.writer, f"{op.name}/{part}", value, root)

    x = (band("above", op.before, width), to.channels_first(source), band("below", op.after, width))
    tall = to.writer.node("Concat", x, f"{op.name}/tall", axis=2)
    x = (band("left", rows, op.before), tall, band("right", rows, op.after + op.spare))
    return to.writer.node("Concat", x, op.name, axis=3)


@_emit.register
def _(op: ops.SpaceToDepth, to: _Emission) -> str:
    # ONNX's own SpaceToDepth wants channels first and has another order of the channels.
    to.channels_last.add(op.name)
    rows, columns, depth = to.graph.shapes[op.name]
    split_shape = (rows, op.block, columns, depth // op.block)
    split = to.writer.reshape(to.spatial(op.inputs[0]), f"{op.name}/split", split_shape)
    grouped = to.writer.node("Transpose", (split,), f"{op.name}/grouped", perm=(0, 2, 1, 3))
    return to.writer.reshape(grouped, op.name, (1, rows, columns, depth))


@_emit.register
def _(op: ops.Dense, to: _Emission) -> str:
    (source,) = to.inputs(op)
    kind = "MatMul" if len(to.shape_of(op.name)) > 2 else "Gemm"
    return _product(op, to, kind, source, op.kernel, axis=1)


def _product(
    op: ops.Dense | ops.Conv2D,
    to: _Emission,
    kind: str,
    source: str,
    kernel: ops.Array,
    axis: int,
    **attributes: Any,
) -> str:
    (value,) = op.inputs
    root = root_of(to.graph, value)
    product = Product(kind, op.name, value, root, source, kernel, op.bias, axis, attributes)
    return to.scheme.product(to.writer, product)


@_emit.register
def _(op: ops.Relu, to: _Emission) -> str:
    return to.writer.node("Relu", to.inputs(op), op.name)


@_emit.register
def _(op: ops.MaxPool2D, to: _Emission) -> str:
    size = (op.size, op.size)
    return to.writer.node(
        "MaxPool", (to.channels_first(op.inputs[0]),), op.name, kernel_shape=size, strides=size
    )


@_emit.register
def _(op: ops.Reshape, to: _Emission) -> str:
    shape = to.shape_of(op.name)
    if len(op.target) == 3:
        to.channels_last.add(op.name)
        shape = (1, *op.target)
    return to.writer.reshape(to.spatial(op.inputs[0]), op.name, shape)


@_emit.register
def _(op: ops.PrependToken, to: _Emission) -> str:
    shape = (*to.shape_of(op.name)[:-2], 1, op.token.size)
    token = to.constant(op, "token", op.token.reshape(shape))
    return to.writer.node("Concat", (token, *to.inputs(op)), op.name, axis=-2)


@_emit.register
def _(op: ops.AddConstant, to: _Emission) -> str:
    return to.writer.node("Add", (*to.inputs(op), to.constant(op, "value", op.value)), op.name)


@_emit.register
def _(op: ops.Add, to: _Emission) -> str:
    return to.writer.node("Add", to.inputs(op), op.name)


@_emit.register
def _(op: ops.LayerNorm, to: _Emission) -> str:
    width = to.graph.shapes[op.name][-1]
    gain = np.ones(width, np.float32) if op.gain is None else op.gain
    inputs = [*to.inputs(op), to.constant(op, "gain", gain)]
    if op.bias is not None:
        inputs.append(to.constant(op, "bias", op.bias))
    return to.writer.node("LayerNormalization", inputs, op.name, axis=-1, epsilon=op.epsilon)


@_emit.register
def _(op: ops.BatchNorm, to: _Emission) -> str:
    scale = to.constant(op, "scale", op.scale)
    scaled = to.writer.node("Mul", (*to.inputs(op), scale), f"{op.name}/scaled")
    return to.writer.node("Add", (scaled, to.constant(op, "offset", op.offset)), op.name)


@_emit.register
def _(op: ops.Gelu, to: _Emission) -> str:
    return to.writer.node("Gelu", to.inputs(op), op.name)


@_emit.register
def _(op: ops.Softmax, to: _Emission) -> str:
    (x,) = to.inputs(op)
    if to.scheme.dtype != np.float32:
        # Programs tell probabilities from logits by their sum, which float16 rounds too coarsely.
        x = to.writer.cast(x, f"{op.name}/float", np.float32)
    return to.writer.node("Softmax", (x,), op.name, axis=-1)


@_emit.register
def _(op: ops.TakeToken, to: _Emission) -> str:
    begin = to.integers(op, "begin", (op.index,))
    end = to.integers(op, "end", (op.index + 1,))
    axis = to.integers(op, "axis", (-2,))
    return to.writer.node("Slice", (*to.inputs(op), begin, end, axis), op.name)


@_emit.register
def _(op: ops.Attention, to: _Emission) -> str:
    queries, keys, values = (
        _split_heads(op, to, name, part)
        for name, part in zip(op.inputs, ("queries", "keys", "values"), strict=True)
    )
    # [heads, size, tokens]
    order = (*range(to.batched), *(axis + to.batched for axis in (0, 2, 1)))
    turned = to.writer.node("Transpose", (keys,), f"{op.name}/turned", perm=order)
    scores = to.writer.node("MatMul", (queries, turned), f"{op.name}/scores")
    if op.scale != 1.0:
        factor = to.constant(op, "scale", op.scale)
        scores = to.writer.node("Mul", (scores, factor), f"{op.name}/scaled")
    weights = to.writer.node("Softmax", (scores,), f"{op.name}/weights", axis=-1)
    mixed = to.writer.node("MatMul", (weights, values), f"{op.name}/mixed")
    swapped = to.writer.node("Transpose", (mixed,), f"{op.name}/swapped", perm=_swap(to.batched))
    return to.writer.reshape(swapped, op.name, to.shape_of(op.name))


def _split_heads(op: ops.Attention, to: _Emission, name: str, part: str) -> str:
    """Turn ``[tokens, heads * size]`` into ``[heads, tokens, size]``."""
    tokens, width = to.graph.shapes[name]
    shape = ((1,) * to.batched) + (tokens, op.heads, width // op.heads)
    split = to.writer.reshape(to.values[name], f"{op.name}/{part}_split", shape)
    order = _swap(to.batched)
    return to.writer.node("Transpose", (split,), f"{op.name}/{part}", perm=order)


def _swap(batched: bool) -> tuple[int, ...]:
    """Return the order that swaps tokens and heads."""
    return (0, 2, 1, 3) if batched else (1, 0, 2)
