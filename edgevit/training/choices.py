"""What a user decides of a training, resolved into settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgevit import console
from edgevit.data.dataset import Dataset
from edgevit.models.architecture import Architecture
from edgevit.spec import ModelSpec
from edgevit.training import backend, weights
from edgevit.training.settings import TrainSettings

_DEFAULT_SEED = 0

# Those that are settings under the same name.
_SETTINGS = ("epochs", "batch_size", "learning_rate", "weights", "augment", "seed")


@dataclass(frozen=True)
class TrainChoices:
    """What the user decides of a training; ``None`` leaves it to the model, or to the checkpoint.

    Attributes:
        epochs: Passes over the training photos.
        batch_size: Photos a step; cut to the number of training photos.
        image_size: Edge in pixels.
        learning_rate: Peak of the schedule.
        weights: ``random``, the name of published weights, or a path.
        augment: Names of augmentations, as :func:`augmentation.parse` returns them.
        seed: Of everything random.
        mixed_precision: Compute in 16 bits; false leaves it to the checkpoint.
        multi_gpu: Split every batch over all GPUs; false leaves it to the checkpoint.
    """

    epochs: int | None = None
    batch_size: int | None = None
    image_size: int | None = None
    learning_rate: float | None = None
    weights: str | None = None
    augment: tuple[str, ...] | None = None
    seed: int | None = None
    mixed_precision: bool = False
    multi_gpu: bool = False


def resolve(
    architecture: Architecture,
    dataset: Dataset,
    choices: TrainChoices,
    saved: TrainSettings | None = None,
) -> TrainSettings:
    """Resolve the choices; those not made are the checkpoint's, or else the model's defaults.

    Args:
        architecture: The model to train.
        dataset: The prepared photos.
        choices: What the user decided.
        saved: The settings of the checkpoint that is to be continued.

    Raises:
        InputError: if a choice will not do on this model or machine, or differs from ``saved``.
    """
    given = {
        name: getattr(choices, name) for name in _SETTINGS if getattr(choices, name) is not None
    }
    size = choices.image_size
    if size is None and saved is not None:
        size = saved.spec.preprocessing.height
    spec = architecture.spec(len(dataset.classes), size)
    settings = dataclasses.replace(
        saved or _defaults(architecture, spec), **given, spec=spec, dataset_sha256=dataset.sha256
    )
    settings = _with_fitting_batch(settings, len(dataset.split("train").photos))
    settings = _with_hardware(settings, choices)
    if saved is not None:
        settings.refuse_difference(saved)
    return settings


def _with_fitting_batch(settings: TrainSettings, photo_count: int) -> TrainSettings:
    """Cut the batch to the number of training photos: more rows would weigh nothing."""
    if settings.batch_size <= photo_count:
        return settings
    console.note(
        f"There are {photo_count} training photos: a batch has {photo_count}, not "
        f"{settings.batch_size}"
    )
    return dataclasses.replace(settings, batch_size=photo_count)


def _with_hardware(settings: TrainSettings, choices: TrainChoices) -> TrainSettings:
    if choices.mixed_precision or choices.multi_gpu:
        # Only now is TensorFlow worth its seconds: it must look for GPUs.
        backend.load_tensorflow()
    if choices.mixed_precision:
        settings = dataclasses.replace(settings, precision=backend.choose_precision(True))
    if choices.multi_gpu:
        devices = backend.multi_gpu_devices(settings.batch_size)
        settings = dataclasses.replace(settings, devices=devices)
    return settings


def _defaults(architecture: Architecture, spec: ModelSpec) -> TrainSettings:
    defaults = architecture.training_defaults
    published = architecture.pretrained()
    return TrainSettings(
        spec=spec,
        dataset_sha256="",
        epochs=defaults.epochs,
        batch_size=defaults.batch_size,
        learning_rate=defaults.learning_rate,
        weight_decay=defaults.weight_decay,
        label_smoothing=defaults.label_smoothing,
        weights=published[0].name if published else weights.RANDOM,
        augment=defaults.augment,
        precision="float32",
        devices=(),
        seed=_DEFAULT_SEED,
    )
