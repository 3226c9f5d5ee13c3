"""What a graph's activations are on calibration images; every format's ranges come from here.

Besides the graph's values there are those *inside* its ops, named ``OP/part``: integer files round
them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgevit import console
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Attention, LayerNorm, Op
from edgevit.preprocessing import Pixels

Range = tuple[float, float]

# Of a value [tokens, channels] or [height, width, channels], that is along the last dimension.
SCORES, MEAN, CENTRED, VARIANCE = "scores", "mean", "centred", "variance"

_BATCH_SIZE = 2
_SAMPLE_PER_BATCH = 4096


@dataclass(frozen=True, eq=False)
class Observed:
    """One value on all calibration images.

    Attributes:
        low: Least number of each channel, ``float32 [channels]``.
        high: Largest number of each channel.
        sample: Some of the numbers, ``float32 [n]``, drawn evenly.
        sample_channels: The channel of each of them.
    """

    low: Array
    high: Array
    sample: Array
    sample_channels: npt.NDArray[np.int64]

    @property
    def span(self) -> Range:
        """The least and the largest number."""
        return float(self.low.min()), float(self.high.max())


RangeEstimator = Callable[[Observed], Range]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A graph and the images on which its activations are looked at.

    Attributes:
        graph: After the passes.
        images: ``uint8 [n, height, width, 3]``, training photos.
    """

    graph: DeployGraph
    images: Pixels

    @cached_property
    def observed(self) -> Mapping[str, Observed]:
        """Every value of the graph, and every part inside its ops, by name."""
        title = f"Looking at the activations on {len(self.images)} calibration images"
        with console.step(title):
            batches = self.graph.map_batches(self._observe, self.images, _BATCH_SIZE)
        return {name: _joined([batch[name] for batch in batches]) for name in batches[0]}

    def ranges(self, estimator: RangeEstimator) -> dict[str, Range]:
        """Return the range of every value and part, by an estimator of :mod:`.ranges`."""
        return {name: estimator(value) for name, value in self.observed.items()}

    def rewritten(self, graph: DeployGraph, scales: Mapping[str, Array]) -> Calibration:
        """Return the calibration of a graph that equals this one but for the scales of channels.

        Nothing is looked at again: the numbers are known.

        Args:
            graph: The rewritten graph, with the same values by name.
            scales: ``float32 [channels]`` by value: what its numbers were divided by.
        """
        result = Calibration(graph, self.images)
        observed = {
            name: _divided(value, scales[name]) if name in scales else value
            for name, value in self.observed.items()
        }
        result.__dict__["observed"] = observed  # as the cached property would
        return result

    def _observe(self, pixels: Pixels) -> dict[str, Observed]:
        return {name: _look_at(value) for name, value in _values_and_parts(self.graph, pixels)}


def _values_and_parts(graph: DeployGraph, pixels: Pixels) -> Iterator[tuple[str, Array]]:
    with_parts = (Attention, LayerNorm)
    needed = {name for op in graph.ops if isinstance(op, with_parts) for name in op.inputs}
    kept: dict[str, Array] = {}
    for op, value in graph.walk(pixels):
        if op.name in needed:
            kept[op.name] = value
        if isinstance(op, with_parts):
            for part, inner in _parts(op, [kept[name] for name in op.inputs]).items():
                yield f"{op.name}/{part}", inner
        yield op.name, value


def _parts(op: Op, inputs: Sequence[Array]) -> dict[str, Array]:
    """Return the numbers that an op computes on the way."""
    if isinstance(op, Attention):
        queries, keys = (x.reshape(*x.shape[:2], op.heads, -1) for x in inputs[:2])
        scores = np.float32(op.scale) * np.einsum("nqhd,nkhd->nhqk", queries, keys)
        return {SCORES: scores.reshape(-1, 1)}
    mean = inputs[0].mean(axis=-1, keepdims=True)
    centred = inputs[0] - mean
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return {MEAN: mean, CENTRED: centred, VARIANCE: variance}


def _look_at(value: Array) -> Observed:
    columns = value.reshape(-1, value.shape[-1])
    flat = value.reshape(-1)
    chosen = np.random.default_rng(0).integers(0, flat.size, min(_SAMPLE_PER_BATCH, flat.size))
    low, high = columns.min(axis=0), columns.max(axis=0)
    return Observed(low, high, flat[chosen], chosen % columns.shape[1])


def _joined(parts: Sequence[Observed]) -> Observed:
    return Observed(
        low=np.min([part.low for part in parts], axis=0),
        high=np.max([part.high for part in parts], axis=0),
        sample=np.concatenate([part.sample for part in parts]),
        sample_channels=np.concatenate([part.sample_channels for part in parts]),
    )


def _divided(value: Observed, scale: Array) -> Observed:
    return replace(
        value,
        low=value.low / scale,
        high=value.high / scale,
        sample=value.sample / scale[value.sample_channels],
    )
