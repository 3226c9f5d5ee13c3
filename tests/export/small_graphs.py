"""Numbers and small layers that the tests of passes and of lowerings build their graphs from."""

from __future__ import annotations

import numpy as np

from edgevit.export import ops

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
