"""What makes activations hard to round moves into weights, which have one scale per channel.

A channel whose numbers are much larger than the others' takes their resolution. Dividing it where
it is made and multiplying it where it is read changes nothing in float, since ReLU and pooling keep
the factor (Nagel et al. 2019, arXiv:1906.04721, section 4.1; the balance between activations and
weights is that of SmoothQuant, Xiao et al. 2023, arXiv:2211.10438, eq. 4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array, Conv2D, Dense, MaxPool2D, Op, Relu, Reshape

# Half of the spread stays in the activations, half goes into the weights.
_ALPHA = 0.5


@dataclass(frozen=True)
class _Link:
    """A convolution and the only layer that reads it.

    Attributes:
        maker: The convolution.
        between: ReLU and what only moves numbers.
        reader: A convolution or dense layer.
    """

    maker: Conv2D
    between: tuple[Op, ...]
    reader: Conv2D | Dense


def migrate_scale(calibration: Calibration) -> Calibration:
    """Balance every chain of convolutions; what was seen of the activations is scaled along."""
    graph = calibration.graph
    layers: dict[str, Conv2D | Dense] = {}
    scales: dict[str, Array] = {}
    links = _links(graph)
    if not links:
        return calibration
    for link in links:
        maker = layers.get(link.maker.name, link.maker)
        reader = layers.get(link.reader.name, link.reader)
        largest = calibration.observed[link.between[0].name].high
        scale = _balance(largest, _by_channel(reader, len(largest)))
        layers[maker.name] = replace(maker, kernel=maker.kernel / scale, bias=maker.bias / scale)
        layers[reader.name] = _multiplied(reader, scale)
        scales[maker.name] = scale
        for op in link.between:
            width = graph.shapes[op.name][-1]
            scales[op.name] = np.tile(scale, width // len(scale))
    rewritten = graph.edit({name: (layer,) for name, layer in layers.items()})
    return calibration.rewritten(rewritten, scales)


def _links(graph: DeployGraph) -> list[_Link]:
    found = []
    for maker in graph.of_type(Conv2D):
        between: list[Op] = []
        last: Op = maker
        while len(readers := graph.consumers(last.name)) == 1:
            (last,) = readers
            if isinstance(last, (Conv2D, Dense)):
                if between and isinstance(between[0], Relu):
                    found.append(_Link(maker, tuple(between), last))
                break
            if not isinstance(last, (Relu, MaxPool2D, Reshape)):
                break
            between.append(last)
    return found


def _balance(largest: Array, weights: Array) -> Array:
    """Return what to divide each channel by; channels that are never active stay."""
    alive = (largest > 0) & (weights > 0)
    if not alive.any():
        return np.ones_like(largest)
    raw = np.where(alive, largest, 1) ** _ALPHA / np.where(alive, weights, 1) ** (1 - _ALPHA)
    # Only quotients matter: the geometric mean is kept at 1.
    middle = np.exp(np.mean(np.log(raw[alive])))
    return np.where(alive, raw / middle, 1).astype(np.float32)


def _by_channel(reader: Conv2D | Dense, channels: int) -> Array:
    """Return the largest weight that reads each channel."""
    split = reader.kernel.reshape(-1, channels, _outputs(reader))
    return np.asarray(np.abs(split).max(axis=(0, 2)))


def _multiplied(reader: Conv2D | Dense, scale: Array) -> Conv2D | Dense:
    split = reader.kernel.reshape(-1, len(scale), _outputs(reader))
    return replace(reader, kernel=(split * scale[:, np.newaxis]).reshape(reader.kernel.shape))


def _outputs(reader: Conv2D | Dense) -> int:
    return int(reader.kernel.shape[-1])
