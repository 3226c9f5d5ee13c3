"""Everything that decides the outcome of a training, resolved and comparable."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from edgevit.errors import InputError
from edgevit.spec import ModelSpec
from edgevit.training.backend import Precision


@dataclass(frozen=True)
class TrainSettings:
    """The settings of one training; equal settings on one machine give equal weights.

    Attributes:
        spec: The model.
        dataset_sha256: Hash of the prepared photos.
        epochs: Passes over the training split.
        batch_size: Images a step, over all devices.
        learning_rate: Peak of the warm-up and cosine schedule.
        weight_decay: AdamW's decoupled decay, on matrices only.
        label_smoothing: Share of the target spread over all classes, 0–1.
        weights: ``random``, the name of published weights, or a path.
        augment: Names of augmentations, in the order of :data:`augmentation.NAMES`.
        precision: Keras dtype policy.
        devices: The devices that split each batch; empty for one.
        seed: Of the initial weights, the order of the photos, augmentation and dropout.
    """

    spec: ModelSpec
    dataset_sha256: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    weights: str
    augment: tuple[str, ...]
    precision: Precision
    devices: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"{self.epochs} epochs train nothing", "Use --epochs 1 or more")
        if self.batch_size < 1:
            raise InputError(
                f"a batch cannot have {self.batch_size} images", "Use --batch-size 1 or more"
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(
                f"the learning rate {self.learning_rate} is not a positive number",
                "Use --learning-rate 0.001 or thereabouts",
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"the seed {self.seed} is not in 0–{2**32 - 1}", "Use --seed 0")

    def in_words(self) -> dict[str, str]:
        """Return what people call each setting, with its value."""
        return {
            _spoken(field.name): _shown(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    def refuse_difference(self, saved: TrainSettings) -> None:
        """Check that a checkpoint of ``saved`` can be continued with these settings.

        Raises:
            InputError: naming the first setting that differs, with both values.
        """
        difference = self.difference(saved)
        if difference is not None:
            raise InputError(
                f"the checkpoint was trained with {difference}",
                "Resume with the settings it was started with, or start anew with another --out",
            )

    def difference(self, saved: TrainSettings) -> str | None:
        """Return the first setting in which ``saved`` differs: ``epochs 5, not 10``."""
        for field in dataclasses.fields(self):
            here, there = getattr(self, field.name), getattr(saved, field.name)
            if here != there:
                return f"{_spoken(field.name)} {_shown(there)}, not {_shown(here)}"
        return None


def _spoken(field: str) -> str:
    return {"spec": "model", "dataset_sha256": "data set"}.get(field, field.replace("_", " "))


def _shown(value: object) -> str:
    if isinstance(value, ModelSpec):
        return f"{value.model}, {value.class_count} classes, {value.preprocessing.geometry}"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
