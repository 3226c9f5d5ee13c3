"""What a graph's activations are on calibration images; every format's ranges come from here.

Besides the graph's values there are those *inside* its ops, named ``OP/part``: integer files round
them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        lows: Least number of each channel on each image, ``float32 [images, channels]``.
        highs: Largest number of each channel on each image.
        sample: Some of the numbers, ``float32 [n]``, drawn evenly.
        sample_channels: The channel of each of them.
    """

    lows: Array
    highs: Array
    sample: Array
    sample_channels: npt.NDArray[np.int64]

    @cached_property
    def low(self) -> Array:
        """Least number of each channel, ``float32 [channels]``."""
        return np.asarray(self.lows.min(axis=0))

    @cached_property
    def high(self) -> Array:
        """Largest number of each channel, ``float32 [channels]``."""
        return np.asarray(self.highs.max(axis=0))

    @property
    def span(self) -> Range:
        """The least and the largest number."""
        return float(self.low.min()), float(self.high.max())


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

    def rewritten(self, graph: DeployGraph, scales: Mapping[str, Array]) -> Calibration:
        """Return the calibration of a graph that equals this one but for the scales of channels.

        Nothing is looked at again: the numbers are known.

        Args:
            graph: The rewritten graph, with the same values by name.
            scales: ``float32 [channels]`` by value: what its numbers were divided by.
        """
        result = Calibration(graph, self.images)
        observed = {
            name: divided_channels(value, scales[name]) if name in scales else value
            for name, value in self.observed.items()
        }
        result.__dict__["observed"] = observed  # as the cached property would
        return result

    def _observe(self, pixels: Pixels) -> dict[str, Observed]:
        return {name: _look_at(value) for name, value in _values_and_parts(self.graph, pixels)}


def _values_and_parts(graph: DeployGraph, pixels: Pixels) -> Iterator[tuple[str, Array]]:
    for op, inputs, value in graph.walk(pixels):
        for part, inner in _parts(op, inputs).items():
            yield f"{op.name}/{part}", inner
        yield op.name, value


def _parts(op: Op, inputs: Sequence[Array]) -> dict[str, Array]:
    """Return the numbers that an op computes on the way."""
    if isinstance(op, Attention):
        queries, keys = (x.reshape(*x.shape[:2], op.heads, -1) for x in inputs[:2])
        scores = np.float32(op.scale) * np.einsum("nqhd,nkhd->nhqk", queries, keys)
        return {SCORES: scores.reshape(len(scores), -1, 1)}
    if not isinstance(op, LayerNorm):
        return {}
    mean = inputs[0].mean(axis=-1, keepdims=True)
    centred = inputs[0] - mean
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return {MEAN: mean, CENTRED: centred, VARIANCE: variance}


def _look_at(value: Array) -> Observed:
    channels = value.shape[-1]
    columns = value.reshape(len(value), -1, channels)
    flat = value.reshape(-1)
    chosen = np.random.default_rng(0).integers(0, flat.size, min(_SAMPLE_PER_BATCH, flat.size))
    return Observed(
        lows=columns.min(axis=1),
        highs=columns.max(axis=1),
        sample=flat[chosen],
        sample_channels=chosen % channels,
    )


def _joined(parts: Sequence[Observed]) -> Observed:
    return Observed(
        lows=np.concatenate([part.lows for part in parts]),
        highs=np.concatenate([part.highs for part in parts]),
        sample=np.concatenate([part.sample for part in parts]),
        sample_channels=np.concatenate([part.sample_channels for part in parts]),
    )


def divided_channels(value: Observed, scale: Array) -> Observed:
    """Return what was seen of a value if its channels were divided by ``float32 [channels]``."""
    return replace(
        value,
        lows=value.lows / scale,
        highs=value.highs / scale,
        sample=value.sample / scale[value.sample_channels],
    )
