"""A whole training, from a data set to a finished run."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit import run, storage
from edgevit.data.dataset import SPLITS, Dataset, SplitName
from edgevit.errors import InputError
from edgevit.machine import installed_versions
from edgevit.models.architecture import Architecture
from edgevit.run import DatasetReference, RunRecord, TrainingRecord, Weights
from edgevit.runtimes.keras import KerasSession
from edgevit.training import checkpoint, history, pictures, reference, tensorboard, weights
from edgevit.training.backend import dtype_policy, load_tensorflow, make_deterministic
from edgevit.training.history import EpochRow
from edgevit.training.pipeline import Examples
from edgevit.training.progress import Progress
from edgevit.training.settings import TrainSettings
from edgevit.training.signals import StopRequest
from edgevit.training.tensorboard import TensorBoardLog
from edgevit.training.trainer import Trainer

if TYPE_CHECKING:
    import keras

_RUN_FILES = (
    run.RUN_FILE,
    run.WEIGHTS_FILE,
    run.REFERENCE_FILE,
    history.HISTORY_FILE,
    pictures.CURVES_FILE,
    pictures.CONFUSION_FILE,
)


@dataclass(frozen=True)
class TrainJob:
    """What to train, on what, and where to put it.

    Attributes:
        architecture: Builds the model.
        dataset: The prepared photos.
        settings: Everything that decides the outcome.
        folder: The run's folder.
        resume: Continue from the folder's checkpoint.
        force: Replace what a run has left in the folder.
        tensorboard: Write a log for TensorBoard. A log that is there is continued by ``resume``
            in any case.
    """

    architecture: Architecture
    dataset: Dataset
    settings: TrainSettings
    folder: Path
    resume: bool = False
    force: bool = False
    tensorboard: bool = False


def run_job(job: TrainJob) -> RunRecord:
    """Train, measure the full-precision reference, and write the run.

    Raises:
        InputError: if a setting, the data set or the folder will not do.
        CheckFailedError: if the loss is no longer a number.
        StoppedError: if a signal came; the same job with ``resume`` continues it.
    """
    check_dataset(job.dataset)
    check_folder(job.folder, resume=job.resume, force=job.force)
    if _is_logged(job):
        tensorboard.check_place(job.folder)
    first_weights = None
    if not job.resume:
        first_weights = weights.resolve(job.architecture, job.settings.weights)
    if first_weights is not None:
        job.architecture.check_weight_file(first_weights)
    load_tensorflow()
    make_deterministic(job.settings.seed)
    examples = {name: _examples(job, name) for name in SPLITS}
    with _locked(job.folder), StopRequest() as stop:
        trainer = Trainer(
            lambda: _build(job, first_weights),
            job.settings,
            examples["train"],
            examples["val"],
            job.folder,
        )
        if job.resume:
            trainer.restore(checkpoint.read_record(job.folder))
        else:
            clear_run(job.folder)
        with (
            _log(job, trainer.rows, validated=len(examples["val"]) > 0) as log,
            Progress(job.settings.epochs, trainer.steps_per_epoch) as progress,
        ):
            trainer.run(stop, progress, log)
        return _finish(job, trainer, examples["test"], stop)


def check_dataset(dataset: Dataset) -> None:
    """Check that there is something to train on and to measure with.

    Raises:
        InputError: naming what is missing.
    """
    if len(dataset.classes) < 2:
        raise InputError(
            f"a classifier needs at least 2 classes, {dataset.root} has {len(dataset.classes)}",
            "Add photos of another class and prepare them again",
        )
    remedies: dict[SplitName, str] = {
        "train": "Add photos, or lower --val-share and --test-share",
        "test": "Add photos, or give --test-share above 0",
    }
    for name, remedy in remedies.items():
        if not dataset.split(name).photos:
            raise InputError(
                f"the {name} split of {dataset.root} is empty",
                f"{remedy}, and prepare them again: edgevit data prepare",
            )


def check_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Check that a training may write into ``folder``.

    Raises:
        InputError: if it holds something that is no run, or a run and neither ``resume`` nor
            ``force`` is given, or if there is nothing to resume.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "Give a folder as --out")
    if resume:
        if (folder / run.RUN_FILE).is_file():
            raise InputError(
                f"the run in {folder} is finished", "Train anew with another --out, or --force"
            )
        checkpoint.read_record(folder)
    elif is_run(folder):
        if not force:
            raise InputError(
                f"{folder} exists already",
                "Continue an unfinished run with --resume, replace it with --force, or choose "
                "another --out",
            )
    elif folder.is_dir() and not _is_free(folder):
        raise InputError(
            f"{folder} holds other things (it has neither {run.RUN_FILE} nor a checkpoint), so no "
            "run is written into it",
            "Choose another --out, or empty the folder yourself",
        )


def is_run(folder: Path) -> bool:
    """Say whether a training, finished or not, has written ``folder``."""
    return (folder / run.RUN_FILE).is_file() or checkpoint.checkpoint_path(folder).is_file()


def clear_run(folder: Path) -> None:
    """Remove what a run before has left in ``folder``, and nothing else."""
    tensorboard.remove_log(folder)
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    checkpoint.remove_checkpoint(folder)


def _is_free(folder: Path) -> bool:
    """Say whether the folder is empty, but for the log of a training killed in its first epoch."""
    if not any(folder.iterdir()):
        return True
    own = {path for file in tensorboard.own_files(folder) for path in (file, *file.parents)}
    return bool(own) and own.issuperset(folder.rglob("*"))


def _is_logged(job: TrainJob) -> bool:
    return job.tensorboard or (job.resume and bool(tensorboard.own_files(job.folder)))


def _log(
    job: TrainJob, rows: tuple[EpochRow, ...], *, validated: bool
) -> AbstractContextManager[TensorBoardLog | None]:
    if not _is_logged(job):
        return contextlib.nullcontext()
    return TensorBoardLog(job.folder, job.settings, rows, validated=validated)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep a second training out of it; the lock dies with the process.

    If the block fails before there is a first checkpoint, what it has written is removed.
    """
    created = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with storage.locked(folder, "training"):
        try:
            yield
        except BaseException:
            if not is_run(folder):
                _remove_beginnings(folder, created)
            raise


def _remove_beginnings(folder: Path, created: bool) -> None:
    # It must not hide the error on account of which it is called.
    with contextlib.suppress(OSError):
        clear_run(folder)
        if created:
            folder.rmdir()


def _examples(job: TrainJob, name: SplitName) -> Examples:
    preprocessing = job.settings.spec.preprocessing
    pixels = job.dataset.pixels(name, preprocessing)
    return Examples(pixels, job.dataset.split(name).labels())


def _build(job: TrainJob, first_weights: Path | None) -> keras.Model:
    spec = job.settings.spec
    model = job.architecture.build_keras(spec)
    weights_by_path(model)
    if first_weights is not None:
        job.architecture.load_weight_file(model, spec, first_weights)
    return model


def weights_by_path(model: keras.Model) -> Weights:
    """Return the model's weights, ``float32`` by Keras variable path, without random states.

    Raises:
        ValueError: if two weights share a path: the architecture must name its layers.
    """
    found: Weights = {}
    for variable in model.weights:
        if variable.path in found:
            raise ValueError(f"two weights of {model.name} have the path {variable.path!r}")
        found[variable.path] = variable.numpy().astype(np.float32)
    return found


def _finish(job: TrainJob, trainer: Trainer, test: Examples, stop: StopRequest) -> RunRecord:
    """Measure the reference and write the run; ``run.json`` last, which makes it one."""
    folder, settings = job.folder, job.settings
    # In float32 whatever it was trained in, and on one device.
    with dtype_policy("float32"):
        model = job.architecture.build_keras(settings.spec)
    model.set_weights(list(trainer.best_weights))
    measured = reference.measure_reference(
        KerasSession(model), test, job.dataset.split("test").hashes(), settings.batch_size, stop
    )
    checkpoint.write_tensors(folder / run.WEIGHTS_FILE, weights_by_path(model))
    run.write_reference(folder / run.REFERENCE_FILE, measured.reference)
    history.write_csv(folder / history.HISTORY_FILE, trainer.rows)
    pictures.write_curves(folder / pictures.CURVES_FILE, trainer.rows)
    reference.write_confusion_picture(folder, measured.reference, job.dataset.classes)
    record = RunRecord(
        name=folder.resolve().name,
        spec=settings.spec,
        labels=job.dataset.classes,
        dataset=_dataset_reference(job.dataset),
        training=_training_record(settings, trainer),
        reference=measured.record,
        versions={**installed_versions(), "python": platform.python_version()},
        files={name: storage.record_of(folder / name) for name in _RUN_FILES[1:]},
    )
    run.write_run(folder, record)
    checkpoint.remove_checkpoint(folder)
    return record


def _dataset_reference(dataset: Dataset) -> DatasetReference:
    return DatasetReference(
        path=str(dataset.root.resolve()),
        sha256=dataset.sha256,
        train_count=len(dataset.split("train").photos),
        val_count=len(dataset.split("val").photos),
        test_count=len(dataset.split("test").photos),
    )


def _training_record(settings: TrainSettings, trainer: Trainer) -> TrainingRecord:
    best = history.best_row(trainer.rows)
    return TrainingRecord(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
        weights=settings.weights,
        augment=settings.augment,
        precision=settings.precision,
        seed=settings.seed,
        best_epoch=best.epoch if best else 0,
        seconds=trainer.seconds,
    )
