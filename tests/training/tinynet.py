"""A real model that trains in milliseconds, with each kind of state that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgevit.data.dataset import Dataset
from edgevit.models.architecture import Architecture, TrainingDefaults
from edgevit.preprocessing import Preprocessing
from edgevit.spec import ModelSpec, ParameterCounts
from edgevit.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

    from edgevit.export.graph import DeployGraph


class TinyNet(Architecture):
    """A frozen convolution, a trained one, batch norm, dropout and a dense layer.

    Args:
        stateless: Leave batch norm and dropout out.
    """

    name = "tinynet"
    summary = "for tests"
    default_image_size = 16
    training_defaults = TrainingDefaults(
        epochs=4,
        batch_size=4,
        learning_rate=0.01,
        weight_decay=0.01,
        label_smoothing=0.1,
        augment=("flip", "rotation", "zoom"),
    )

    def __init__(self, stateless: bool = False) -> None:
        self._stateless = stateless

    def preprocessing(self, image_size: int) -> Preprocessing:
        return Preprocessing(image_size, image_size)

    def parameter_counts(self, spec: ModelSpec) -> ParameterCounts:
        return ParameterCounts(0, 0)

    def build_graph(self, spec: ModelSpec, weights: Mapping[str, Any]) -> DeployGraph:
        raise NotImplementedError

    def build_keras(self, spec: ModelSpec) -> keras.Model:
        import keras

        from edgevit.models.layers import NormalisePixels

        layers = keras.layers
        pixels = keras.Input(spec.input_shape, name="pixels")
        x = NormalisePixels(spec.preprocessing, name="normalise")(pixels)
        x = layers.Conv2D(4, 3, activation="relu", name="frozen", trainable=False)(x)
        x = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(x)
        if not self._stateless:
            x = layers.BatchNormalization(name="norm")(x)
        x = layers.Flatten(name="flatten")(x)
        if not self._stateless:
            x = layers.Dropout(0.3)(x)
        logits = layers.Dense(spec.class_count, dtype="float32", name="logits")(x)
        return keras.Model(pixels, logits, name="tinynet")


def settings_for(dataset: Dataset, **changed: Any) -> TrainSettings:
    """Return TinyNet's settings on a data set, with some of them changed."""
    defaults = TinyNet.training_defaults
    values: dict[str, Any] = {
        "spec": TinyNet().spec(len(dataset.classes)),
        "dataset_sha256": dataset.sha256,
        "epochs": defaults.epochs,
        "batch_size": defaults.batch_size,
        "learning_rate": defaults.learning_rate,
        "weight_decay": defaults.weight_decay,
        "label_smoothing": defaults.label_smoothing,
        "weights": "random",
        "augment": defaults.augment,
        "precision": "float32",
        "devices": (),
        "seed": 7,
    }
    return TrainSettings(**(values | changed))
