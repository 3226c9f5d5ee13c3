"""Keras layers and graph pieces that several families share. Imports Keras: import it late."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from edgevit.preprocessing import Preprocessing


@keras.saving.register_keras_serializable("edgevit")
class NormalisePixels(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
    """RGB pixels 0–255 to what the trunk was trained on; no weights, always float32.

    Args:
        preprocessing: Gives channel order, mean and standard deviation.
    """

    def __init__(self, preprocessing: Preprocessing, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self._swap = preprocessing.channel_order == "bgr"
        self._mean = np.array(preprocessing.mean, dtype=np.float32)
        self._std = np.array(preprocessing.std, dtype=np.float32)

    def call(self, pixels: Any) -> Any:
        """Map ``[n, height, width, 3]`` to the same shape."""
        ordered = _reversed_channels(pixels) if self._swap else pixels
        return keras.ops.divide(keras.ops.subtract(ordered, self._mean), self._std)


@keras.saving.register_keras_serializable("edgevit")
class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]  # keras has no types
    """Adds one learned vector to each token of ``[n, tokens, channels]``."""

    def build(self, input_shape: tuple[int | None, int, int]) -> None:
        """Create the ``[tokens, channels]`` weights, uniform as in ``keras.layers.Embedding``."""
        self.embedding = self.add_weight(
            shape=input_shape[1:], initializer="uniform", name="embedding"
        )

    def call(self, tokens: Any) -> Any:
        """Add the embedding."""
        return keras.ops.add(tokens, self.embedding)


def _reversed_channels(pixels: Any) -> Any:
    """Turn RGB into BGR, and back."""
    if keras.backend.backend() == "torch":  # has no negative steps
        return keras.ops.flip(pixels, axis=-1)
    return pixels[..., ::-1]  # becomes one op in every converter
