"""Vision Transformers on vit-keras's trunk (Dosovitskiy et al., arXiv:2010.11929)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.models import counting
from edgevit.models.architecture import (
    Architecture,
    PretrainedWeights,
    TrainingDefaults,
    keras_home,
    require_training_packages,
)
from edgevit.preprocessing import Preprocessing
from edgevit.spec import ModelSpec, ParameterCounts

if TYPE_CHECKING:
    import keras

    from edgevit.export.graph import DeployGraph
    from edgevit.models.graph_parts import EncoderPaths

_DOWNLOADS = "https://github.com/faustomorales/vit-keras/releases/download/dl"
# With Keras's 0.99 the moving averages of a fine-tune of a few dozen steps would still be mostly
# their initial values, and the model would be right in training and wrong ever after.
_BATCH_NORM_MOMENTUM = 0.9


@dataclass(frozen=True)
class VitSize:
    """The dimensions of a ViT and of the study's head on top of it.

    Attributes:
        patch: Edge of a square patch, pixels.
        hidden: Channels of a token.
        blocks: Number of encoder blocks.
        heads: Attention heads of a block.
        mlp: Width of a block's MLP.
        head: Width of the head's hidden dense layer.
        dropout: Of the encoder, in training.
    """

    patch: int
    hidden: int
    blocks: int
    heads: int
    mlp: int
    head: int
    dropout: float


BASE_32 = VitSize(patch=32, hidden=768, blocks=12, heads=12, mlp=3072, head=512, dropout=0.1)
BASE_16 = VitSize(patch=16, hidden=768, blocks=12, heads=12, mlp=3072, head=512, dropout=0.1)
TINY_8 = VitSize(patch=8, hidden=128, blocks=4, heads=4, mlp=256, head=128, dropout=0.0)

FINE_TUNING = TrainingDefaults(
    epochs=10,
    batch_size=32,
    learning_rate=1e-4,
    weight_decay=1e-4,
    label_smoothing=0.1,
    augment=("flip", "rotation", "zoom"),
)
FROM_SCRATCH = TrainingDefaults(
    epochs=25,
    batch_size=32,
    learning_rate=1e-3,
    weight_decay=1e-2,
    label_smoothing=0.0,
    augment=("flip",),
)


class VitKeras(Architecture):
    """A vit-keras trunk, then Flatten, BatchNorm, Dense (GELU), BatchNorm, Dense.

    Args:
        name: Registry name.
        summary: One line for ``edgevit models``.
        size: Dimensions.
        image_size: Default edge of the input, pixels.
        training_defaults: Settings when the user names none.
        published: Name of the size in vit-keras's downloads (``B_32``), if there is one.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        size: VitSize,
        image_size: int,
        training_defaults: TrainingDefaults,
        published: str | None = None,
    ) -> None:
        self.name = name
        self.summary = summary
        self.size = size
        self.default_image_size = image_size
        self.training_defaults = training_defaults
        self._published = published

    def preprocessing(self, image_size: int) -> Preprocessing:
        """RGB scaled to −1…1."""
        if image_size < self.size.patch or image_size % self.size.patch:
            raise InputError(
                f"{self.name} cannot take images of {image_size} pixels",
                f"Give --image-size as a multiple of its patch size {self.size.patch}",
            )
        return Preprocessing(height=image_size, width=image_size)

    def _grid(self, spec: ModelSpec) -> tuple[int, int]:
        height, width, _ = spec.input_shape
        return (height // self.size.patch, width // self.size.patch)

    def parameter_counts(self, spec: ModelSpec) -> ParameterCounts:
        """Everything is trained but the batch norms' moving averages."""
        size, (rows, columns) = self.size, self._grid(spec)
        embedding = (
            counting.convolution(size.patch, 3, size.hidden)
            + size.hidden  # class token
            + (rows * columns + 1) * size.hidden  # positions
        )
        block = counting.encoder_block(size.hidden, size.hidden, size.mlp)
        batch_norms = 2 * (size.hidden + size.head)
        head = (
            batch_norms
            + counting.dense(size.hidden, size.head)
            + counting.dense(size.head, spec.class_count)
        )
        return ParameterCounts(
            trainable=embedding + size.blocks * block + counting.layer_norm(size.hidden) + head,
            non_trainable=batch_norms,
        )

    def build_keras(self, spec: ModelSpec) -> keras.Model:
        """Build vit-keras's model without a top and put the study's head on it."""
        require_training_packages("cv2", "vit_keras")
        import keras
        from vit_keras import vit

        from edgevit.models.layers import NormalisePixels

        size = self.size
        trunk = vit.build_model(
            image_size=spec.input_shape[:2],
            patch_size=size.patch,
            num_layers=size.blocks,
            hidden_size=size.hidden,
            num_heads=size.heads,
            mlp_dim=size.mlp,
            dropout=size.dropout,
            classes=spec.class_count,
            include_top=False,
            name="trunk",
        )
        pixels = keras.Input(spec.input_shape, name="pixels")
        x = NormalisePixels(spec.preprocessing, name="normalise")(pixels)
        x = trunk(x)
        x = keras.layers.Flatten(name="flatten")(x)
        x = _batch_norm("head_norm_1")(x)
        x = keras.layers.Dense(size.head, activation="gelu", name="head_hidden")(x)
        x = _batch_norm("head_norm_2")(x)
        logits = keras.layers.Dense(spec.class_count, dtype="float32", name="head_logits")(x)
        return keras.Model(pixels, logits, name=self.name)

    def build_graph(
        self, spec: ModelSpec, weights: Mapping[str, npt.NDArray[np.float32]]
    ) -> DeployGraph:
        """Patches, class token, positions, encoder blocks, class token's head."""
        from edgevit.export.graph import GraphBuilder
        from edgevit.export.ops import AddConstant, Conv2D, Gelu, PrependToken, Reshape, TakeToken
        from edgevit.models import graph_parts as parts

        size, (rows, columns) = self.size, self._grid(spec)
        builder = GraphBuilder(*spec.input_shape[:2])
        parts.add_normalise(builder, spec.preprocessing)
        builder.add(
            Conv2D(
                name="patch_embedding",
                inputs=(builder.last,),
                kernel=weights["embedding/kernel"],
                bias=weights["embedding/bias"],
                stride=size.patch,
            )
        )
        tokens = (rows * columns, size.hidden)
        builder.add(Reshape(name="patches", inputs=(builder.last,), target=tokens))
        class_token = weights["class_token/cls"].reshape(-1)
        builder.add(PrependToken(name="class_token", inputs=(builder.last,), token=class_token))
        positions = weights["Transformer_posembed_input/pos_embedding"][0]
        builder.add(AddConstant(name="positions", inputs=(builder.last,), value=positions))
        for index in range(size.blocks):
            parts.add_encoder_block(
                builder, f"block_{index}", weights, _block_paths(index), heads=size.heads
            )
        norm_path = "Transformer_encoder_norm"
        parts.add_layer_norm(builder, "encoder_norm", builder.last, weights, norm_path)
        builder.add(TakeToken(name="take_class", inputs=(builder.last,), index=0))
        builder.add(Reshape(name="flatten", inputs=(builder.last,), target=(size.hidden,)))
        parts.add_batch_norm(builder, "head_norm_1", weights, "head_norm_1")
        parts.add_dense(builder, "head_hidden", builder.last, weights, "head_hidden")
        builder.add(Gelu(name="head_gelu", inputs=(builder.last,)))
        parts.add_batch_norm(builder, "head_norm_2", weights, "head_norm_2")
        parts.add_classifier(builder, weights, "head_logits")
        return builder.build()

    def pretrained(self) -> tuple[PretrainedWeights, ...]:
        """Return vit-keras's download, for the published sizes."""
        if self._published is None:
            return ()
        name = "imagenet21k+imagenet2012"
        file = f"ViT-{self._published}_{name}.npz"
        return (
            PretrainedWeights(
                name=name,
                url=f"{_DOWNLOADS}/{file}",
                cache_path=keras_home() / "weights" / file,
            ),
        )

    def check_weight_file(self, path: Path) -> None:
        """Check that it is an ``.npz`` with as many encoder blocks."""
        from edgevit.models.weight_files import check_vit_npz

        check_vit_npz(path, self.size.blocks)

    def load_weight_file(self, model: keras.Model, spec: ModelSpec, path: Path) -> None:
        """Load the trunk from a Google ViT ``.npz``."""
        from edgevit.models.weight_files import load_vit_npz

        rows, columns = self._grid(spec)
        load_vit_npz(
            model.get_layer("trunk"),
            path,
            blocks=self.size.blocks,
            grid_height=rows,
            grid_width=columns,
        )


def _batch_norm(name: str) -> keras.layers.Layer:
    import keras

    from edgevit.models.graph_parts import BATCH_NORM_EPSILON

    return keras.layers.BatchNormalization(
        momentum=_BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=name
    )


def _block_paths(index: int) -> EncoderPaths:
    from edgevit.models.graph_parts import EncoderPaths

    block = f"Transformer_encoderblock_{index}"
    return EncoderPaths(
        norm_1=f"{block}/LayerNorm_0",
        attention=f"{block}/MultiHeadDotProductAttention_1",
        attention_out="out",
        norm_2=f"{block}/LayerNorm_2",
        mlp_1=f"{block}/MlpBlock_3/{block}_Dense_0",
        mlp_2=f"{block}/MlpBlock_3/{block}_Dense_1",
    )
