"""``DeployGraph``: the neutral, op-level form of a classifier between training and every format.

A graph is a tuple of ops in topological order, from ``uint8`` pixels to probabilities, with NumPy
weights. Passes (:mod:`edgevit.export.passes`) rewrite graphs; lowerings turn them into files.
Evaluating a graph with NumPy is the reference that both are checked against.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from edgevit.export.ops import Array, Input, Op, Shape
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels

T = TypeVar("T")
O = TypeVar("O", bound=Op)  # noqa: E741 - an op
Evaluation = Callable[..., Array]


@dataclass(frozen=True, eq=False)
class DeployGraph:
    """An immutable classifier graph.

    Attributes:
        ops: In topological order. The first is the :class:`~edgevit.export.ops.Input`; the last
            gives the probabilities.

    Raises:
        ValueError: if names repeat, an op reads a value that is not yet computed, or shapes clash.
    """

    ops: tuple[Op, ...]

    def __post_init__(self) -> None:
        if not self.ops or not isinstance(self.ops[0], Input):
            raise ValueError("a graph starts with its Input")
        seen: set[str] = set()
        for op in self.ops:
            if op.name in seen:
                raise ValueError(f"two ops are named {op.name!r}")
            for name in op.inputs:
                if name not in seen:
                    raise ValueError(f"{op.name} reads {name!r}, which is not computed before it")
            seen.add(op.name)
        _ = self.shapes

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every value, without the batch dimension."""
        shapes: dict[str, Shape] = {}
        for op in self.ops:
            shapes[op.name] = op.shape(*(shapes[name] for name in op.inputs))
        return shapes

    @cached_property
    def _by_name(self) -> dict[str, Op]:
        return {op.name: op for op in self.ops}

    @property
    def output(self) -> str:
        """The name of the value that is the answer."""
        return self.ops[-1].name

    def op(self, name: str) -> Op:
        """Return the op that computes ``name``."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Say whether an op has this name."""
        return name in self._by_name

    def consumers(self, name: str) -> tuple[Op, ...]:
        """Return the ops that read the value ``name``."""
        return tuple(op for op in self.ops if name in op.inputs)

    def of_type(self, kind: type[O]) -> Iterator[O]:
        """Yield the ops of one type, in order."""
        return (op for op in self.ops if isinstance(op, kind))

    @property
    def parameter_count(self) -> int:
        """Number of weights held by the ops."""
        return sum(array.size for op in self.ops for array in op.arrays().values())

    def walk(
        self, pixels: Pixels, instead: Mapping[str, Evaluation] = MappingProxyType({})
    ) -> Iterator[tuple[Op, list[Array], Array]]:
        """Compute op after op; a value is dropped after its last reader, for VGG16 is large.

        Args:
            pixels: ``uint8 [n, height, width, 3]``.
            instead: What is computed in place of an op, by name.

        Yields:
            Each op with its inputs (the first op has none) and its value, ``float32 [n, …]``.
        """
        last_reader = {name: op.name for op in self.ops for name in op.inputs}
        values: dict[str, Array] = {}
        for op in self.ops:
            inputs = [values[name] for name in op.inputs]
            compute: Evaluation = instead.get(op.name, op.evaluate)
            values[op.name] = compute(*inputs) if inputs else compute(pixels)
            for name in set(op.inputs):
                if last_reader[name] == op.name:
                    del values[name]
            yield op, inputs, values[op.name]

    def values(self, pixels: Pixels) -> dict[str, Array]:
        """Compute every value, ``float32 [n, …]`` by op name, from ``uint8`` pixels."""
        return {op.name: value for op, _, value in self.walk(pixels)}

    def answer_after(self, values: Mapping[str, Array], name: str, value: Array) -> Scores:
        """Return the answers if one value were another.

        Args:
            values: All values, by :meth:`values`.
            name: Of the value that changes.
            value: What it is instead.
        """
        changed = {name: value}
        for op in self.ops:
            if op.name != name and not changed.keys().isdisjoint(op.inputs):
                changed[op.name] = op.evaluate(*(changed.get(i, values[i]) for i in op.inputs))
        return changed.get(self.output, values[self.output])

    def evaluate(
        self,
        pixels: Pixels,
        batch_size: int = 4,
        instead: Mapping[str, Evaluation] = MappingProxyType({}),
    ) -> Scores:
        """Compute probabilities.

        Args:
            pixels: ``uint8 [n, height, width, 3]``.
            batch_size: Images at a time.
            instead: What is computed in place of an op, by name.

        Returns:
            ``float32 [n, classes]``.
        """

        def answer(batch: Pixels) -> Scores:
            for _, _, value in self.walk(batch, instead):
                last = value
            return last

        return np.concatenate(self.map_batches(answer, pixels, batch_size))

    def map_batches(
        self, function: Callable[[Pixels], T], pixels: Pixels, batch_size: int
    ) -> list[T]:
        """Apply a function of a batch to all batches, in order.

        Each core takes a batch of its own with a single-threaded BLAS: threads that share one
        matrix product wait for each other, on a busy machine for most of the time.
        """
        batches = [
            pixels[start : start + batch_size] for start in range(0, len(pixels), batch_size)
        ]
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(function, batches))

    def edit(self, replacements: dict[str, Sequence[Op]]) -> DeployGraph:
        """Return a graph in which each named op is replaced by a sequence of ops.

        An empty sequence removes the op; its readers then read its first input instead. Ops that
        nothing reads afterwards are dropped.
        """
        aliases = {name: self.op(name).inputs[0] for name, new in replacements.items() if not new}

        def resolve(name: str) -> str:
            while name in aliases:
                name = aliases[name]
            return name

        ops: list[Op] = []
        for op in self.ops:
            for new in replacements.get(op.name, (op,)):
                inputs = tuple(resolve(name) for name in new.inputs)
                ops.append(new if inputs == new.inputs else replace(new, inputs=inputs))
        return DeployGraph(_live_ops(ops, resolve(self.output)))


def _live_ops(ops: Sequence[Op], output: str) -> tuple[Op, ...]:
    """Return the ops that the output depends on, and the Input."""
    needed = {output}
    live: list[Op] = []
    for op in reversed(ops):
        if op.name in needed or isinstance(op, Input):
            needed.update(op.inputs)
            live.append(op)
    return tuple(reversed(live))


class GraphBuilder:
    """Collects ops one after another.

    Args:
        height: Rows of the input, pixels.
        width: Columns of the input, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._ops: list[Op] = [Input(name="pixels", inputs=(), height=height, width=width)]

    @property
    def last(self) -> str:
        """The name of the value added last."""
        return self._ops[-1].name

    def add(self, op: Op) -> str:
        """Append an op and return its name."""
        self._ops.append(op)
        return op.name

    def build(self) -> DeployGraph:
        """Return the graph; the value added last is its output."""
        return DeployGraph(tuple(self._ops))
