"""What makes activations hard to round moves into weights, which have one scale per channel.

A channel whose numbers are much larger than the others' takes their resolution. How much of the
spread moves is searched for each link: of a few balances between activations and weights
(SmoothQuant's α, Xiao et al. 2023, arXiv:2211.10438, eq. 4) and of none at all, the one with the
least error in what the readers compute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.calibration.ranges import kind_of
from edgevit.calibration.statistics import Calibration, divided_channels
from edgevit.export.closeness import power
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Conv2D, Dense, Op, Softmax
from edgevit.export.passes.calibrated import Rounding
from edgevit.export.passes.links import (
    Link,
    convolution_links,
    divided,
    largest_weights,
    multiplied,
    norm_links,
    value_links,
)
from edgevit.export.plan import Product, input_rounding, rounded_weights
from edgevit.export.quantised import affine_uint8
from edgevit.preprocessing import Pixels

# 0 would leave all of the spread in the activations, 1 puts all of it into the weights.
_ALPHAS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
# A convolution meets thousands of pixels on an image, a dense layer fewer tokens, and the head one
# vector: for dense layers many images then, and of each some tokens.
_PROBE_IMAGES = 32
_CONVOLUTION_IMAGES = 8
_PROBE_TOKENS = 8
_PROBE_BATCH = 1
# How much more the error of a rounded weight harms than that of a rounded activation: it is the
# same for every token, so that it adds up where those of activations cancel. By measurement: with
# 1, ViTs lose 2 to 6 dB of their logits to balances that halve the errors of single layers (3 to
# 30 are alike); with 10, VGG16 leaves 4 dB of its spread in the activations. In logits both just
# add up.
_HARM_OF_WEIGHTS, _HARM_OF_KERNELS, _HARM_IN_LOGITS = 10.0, 2.0, 1.0
# A balance must be this much better than none, in squared error.
_WORTHWHILE = 0.97


def balance_convolutions(calibration: Calibration, rounding: Rounding) -> Calibration:
    """Balance every chain of convolutions."""
    return _balanced(calibration, rounding, convolution_links)


def balance_norms(calibration: Calibration, rounding: Rounding) -> Calibration:
    """Balance what layer norms hand to dense layers: the factors become the norms' gains."""
    return _balanced(calibration, rounding, norm_links)


def balance_values(calibration: Calibration, rounding: Rounding) -> Calibration:
    """Balance what attention hands to its output projection."""
    return _balanced(calibration, rounding, value_links)


@dataclass(frozen=True)
class _Reader:
    """A reader of a balanced value, with one of its operands rounded at a time.

    Attributes:
        op: The reader as it is.
        rounded: The reader with rounded weights, for divided inputs.
        scale: What its inputs are divided by, ``float32 [inputs]``.
        round_input: What happens to the divided inputs.
        harm_of_weights: How much more their errors harm than those of the inputs.
    """

    op: Product
    rounded: Product
    scale: Array
    round_input: Callable[[Array], Array]
    harm_of_weights: float

    def error(self, x: Array, value: Array) -> float:
        """Return the squared error for an input, weighed by how much it harms."""
        if isinstance(self.op, Dense) and x.ndim == 3:
            stride = max(1, x.shape[1] // _PROBE_TOKENS)
            x, value = x[:, ::stride], value[:, ::stride]
        divided_x = x / self.scale
        of_input = self.op.evaluate(self.round_input(divided_x) * self.scale) - value
        of_weights = self.rounded.evaluate(divided_x) - value
        return power(of_input) + self.harm_of_weights * power(of_weights)


@dataclass(frozen=True)
class _Trial:
    """One way to balance a link.

    Attributes:
        scale: What each channel is divided by, ``float32 [channels]``.
        readers: The link's readers then.
    """

    scale: Array
    readers: dict[str, _Reader]


def _balanced(
    calibration: Calibration,
    rounding: Rounding,
    find: Callable[[DeployGraph], list[Link]],
) -> Calibration:
    """Balance links; what was seen of the activations is scaled along."""
    graph = calibration.graph
    links = [
        link
        for link in find(graph)
        if any(rounding.plan.get(reader.name, "float") != "float" for reader in link.readers)
    ]
    if not links:
        return calibration
    trials = [_trials(calibration, rounding, link) for link in links]
    errors = _errors(graph, trials, calibration.images[:_PROBE_IMAGES])
    layers: dict[str, Op] = {}
    scales: dict[str, Array] = {}
    for number, (link, ways) in enumerate(zip(links, trials, strict=True)):
        scale = ways[_best([errors[number, way] for way in range(len(ways))])].scale
        maker = layers.get(link.maker.name, link.maker)
        layers[maker.name] = divided(maker, scale)
        for reader in link.readers:
            now = layers.get(reader.name, reader)
            assert isinstance(now, type(reader))
            layers[reader.name] = multiplied(now, scale)
        for op in (link.maker, *link.between):
            width = graph.shapes[op.name][-1]
            scales[op.name] = np.tile(scale, width // len(scale))
    rewritten = graph.edit({name: (layer,) for name, layer in layers.items()})
    return calibration.rewritten(rewritten, scales)


def _trials(calibration: Calibration, rounding: Rounding, link: Link) -> list[_Trial]:
    """Return the ways to balance a link; the first is to leave it."""
    seen = calibration.observed[link.value]
    largest = np.maximum(np.abs(seen.low), np.abs(seen.high))
    weights = largest_weights(link.readers, len(largest))
    estimate = rounding.policy.estimator(kind_of(calibration.graph, link.value))
    trials = []
    for scale in (np.ones_like(largest), *(_balance(largest, weights, a) for a in _ALPHAS)):
        grid = affine_uint8(*estimate(divided_channels(seen, scale)))
        readers = {}
        for reader in link.readers:
            operand = rounding.plan.get(reader.name, "float")
            if operand == "float":
                continue
            tiled = np.tile(scale, calibration.graph.shapes[reader.inputs[0]][-1] // len(scale))
            readers[reader.name] = _Reader(
                op=reader,
                rounded=rounded_weights(multiplied(reader, scale)),
                scale=tiled,
                round_input=input_rounding(operand, grid),
                harm_of_weights=_harm(calibration.graph, reader),
            )
        trials.append(_Trial(scale, readers))
    return trials


def _harm(graph: DeployGraph, reader: Product) -> float:
    if all(isinstance(op, Softmax) for op in graph.consumers(reader.name)):
        return _HARM_IN_LOGITS
    return _HARM_OF_KERNELS if isinstance(reader, Conv2D) else _HARM_OF_WEIGHTS


def _balance(largest: Array, weights: Array, alpha: float) -> Array:
    """Return what to divide each channel by; channels that are never active stay."""
    alive = (largest > 0) & (weights > 0)
    if not alive.any():
        return np.ones_like(largest)
    raw = np.where(alive, largest, 1) ** alpha / np.where(alive, weights, 1) ** (1 - alpha)
    # Only quotients matter: the geometric mean is kept at 1.
    middle = np.exp(np.mean(np.log(raw[alive])))
    return np.where(alive, raw / middle, 1).astype(np.float32)


Key = tuple[int, int]


def _errors(
    graph: DeployGraph, trials: Sequence[Sequence[_Trial]], images: Pixels
) -> dict[Key, float]:
    """Return the error of each trial, as a share of the readers' squared outputs.

    The keys are the number of the link and that of its trial.
    """
    readers: dict[str, list[tuple[Key, _Reader]]] = {}
    for link, ways in enumerate(trials):
        for way, trial in enumerate(ways):
            for name, reader in trial.readers.items():
                readers.setdefault(name, []).append(((link, way), reader))

    def measured(pixels: Pixels) -> dict[Key, float]:
        found: dict[Key, float] = defaultdict(float)
        for op, inputs, value in graph.walk(pixels):
            for key, reader in readers.get(op.name, ()):
                found[key] += reader.error(inputs[0], value) / (power(value) or 1.0)
        return found

    batches = graph.map_batches(measured, images[:_CONVOLUTION_IMAGES], _PROBE_BATCH)
    # The dense layers alone go on with the other images.
    readers = {name: found for name, found in readers.items() if isinstance(graph.op(name), Dense)}
    if readers:
        batches += graph.map_batches(measured, images[_CONVOLUTION_IMAGES:], _PROBE_BATCH)
    return {key: sum(batch.get(key, 0.0) for batch in batches) for key in batches[0]}


def _best(errors: Sequence[float]) -> int:
    """Return the number of the best trial; the first one, none at all, unless it is worth it."""
    best = int(np.argmin(errors))
    return best if errors[best] < _WORTHWHILE * errors[0] else 0
