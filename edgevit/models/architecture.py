"""The seam between a model family and everything that trains, exports or lists models.

Adding a model is one file with a subclass of :class:`Architecture`, one line in
:mod:`edgevit.models.registry` and one subclass of the shared test template.
"""

from __future__ import annotations

import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError, MissingDependencyError
from edgevit.preprocessing import Preprocessing
from edgevit.spec import ModelSpec, ParameterCounts

if TYPE_CHECKING:
    import keras

    from edgevit.export.graph import DeployGraph


@dataclass(frozen=True)
class TrainingDefaults:
    """Settings that suit an architecture when the user names none.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Images a step.
        learning_rate: Peak of the warm-up and cosine schedule.
        weight_decay: AdamW's decoupled decay, on matrices only.
        label_smoothing: Share of the target spread over all classes, 0–1.
        augment: Names of augmentations.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    augment: tuple[str, ...]


@dataclass(frozen=True)
class PretrainedWeights:
    """A published weight file that a library downloads.

    Attributes:
        name: As ``--weights`` takes it.
        url: Where the file is.
        cache_path: Where Keras keeps it after the first download.
    """

    name: str
    url: str
    cache_path: Path


def keras_home() -> Path:
    """Return the folder in which Keras keeps what it downloads."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))


def require_training_packages(*also: str) -> None:
    """Check that Keras and the modules in ``also`` can be imported.

    Its backend is checked where it is chosen: ``edgevit reference`` runs on others than TensorFlow.

    Raises:
        MissingDependencyError: naming the first that is missing and the command that installs it.
    """
    for module in ("keras", *also):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(
                f"the Python package {module} is not installed",
                "pip install 'edgevit[train]' (vit-keras needs Python 3.11 or older)",
            )


class Architecture(ABC):
    """One entry of ``edgevit models``."""

    name: str
    summary: str
    default_image_size: int
    training_defaults: TrainingDefaults

    @abstractmethod
    def preprocessing(self, image_size: int) -> Preprocessing:
        """Return the preprocessing for square images of ``image_size`` pixels.

        Raises:
            InputError: if the architecture cannot take that size.
        """

    @abstractmethod
    def parameter_counts(self, spec: ModelSpec) -> ParameterCounts:
        """Count the weights by formula, without building the model."""

    @abstractmethod
    def build_keras(self, spec: ModelSpec) -> keras.Model:
        """Build the trainable model with random weights.

        The model takes ``float32 [n, height, width, 3]`` RGB pixels in 0–255 and returns
        *logits* ``float32 [n, classes]``; normalisation is its first layer. Layers that stay
        frozen have ``trainable = False``.
        """

    @abstractmethod
    def build_graph(
        self, spec: ModelSpec, weights: Mapping[str, npt.NDArray[np.float32]]
    ) -> DeployGraph:
        """Build the deployment graph from weights keyed by Keras variable path.

        The graph takes ``uint8`` pixels and returns probabilities.
        """

    def pretrained(self) -> tuple[PretrainedWeights, ...]:
        """Return the published weights that ``--weights`` can name; none by default."""
        return ()

    def check_weight_file(self, path: Path) -> None:
        """Check, without reading its tensors, that a file is in the family's published layout.

        Raises:
            InputError: if it is not, or the family has no published weights.
        """
        raise InputError(
            f"{self.name} has no published weights, so {path} cannot be loaded",
            "Train it with --weights random",
        )

    def load_weight_file(self, model: keras.Model, spec: ModelSpec, path: Path) -> None:
        """Load the trunk's weights from a file in the family's published layout.

        Raises:
            InputError: if the file is not in that layout.
        """
        self.check_weight_file(path)

    def spec(self, class_count: int, image_size: int | None = None) -> ModelSpec:
        """Return the spec for so many classes, at the default image size unless one is given."""
        size = self.default_image_size if image_size is None else image_size
        return ModelSpec(
            model=self.name, class_count=class_count, preprocessing=self.preprocessing(size)
        )
