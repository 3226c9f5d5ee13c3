"""VGG16 (Simonyan & Zisserman, arXiv:1409.1556) with a frozen trunk, as in the original study."""

from __future__ import annotations

from collections.abc import Mapping
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

# Convolutions of each block: (number, channels).
_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_KERNEL_SIZE = 3
_DOWNSCALING = 1 << len(_BLOCKS)
_WEIGHTS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


def _convolutions() -> list[tuple[str, int, int]]:
    """Return (layer name, in channels, out channels) of every convolution, in order."""
    found = []
    channels = 3
    for block, (count, width) in enumerate(_BLOCKS, start=1):
        for index in range(1, count + 1):
            found.append((f"block{block}_conv{index}", channels, width))
            channels = width
    return found


class Vgg16(Architecture):
    """Keras's VGG16 trunk, frozen; then Flatten and Dense."""

    name = "vgg16"
    summary = "VGG16, frozen ImageNet trunk, one dense layer on top"
    default_image_size = 224
    training_defaults = TrainingDefaults(
        epochs=10,
        batch_size=32,
        learning_rate=1e-4,
        weight_decay=1e-4,
        label_smoothing=0.0,
        augment=("flip", "rotation", "zoom"),
    )

    def preprocessing(self, image_size: int) -> Preprocessing:
        """BGR, ImageNet's mean subtracted, no scaling (Caffe's convention)."""
        if image_size < _DOWNSCALING:
            raise InputError(
                f"vgg16 cannot take images of {image_size} pixels",
                f"Give --image-size {_DOWNSCALING} or more",
            )
        return Preprocessing(
            height=image_size,
            width=image_size,
            channel_order="bgr",
            mean=(103.939, 116.779, 123.68),
            std=(1.0, 1.0, 1.0),
        )

    def _feature_count(self, spec: ModelSpec) -> int:
        height, width, _ = spec.input_shape
        rows, columns = height // _DOWNSCALING, width // _DOWNSCALING
        return rows * columns * _BLOCKS[-1][1]

    def parameter_counts(self, spec: ModelSpec) -> ParameterCounts:
        """Only the dense layer is trained."""
        return ParameterCounts(
            trainable=counting.dense(self._feature_count(spec), spec.class_count),
            non_trainable=sum(
                counting.convolution(_KERNEL_SIZE, inputs, outputs)
                for _, inputs, outputs in _convolutions()
            ),
        )

    def build_keras(self, spec: ModelSpec) -> keras.Model:
        """Build the trunk from Keras applications, with random weights."""
        require_training_packages()
        import keras

        from edgevit.models.layers import NormalisePixels

        trunk = keras.applications.VGG16(
            include_top=False, weights=None, input_shape=spec.input_shape
        )
        trunk.trainable = False
        pixels = keras.Input(spec.input_shape, name="pixels")
        x = NormalisePixels(spec.preprocessing, name="normalise")(pixels)
        x = trunk(x, training=False)
        x = keras.layers.Flatten(name="flatten")(x)
        logits = keras.layers.Dense(spec.class_count, dtype="float32", name="head_logits")(x)
        return keras.Model(pixels, logits, name=self.name)

    def build_graph(
        self, spec: ModelSpec, weights: Mapping[str, npt.NDArray[np.float32]]
    ) -> DeployGraph:
        """Thirteen convolutions in five blocks, then the classifier."""
        from edgevit.export.graph import GraphBuilder
        from edgevit.export.ops import Conv2D, MaxPool2D, Relu, Reshape
        from edgevit.models.graph_parts import add_classifier, add_normalise

        builder = GraphBuilder(*spec.input_shape[:2])
        add_normalise(builder, spec.preprocessing)
        for block, (count, _) in enumerate(_BLOCKS, start=1):
            for index in range(1, count + 1):
                name = f"block{block}_conv{index}"
                builder.add(
                    Conv2D(
                        name=name,
                        inputs=(builder.last,),
                        kernel=weights[f"{name}/kernel"],
                        bias=weights[f"{name}/bias"],
                        padding="same",
                    )
                )
                builder.add(Relu(name=f"{name}_relu", inputs=(name,)))
            builder.add(MaxPool2D(name=f"block{block}_pool", inputs=(builder.last,), size=2))
        features = self._feature_count(spec)
        builder.add(Reshape(name="flatten", inputs=(builder.last,), target=(features,)))
        add_classifier(builder, weights, "head_logits")
        return builder.build()

    def pretrained(self) -> tuple[PretrainedWeights, ...]:
        """Return Keras applications' ImageNet weights."""
        return (
            PretrainedWeights(
                name="imagenet",
                url="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
                + _WEIGHTS_FILE,
                cache_path=keras_home() / "models" / _WEIGHTS_FILE,
            ),
        )

    def check_weight_file(self, path: Path) -> None:
        """Check that it is an HDF5 file."""
        from edgevit.models.weight_files import open_keras_h5

        with open_keras_h5(path):
            pass

    def load_weight_file(self, model: keras.Model, spec: ModelSpec, path: Path) -> None:
        """Load the 13 convolutions, by layer name, from any Keras ``.h5`` that holds them."""
        from edgevit.models.weight_files import read_keras_h5

        layers = read_keras_h5(path)
        trunk = model.get_layer("vgg16")
        for name, inputs, outputs in _convolutions():
            expected = [(_KERNEL_SIZE, _KERNEL_SIZE, inputs, outputs), (outputs,)]
            found = layers.get(name, [])
            if [array.shape for array in found] != expected:
                shapes = ", ".join(str(array.shape) for array in found) or "nothing"
                raise InputError(
                    f"{path}: the layer {name} should hold {expected[0]} and {expected[1]}, "
                    f"it holds {shapes}",
                    "Give Keras weights of a VGG16 trunk",
                )
            trunk.get_layer(name).set_weights(found)
