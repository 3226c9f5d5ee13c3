"""One graph on its way into an integer TFLite file: where its values are, and on which grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.calibration.statistics import Range
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.quantised import int8_per_channel, least_scales, root_of
from edgevit.export.tflite_integer_writer import (
    Grid,
    IntegerWriter,
    Options,
    Shape,
    affine,
    symmetric,
)

NO_ACTIVATION = {"fusedActivationFunction": 0}
PIXELS = Grid(1.0, -128)

# XNNPACK adds values whose scales differ by less than 2⁸.
_CARRY_STEPS = 254


@dataclass(frozen=True)
class Pair:
    """A sum as two tensors: ``coarse`` and, much finer, the ``carry`` that its rounding lost."""

    coarse: int
    carry: int


class Emission:
    """One graph on its way into a file.

    Attributes:
        writer: Receives tensors and operators.
        graph: What is written.
        ranges: Of values and parts of ops.
        pairs: The values that are kept as pairs.
        coarse: The grid of all pairs.
    """

    def __init__(self, graph: DeployGraph, ranges: Mapping[str, Range]) -> None:
        self.writer = IntegerWriter()
        self.graph = graph
        self.ranges = ranges
        self.pairs: dict[str, Pair] = {}
        self._values: dict[str, int] = {}
        sums = [op.name for op in graph.ops if isinstance(op, (ops.Add, ops.AddConstant))]
        largest = max((abs(bound) for name in sums for bound in ranges[name]), default=1.0)
        self.coarse = symmetric((-largest, largest))
        self.carry = Grid(self.coarse.scale / _CARRY_STEPS)
        # XNNPACK multiplies activations only if the second operand is symmetric.
        self._symmetric = {
            root_of(graph, name)
            for op in graph.ops
            if isinstance(op, (ops.Attention, ops.LayerNorm))
            for name in (op.inputs[1:] if isinstance(op, ops.Attention) else op.inputs)
        }

    def shape_of(self, name: str) -> Shape:
        """Return a value's shape in the file."""
        shape = self.graph.shapes[name]
        return shape if len(shape) == 2 else (1, *shape)

    def grid_of(self, name: str) -> Grid:
        """Return the int8 grid of a value; what only moves numbers shares its source's."""
        root = root_of(self.graph, name)
        if isinstance(self.graph.op(root), ops.Input):
            return PIXELS
        make = symmetric if root in self._symmetric else affine
        return make(self.ranges[root])

    def keep(self, op: ops.Op, written: int | Pair) -> None:
        """Remember where an op's value is."""
        if isinstance(written, Pair):
            self.pairs[op.name] = written
        else:
            self._values[op.name] = written

    def value(self, name: str) -> int:
        """Return a value as one tensor; a pair is added up on a grid of the value's own."""
        if name not in self._values:
            pair = self.pairs[name]
            grid = symmetric(self.ranges[name])
            self._values[name] = self.binary("ADD", pair.coarse, pair.carry, f"{name}/whole", grid)
        return self._values[name]

    def integers(self, name: str, values: Sequence[int]) -> int:
        """Add an int32 parameter, such as a shape."""
        return self.writer.constant(name, values, np.int32)

    def binary(self, kind: str, a: int, b: int, name: str, grid: Grid) -> int:
        """Add ``ADD``, ``SUB`` or ``MUL``; the first operand has the output's shape."""
        options = (f"{kind.capitalize()}Options", dict(NO_ACTIVATION))
        return self.writer.apply(kind, (a, b), name, self.writer.shape(a), grid, options)

    def reshape(self, x: int, name: str, shape: Shape) -> int:
        """Add a reshape."""
        target = self.integers(f"{name}/shape", shape)
        return self.writer.apply("RESHAPE", (x, target), name, shape, self.writer.grids[x])

    def concatenate(self, inputs: Sequence[int], axis: int, name: str, shape: Shape) -> int:
        """Add a concatenation of tensors on one grid."""
        options = ("ConcatenationOptions", {"axis": axis, **NO_ACTIVATION})
        grid = self.writer.grids[inputs[0]]
        return self.writer.apply("CONCATENATION", inputs, name, shape, grid, options)

    def transpose(self, x: int, name: str, order: Sequence[int]) -> int:
        """Add a transposition."""
        shape = tuple(self.writer.shape(x)[axis] for axis in order)
        inputs = (x, self.integers(f"{name}/order", order))
        return self.writer.apply("TRANSPOSE", inputs, name, shape, self.writer.grids[x])

    def matmul(self, a: int, b: int, name: str, grid: Grid) -> int:
        """Multiply stacks of matrices, ``a @ b.T``."""
        shape = (*self.writer.shape(a)[:2], self.writer.shape(b)[1])
        options = ("BatchMatMulOptions", {"adjX": False, "adjY": True})
        return self.writer.apply("BATCH_MATMUL", (a, b), name, shape, grid, options)

    def reduce(self, kind: str, x: int, name: str, grid: Grid) -> int:
        """Add ``MEAN`` or ``SUM`` over the columns of a matrix."""
        rows, _ = self.writer.shape(x)
        inputs = (x, self.integers(f"{name}/axis", (1,)))
        return self.writer.apply(
            kind, inputs, name, (rows, 1), grid, ("ReducerOptions", {"keepDims": True})
        )

    def relu_after(self, op: ops.Op) -> ops.Relu | None:
        """Return the ReLU that is the only reader of an op's value: the two are one operator."""
        readers = self.graph.consumers(op.name)
        if len(readers) == 1 and isinstance(readers[0], ops.Relu):
            return readers[0]
        return None

    def product(
        self, kind: str, op: ops.Conv2D | ops.Dense, x: int, grid: Grid, options: Options
    ) -> int:
        """Add a convolution or dense layer, with the ReLU that follows it."""
        input_scale = self.writer.grids[x].scale
        levels, scales = int8_per_channel(op.kernel, -1, least_scales(op.bias, input_scale))
        steps = scales.astype(np.float64) * input_scale
        bias = np.rint(op.bias / steps).astype(np.int32)
        inputs = (
            x,
            self.writer.per_channel(f"{op.name}/kernel", np.moveaxis(levels, -1, 0), scales),
            self.writer.per_channel(f"{op.name}/bias", bias, steps.astype(np.float32)),
        )
        relu = self.relu_after(op)
        functions = self.writer.schema.ActivationFunctionType
        table, fields = options
        fields["fusedActivationFunction"] = functions.RELU if relu else functions.NONE
        name = relu.name if relu else op.name
        return self.writer.apply(kind, inputs, name, self.shape_of(op.name), grid, (table, fields))

    def result_of(self, op: ops.Op) -> str:
        """Return the value that an op's operator computes: its own, or that of the fused ReLU."""
        relu = self.relu_after(op)
        return relu.name if relu else op.name
