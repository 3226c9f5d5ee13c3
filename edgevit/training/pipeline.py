"""Batches straight from the memory-mapped pixel cache, in an order that can be reproduced.

Every batch has the same shape, so that a step is compiled once: the last batch of an epoch is
filled up with the epoch's first photos, which weigh nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgevit.metrics import Labels
from edgevit.preprocessing import Pixels

if TYPE_CHECKING:
    import tensorflow as tf

Order = npt.NDArray[np.int64]

_PREFETCHED_BATCHES = 2


@dataclass(frozen=True)
class Examples:
    """Photos with their labels.

    Attributes:
        pixels: ``uint8 [n, height, width, 3]``, memory-mapped.
        labels: ``int64 [n]``.
    """

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


def epoch_order(count: int, seed: int, epoch: int) -> Order:
    """Return the order of ``count`` photos in one epoch, ``int64 [count]``."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int64)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches that hold ``count`` photos."""
    return math.ceil(count / batch_size)


def batches(
    examples: Examples, order: Order, batch_size: int, *, first: int = 0
) -> tf.data.Dataset:
    """Return the batches of one pass, gathered while the previous batch computes.

    Args:
        examples: The photos; their pixels are never read as a whole.
        order: Rows of ``examples`` in the order to use them.
        batch_size: Rows of every batch.
        first: Number of batches to skip.

    Returns:
        A data set of ``(uint8 [batch, height, width, 3], int64 [batch], float32 [batch])``:
        pixels, labels, and a weight of 1, or 0 where a row only fills the batch up.
    """
    import tensorflow as tf

    steps = steps_per_epoch(len(order), batch_size)
    rows = np.resize(order, steps * batch_size).reshape(steps, batch_size)
    weights = (np.arange(steps * batch_size) < len(order)).astype(np.float32)
    parts = (rows, examples.labels[rows], weights.reshape(steps, batch_size))
    # A plain view: batches are to be arrays, not memory maps.
    pixels = np.asarray(examples.pixels)
    shape = (batch_size, *pixels.shape[1:])

    def gather(rows: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Declared stateless: op determinism would otherwise switch the prefetching off.
        images = tf.numpy_function(pixels.__getitem__, [rows], tf.uint8, stateful=False)
        return tf.ensure_shape(images, shape), labels, weights

    source = tf.data.Dataset.from_tensor_slices(tuple(part[first:] for part in parts))
    return source.map(gather).prefetch(_PREFETCHED_BATCHES)
