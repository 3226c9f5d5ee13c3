"""The small ViT of the Keras example "Image classification with Vision Transformer".

Patches of 6×6, no class token: the normalised tokens are flattened into a wide MLP head.
Source: keras.io/examples/vision/image_classification_with_vision_transformer. Cutting patches and
projecting them is written as the convolution that it is; the example's Normalization layer
(7 weights that hold the data's mean and variance) is the fixed scaling of the preprocessing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.models import counting
from edgevit.models.architecture import Architecture, TrainingDefaults, require_training_packages
from edgevit.preprocessing import Preprocessing
from edgevit.spec import ModelSpec, ParameterCounts

if TYPE_CHECKING:
    import keras

    from edgevit.export.graph import DeployGraph
    from edgevit.models.graph_parts import EncoderPaths

_PATCH = 6
_CHANNELS = 64
_BLOCKS = 8
_HEADS = 4
_HEAD_SIZE = 64
_MLP = (2 * _CHANNELS, _CHANNELS)
_HEAD = (2048, 1024)
_ENCODER_DROPOUT = 0.1
_HEAD_DROPOUT = 0.5


class ScratchVit(Architecture):
    """Eight encoder blocks of 64 channels and a head of 2048 and 1024."""

    name = "vit-scratch"
    summary = "the Keras example's small ViT, trained from scratch"
    default_image_size = 72
    training_defaults = TrainingDefaults(
        epochs=100,
        batch_size=256,
        learning_rate=1e-3,
        weight_decay=1e-4,
        label_smoothing=0.0,
        augment=("flip", "rotation", "zoom"),
    )

    def preprocessing(self, image_size: int) -> Preprocessing:
        """RGB scaled to −1…1; a remainder of the image below a patch is not seen."""
        if image_size < _PATCH:
            raise InputError(
                f"vit-scratch cannot take images of {image_size} pixels",
                f"Give --image-size {_PATCH} or more",
            )
        return Preprocessing(height=image_size, width=image_size)

    def _token_count(self, spec: ModelSpec) -> int:
        height, width, _ = spec.input_shape
        return (height // _PATCH) * (width // _PATCH)

    def parameter_counts(self, spec: ModelSpec) -> ParameterCounts:
        """Everything is trained."""
        tokens = self._token_count(spec)
        block = counting.encoder_block(_CHANNELS, _HEADS * _HEAD_SIZE, _MLP[0])
        widths = (tokens * _CHANNELS, *_HEAD, spec.class_count)
        return ParameterCounts(
            trainable=counting.convolution(_PATCH, 3, _CHANNELS)
            + tokens * _CHANNELS
            + _BLOCKS * block
            + counting.layer_norm(_CHANNELS)
            + sum(counting.dense(a, b) for a, b in itertools.pairwise(widths)),
            non_trainable=0,
        )

    def build_keras(self, spec: ModelSpec) -> keras.Model:
        """Build the example's model."""
        require_training_packages()
        import keras

        from edgevit.models.graph_parts import LAYER_NORM_EPSILON
        from edgevit.models.layers import NormalisePixels, PositionEmbedding

        pixels = keras.Input(spec.input_shape, name="pixels")
        x = NormalisePixels(spec.preprocessing, name="normalise")(pixels)
        x = keras.layers.Conv2D(_CHANNELS, _PATCH, strides=_PATCH, name="patch_embedding")(x)
        x = keras.layers.Reshape((self._token_count(spec), _CHANNELS), name="patches")(x)
        x = PositionEmbedding(name="positions")(x)
        for index in range(_BLOCKS):
            x = _encoder_block(x, index)
        x = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="encoder_norm")(x)
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dropout(_HEAD_DROPOUT)(x)
        x = _mlp(x, _HEAD, _HEAD_DROPOUT, "head")
        logits = keras.layers.Dense(spec.class_count, dtype="float32", name="head_logits")(x)
        return keras.Model(pixels, logits, name=self.name)

    def build_graph(
        self, spec: ModelSpec, weights: Mapping[str, npt.NDArray[np.float32]]
    ) -> DeployGraph:
        """Patches, positions, encoder blocks, flattened head."""
        from edgevit.export.graph import GraphBuilder
        from edgevit.export.ops import AddConstant, Conv2D, Gelu, Reshape
        from edgevit.models import graph_parts as parts

        tokens = self._token_count(spec)
        builder = GraphBuilder(*spec.input_shape[:2])
        parts.add_normalise(builder, spec.preprocessing)
        builder.add(
            Conv2D(
                name="patch_embedding",
                inputs=(builder.last,),
                kernel=weights["patch_embedding/kernel"],
                bias=weights["patch_embedding/bias"],
                stride=_PATCH,
            )
        )
        builder.add(Reshape(name="patches", inputs=(builder.last,), target=(tokens, _CHANNELS)))
        positions = weights["positions/embedding"]
        builder.add(AddConstant(name="positions", inputs=(builder.last,), value=positions))
        for index in range(_BLOCKS):
            parts.add_encoder_block(
                builder,
                f"block_{index}",
                weights,
                _block_paths(index),
                heads=_HEADS,
                gelu_after_mlp=True,
            )
        parts.add_layer_norm(builder, "encoder_norm", builder.last, weights, "encoder_norm")
        flat = (tokens * _CHANNELS,)
        builder.add(Reshape(name="flatten", inputs=(builder.last,), target=flat))
        for index in range(len(_HEAD)):
            name = f"head_{index}"
            parts.add_dense(builder, name, builder.last, weights, name)
            builder.add(Gelu(name=f"{name}_gelu", inputs=(name,)))
        parts.add_classifier(builder, weights, "head_logits")
        return builder.build()


def _mlp(x: Any, widths: tuple[int, ...], dropout: float, name: str) -> Any:
    """Dense layers, each with a GELU and dropout, as the example's ``mlp``."""
    import keras

    for index, width in enumerate(widths):
        x = keras.layers.Dense(width, activation="gelu", name=f"{name}_{index}")(x)
        x = keras.layers.Dropout(dropout)(x)
    return x


def _encoder_block(x: Any, index: int) -> Any:
    import keras

    from edgevit.models.graph_parts import LAYER_NORM_EPSILON

    name = f"block_{index}"
    normed = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name=f"{name}_norm_1")(x)
    attention = keras.layers.MultiHeadAttention(
        num_heads=_HEADS, key_dim=_HEAD_SIZE, dropout=_ENCODER_DROPOUT, name=f"{name}_attention"
    )
    x = keras.layers.Add()([attention(normed, normed), x])
    normed = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name=f"{name}_norm_2")(x)
    return keras.layers.Add()([_mlp(normed, _MLP, _ENCODER_DROPOUT, f"{name}_mlp"), x])


def _block_paths(index: int) -> EncoderPaths:
    from edgevit.models.graph_parts import EncoderPaths

    name = f"block_{index}"
    return EncoderPaths(
        norm_1=f"{name}_norm_1",
        attention=f"{name}_attention",
        attention_out="attention_output",
        norm_2=f"{name}_norm_2",
        mlp_1=f"{name}_mlp_0",
        mlp_2=f"{name}_mlp_1",
    )
