"""Deployment graph → TFLite of integers from end to end: the precision ``int8-full``.

Written directly rather than by a quantiser, because speed and accuracy hang on *which* operators
express an op. For ViT-B32 TFLiteConverter's full int8 takes 37 ms where this takes 16:

- A patch embedding is ``SPACE_TO_DEPTH`` and a dense layer, not a strided convolution.
- XNNPACK multiplies int8 activations with each other only if the second has zero point 0.
- The sum of squares of a layer norm is a matrix product, x·xᵀ: it adds up in 32 bits. There is no
  fast ``SQUARED_DIFFERENCE``, and squares rounded to 8 bits lose what small tokens hold.
- The residual stream is a pair: int8 on one coarse grid, and what the rounding lost on a grid 254
  times finer. Rounding errors of 24 additions would add up otherwise.
- The head – what works on a single vector – is int16, which costs next to nothing: logits in 256
  steps make ties.

Scheme: affine int8 activations, symmetric int8 weights per output channel, int32 biases (Jacob et
al. 2018, arXiv:1712.05877; ai.google.dev/edge/litert, "LiteRT 8-bit quantization specification").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from edgevit.calibration.statistics import VARIANCE, Range
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_tflite import INPUT_NAME, OUTPUT_NAME
from edgevit.export.tflite_integer_emission import PIXELS, Emission, Pair
from edgevit.export.tflite_integer_writer import (
    Grid,
    Options,
    affine,
    positive,
    symmetric,
)

# Tokens whose deviations differ more than this are normalised twice.
_COARSE_SPREAD = 2.0
# Room above what calibration saw, where clipping would distort a whole token or class.
_MARGIN = 1.05
_HEAD_MARGIN = 1.5


# What the softmax kernels give; they accept no other.
_PROBABILITIES = {
    np.dtype(np.int8): Grid(1 / 256, -128),
    np.dtype(np.int16): Grid(1 / 32768, 0, np.int16),
}


def integer_refusal(graph: DeployGraph) -> str | None:
    """Say why a graph cannot be written in integers, or return ``None``."""
    for op in graph.ops:
        if isinstance(op, ops.BatchNorm) or (isinstance(op, ops.LayerNorm) and op.gain is not None):
            return f"{op.name} is not folded into a dense layer"
    return None


def write_integer(graph: DeployGraph, ranges: Mapping[str, Range]) -> bytes:
    """Return the integer file: builtin operators only, batch 1, static shapes.

    Args:
        graph: After the passes, the last of which is
            :func:`~edgevit.export.passes.rotate_residual.rotate_residual`.
        ranges: Of this very graph's values and parts.

    Raises:
        ValueError: if :func:`integer_refusal` has something to say.
    """
    if (reason := integer_refusal(graph)) is not None:
        raise ValueError(reason)
    emission = Emission(graph, ranges)
    for op in graph.ops:
        emission.keep(op, _emit(op, emission))
    answer = emission.value(graph.output)
    shape, grid = emission.writer.shape(answer), emission.writer.grids[answer]
    if np.dtype(grid.dtype) == np.int16:  # there is no operator from int16 to uint8
        grid = _PROBABILITIES[np.dtype(np.int8)]
        answer = emission.writer.apply("QUANTIZE", (answer,), f"{OUTPUT_NAME}/int8", shape, grid)
    stated = Grid(grid.scale, grid.zero_point + 128, np.uint8)
    output = emission.writer.apply("QUANTIZE", (answer,), OUTPUT_NAME, shape, stated)
    return emission.writer.render({INPUT_NAME: 0}, {OUTPUT_NAME: output})


@singledispatch
def _emit(op: ops.Op, to: Emission) -> int | Pair:
    """Write one op and return where its value is."""
    raise TypeError(f"integer TFLite has no lowering for {type(op).__name__}")


@_emit.register
def _(op: ops.Input, to: Emission) -> int:
    shape = to.shape_of(op.name)
    pixels = to.writer.placed(to.writer.tensor(INPUT_NAME, shape), Grid(1.0, 0, np.uint8))
    return to.writer.apply("QUANTIZE", (pixels,), f"{op.name}/int8", shape, PIXELS)


@_emit.register
def _(op: ops.Normalise, to: Emission) -> int:
    """Write a convolution of one pixel: a scale, an offset and a swap of channels in one."""
    kernel = np.diag(op.scale)[:: -1 if op.swap_channels else 1]
    conv = ops.Conv2D(
        name=op.name, inputs=op.inputs, kernel=kernel[np.newaxis, np.newaxis], bias=op.offset
    )
    return _convolution(conv, to)


@_emit.register
def _convolution(op: ops.Conv2D, to: Emission) -> int:
    fields = {
        "padding": getattr(to.writer.schema.Padding, op.padding.upper()),
        "strideH": op.stride,
        "strideW": op.stride,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
    }
    x, grid = to.value(op.inputs[0]), to.grid_of(to.result_of(op))
    return to.product("CONV_2D", op, x, grid, ("Conv2DOptions", fields))


@_emit.register
def _(op: ops.Dense, to: Emission) -> int:
    x, result = to.value(op.inputs[0]), to.result_of(op)
    grid = to.grid_of(result)
    if len(to.graph.shapes[op.name]) == 1:  # the head
        low, high = to.ranges[result]
        grid = symmetric((_HEAD_MARGIN * low, _HEAD_MARGIN * high), np.int16)
        x = _widened(x, f"{op.name}/wide", to)
    return to.product("FULLY_CONNECTED", op, x, grid, ("FullyConnectedOptions", {}))


def _widened(x: int, name: str, to: Emission) -> int:
    """Turn int8 into int16. From one to the other, LiteRT 2.3's dense layer gives wrong numbers."""
    grid = to.writer.grids[x]
    if np.dtype(grid.dtype) == np.int16:
        return x
    # Levels and zero point of int8 are less than 2⁸ apart, so that 2⁷ fit between two of them.
    wide = Grid(grid.scale / 128, 0, np.int16)
    return to.writer.apply("QUANTIZE", (x,), name, to.writer.shape(x), wide)


@_emit.register
def _(op: ops.Relu, to: Emission) -> int:
    source = to.graph.op(op.inputs[0])
    x = to.value(op.inputs[0])
    if isinstance(source, (ops.Conv2D, ops.Dense)) and to.relu_after(source) is op:
        return x
    return _elementwise("RELU", op, x, to)


@_emit.register
def _(op: ops.Gelu, to: Emission) -> int:
    """Write a table look-up: one rounding."""
    options = ("GeluOptions", {"approximate": False})
    return _elementwise("GELU", op, to.value(op.inputs[0]), to, options)


def _elementwise(
    kind: str, op: ops.Op, x: int, to: Emission, options: Options | None = None
) -> int:
    wide = np.dtype(to.writer.grids[x].dtype) == np.int16
    grid = to.writer.grids[x] if wide else to.grid_of(op.name)
    return to.writer.apply(kind, (x,), op.name, to.shape_of(op.name), grid, options)


@_emit.register
def _(op: ops.MaxPool2D, to: Emission) -> int:
    fields = {
        "padding": to.writer.schema.Padding.VALID,
        "filterHeight": op.size,
        "filterWidth": op.size,
        "strideH": op.size,
        "strideW": op.size,
    }
    return _moved("MAX_POOL_2D", op, to, ("Pool2DOptions", fields))


@_emit.register
def _(op: ops.SpaceToDepth, to: Emission) -> int:
    return _moved("SPACE_TO_DEPTH", op, to, ("SpaceToDepthOptions", {"blockSize": op.block}))


def _moved(kind: str, op: ops.Op, to: Emission, options: Options) -> int:
    x = to.value(op.inputs[0])
    shape = to.shape_of(op.name)
    return to.writer.apply(kind, (x,), op.name, shape, to.writer.grids[x], options)


@_emit.register
def _(op: ops.PadConstant, to: Emission) -> int:
    x = to.value(op.inputs[0])
    grid = to.writer.grids[x]
    _, _, width, channels = to.writer.shape(x)
    _, rows, columns, _ = to.shape_of(op.name)

    def band(part: str, *shape: int) -> int:
        levels = grid.levels(np.broadcast_to(op.value, shape))
        return to.writer.levels(f"{op.name}/{part}", levels, grid)

    above = band("above", 1, op.before, width, channels)
    below = band("below", 1, op.after, width, channels)
    left = band("left", 1, rows, op.before, channels)
    right = band("right", 1, rows, op.after + op.spare, channels)
    tall = to.concatenate((above, x, below), 1, f"{op.name}/tall", (1, rows, width, channels))
    return to.concatenate((left, tall, right), 2, op.name, (1, rows, columns, channels))


@_emit.register
def _(op: ops.Reshape, to: Emission) -> int:
    return to.reshape(to.value(op.inputs[0]), op.name, to.shape_of(op.name))


@_emit.register
def _(op: ops.TakeToken, to: Emission) -> int | Pair:
    def taken(x: int, name: str) -> int:
        shape = to.shape_of(op.name)
        begin = to.integers(f"{name}/begin", (op.index, 0))
        size = to.integers(f"{name}/size", shape)
        return to.writer.apply("SLICE", (x, begin, size), name, shape, to.writer.grids[x])

    pair = to.pairs.get(op.inputs[0])
    if pair is None:
        return taken(to.value(op.inputs[0]), op.name)
    return Pair(taken(pair.coarse, op.name), taken(pair.carry, f"{op.name}/carry"))


@_emit.register
def _(op: ops.PrependToken, to: Emission) -> int:
    x, first = to.value(op.inputs[0]), op.token
    if _constant_after(op, to):  # it takes the learned token along
        first = np.zeros_like(first)
    else:
        shape, grid = to.writer.shape(x), to.grid_of(op.name)
        x = to.writer.apply("QUANTIZE", (x,), f"{op.name}/others", shape, grid)
    grid = to.writer.grids[x]
    token = to.writer.levels(f"{op.name}/first", grid.levels(first[np.newaxis]), grid)
    return to.concatenate((token, x), 0, op.name, to.shape_of(op.name))


def _constant_after(op: ops.PrependToken, to: Emission) -> bool:
    readers = to.graph.consumers(op.name)
    return len(readers) == 1 and isinstance(readers[0], ops.AddConstant)


@_emit.register
def _(op: ops.AddConstant, to: Emission) -> Pair:
    constant = op.value.astype(np.float64)
    source = to.graph.op(op.inputs[0])
    if isinstance(source, ops.PrependToken) and _constant_after(source, to):
        constant = constant + np.eye(len(constant), 1) * source.token
    coarse = to.coarse.levels(constant)
    lost = constant - to.coarse.scale * coarse
    pair = Pair(
        to.writer.levels(f"{op.name}/coarse", coarse, to.coarse),
        to.writer.levels(f"{op.name}/fine", to.carry.levels(lost), to.carry),
    )
    return _sum(op.name, pair, to.value(op.inputs[0]), to)


@_emit.register
def _(op: ops.Add, to: Emission) -> Pair:
    stream, branch = op.inputs if op.inputs[0] in to.pairs else op.inputs[::-1]
    pair = to.pairs.get(stream)
    if pair is None:
        x = to.value(stream)
        coarse = to.binary("ADD", x, _zero(op, to), f"{op.name}/coarse", to.coarse)
        pair = Pair(coarse, to.binary("SUB", x, coarse, f"{op.name}/fine", to.carry))
    return _sum(op.name, pair, to.value(branch), to)


def _zero(op: ops.Op, to: Emission) -> int:
    return to.writer.levels(f"{op.name}/zero", np.zeros(1, np.int8), to.coarse)


def _sum(name: str, pair: Pair, branch: int, to: Emission) -> Pair:
    """Add a tensor to a pair: the new carry is what the coarse grid cannot hold of the sum."""
    due = to.binary("ADD", branch, pair.carry, f"{name}/due", to.writer.grids[branch])
    coarse = to.binary("ADD", pair.coarse, due, name, to.coarse)
    taken = to.binary("SUB", coarse, pair.coarse, f"{name}/taken", to.coarse)
    return Pair(coarse, to.binary("SUB", due, taken, f"{name}/carry", to.carry))


@_emit.register
def _(op: ops.LayerNorm, to: Emission) -> int:
    x = to.value(op.inputs[0])
    if not op.centred:
        mean = to.reduce("MEAN", x, f"{op.name}/mean", symmetric(to.ranges[f"{op.name}/mean"]))
        grid = symmetric(to.ranges[f"{op.name}/centred"])
        x = to.binary("SUB", x, mean, f"{op.name}/centred", grid)
    least, largest = (bound + op.epsilon for bound in to.ranges[f"{op.name}/{VARIANCE}"])
    spread = math.sqrt(largest / least)
    if spread > _COARSE_SPREAD:
        # 256 levels are few for quotients this different: the first round makes tokens alike, the
        # second exact.
        low, high = to.ranges[op.name]
        grid = symmetric((_MARGIN * low, _MARGIN * high))
        x = _divided(x, f"{op.name}/alike", least, largest, grid, to)
        least, largest = 0.7, 1.3
    return _divided(x, op.name, least, largest, to.grid_of(op.name), to)


def _divided(x: int, name: str, least: float, largest: float, grid: Grid, to: Emission) -> int:
    """Divide each token by the root of its mean square.

    Args:
        x: ``[tokens, channels]``, symmetric.
        name: Of the result.
        least: Mean square of the smallest token. One that is smaller still is divided by the root
            of this: an epsilon.
        largest: Mean square of the largest token.
        grid: Of the result.
        to: The emission.
    """
    tokens, channels = to.writer.shape(x)
    mean_square = positive(_MARGIN * largest)
    square_sum = Grid(mean_square.scale * channels, mean_square.zero_point)
    rows = to.reshape(x, f"{name}/rows", (1, tokens, channels))
    gram = to.matmul(rows, rows, f"{name}/products", square_sum)
    gram = to.reshape(gram, f"{name}/gram", (tokens, tokens))
    # A diagonal matrix of 1/channels: it selects the squares and divides the sums.
    share = Grid(1 / (127 * channels))
    diagonal = to.writer.levels(f"{name}/share", 127 * np.eye(tokens, dtype=np.int8), share)
    squares = to.binary("MUL", gram, diagonal, f"{name}/diagonal", mean_square)
    if tokens > 1:
        squares = to.reduce("SUM", squares, f"{name}/mean_squares", mean_square)
    quotients = positive(_MARGIN / math.sqrt(least))
    inverse = to.writer.apply("RSQRT", (squares,), f"{name}/inverse", (tokens, 1), quotients)
    return to.binary("MUL", x, inverse, name, grid)


@_emit.register
def _(op: ops.Softmax, to: Emission) -> int:
    return _softmax(to.value(op.inputs[0]), op.name, to)


def _softmax(x: int, name: str, to: Emission) -> int:
    options = ("SoftmaxOptions", {"beta": 1.0})
    grid = _PROBABILITIES[np.dtype(to.writer.grids[x].dtype)]
    return to.writer.apply("SOFTMAX", (x,), name, to.writer.shape(x), grid, options)


@_emit.register
def _(op: ops.Attention, to: Emission) -> int:
    tokens, width = to.shape_of(op.name)
    size = width // op.heads
    queries, keys, values = (
        to.reshape(x, f"{op.name}/{part}_split", (to.writer.shape(x)[0], op.heads, size))
        for x, part in zip(map(to.value, op.inputs), ("queries", "keys", "values"), strict=True)
    )
    queries = to.transpose(queries, f"{op.name}/queries", (1, 0, 2))
    keys = to.transpose(keys, f"{op.name}/keys", (1, 0, 2))
    low, high = to.ranges[f"{op.name}/scores"]
    scores = to.matmul(
        queries, keys, f"{op.name}/products", affine((low / op.scale, high / op.scale))
    )
    if op.scale != 1.0:
        factor = to.writer.levels(
            f"{op.name}/factor", np.array([127], np.int8), Grid(op.scale / 127)
        )
        scores = to.binary("MUL", scores, factor, f"{op.name}/scores", affine((low, high)))
    weights = _softmax(scores, f"{op.name}/weights", to)
    # [heads, size, others]: XNNPACK multiplies faster with the second matrix transposed.
    values = to.transpose(values, f"{op.name}/values", (1, 2, 0))
    mixed = to.matmul(weights, values, f"{op.name}/mixed", to.grid_of(op.name))
    swapped = to.transpose(mixed, f"{op.name}/swapped", (1, 0, 2))
    return to.reshape(swapped, op.name, (tokens, width))
