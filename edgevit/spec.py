"""What a classifier is, independent of its weights."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.errors import InputError
from edgevit.preprocessing import Preprocessing


@dataclass(frozen=True)
class ModelSpec:
    """Enough to rebuild a classifier's architecture and to feed it.

    Attributes:
        model: The architecture's registry name, such as ``vit-b32``.
        class_count: Number of labels.
        preprocessing: From a photo to the model's input, normalisation included.
    """

    model: str
    class_count: int
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        if self.class_count < 2:
            raise InputError(
                f"a classifier needs at least 2 classes, got {self.class_count}",
                "Add photos of another class",
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        return (self.preprocessing.height, self.preprocessing.width, 3)


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of weights: of all, of those that training changes, and of the others."""

    trainable: int
    non_trainable: int

    @property
    def total(self) -> int:
        """All weights."""
        return self.trainable + self.non_trainable
