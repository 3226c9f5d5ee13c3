"""Numbers and small layers that the tests of passes and of lowerings build their graphs from."""

from __future__ import annotations

import numpy as np

from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.preprocessing import Pixels

RANDOM = np.random.default_rng(0)
START = RANDOM.bit_generator.state

# A picture of 4 by 6 pixels, brought to small numbers, also as twelve tokens of six channels.
INPUT = ops.Input(name="pixels", inputs=(), height=4, width=6)
SMALL = ops.Normalise(
    name="small",
    inputs=("pixels",),
    scale=np.float32([1 / 64, 1 / 32, 1 / 64]),
    offset=np.float32([-2, -1, -3]),
    swap_channels=True,
)
TOKENS = ops.Reshape(name="tokens", inputs=("small",), target=(12, 6))


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def dense(name: str, source: str, inputs: int, outputs: int) -> ops.Dense:
    return ops.Dense(
        name=name, inputs=(source,), kernel=normal(inputs, outputs), bias=normal(outputs)
    )


def first_convolutions(size: int = 8) -> DeployGraph:
    """Two convolutions as VGG16 begins: the first pads behind an offset."""
    image = ops.Input(name="pixels", inputs=(), height=size, width=size)
    offset = ops.Normalise(
        name="offset",
        inputs=("pixels",),
        scale=np.ones(3, np.float32),
        offset=np.float32([-104, -117, -124]),
        swap_channels=False,
    )
    return DeployGraph(
        (
            image,
            offset,
            ops.Conv2D(
                name="c",
                inputs=("offset",),
                kernel=normal(3, 3, 3, 5) / 64,
                bias=normal(5),
                padding="same",
            ),
            ops.Relu(name="r", inputs=("c",)),
            ops.Conv2D(name="d", inputs=("r",), kernel=normal(3, 3, 5, 4) / 8, bias=normal(4)),
            ops.Relu(name="s", inputs=("d",)),
            ops.Reshape(name="flat", inputs=("s",), target=((size - 2) ** 2 * 4,)),
            ops.Dense(
                name="logits",
                inputs=("flat",),
                kernel=normal((size - 2) ** 2 * 4, 3) / 8,
                bias=normal(3),
            ),
            ops.Softmax(name="answer", inputs=("logits",)),
        )
    )


def squares(size: int = 8) -> Pixels:
    return RANDOM.integers(0, 256, (3, size, size, 3), dtype=np.uint8)
