"""What a study has to do, settled before any work: finished runs, begun ones and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgevit.compare.candidates import refuse_unlike
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import RUN_FILE, Run
from edgevit.spec import ModelSpec
from edgevit.study.recipe import ModelRecipe, Recipe
from edgevit.training import checkpoint, weights
from edgevit.training.choices import resolve
from edgevit.training.job import TrainJob, check_dataset, check_folder
from edgevit.training.settings import TrainSettings

if TYPE_CHECKING:
    from edgevit.training.backend import Precision

RUNS_FOLDER = "runs"


@dataclass(frozen=True)
class PlannedModel:
    """A model of the study.

    Attributes:
        name: How the study calls it.
        spec: What it is.
        labels: In the order of its probabilities.
        path: Its run's folder.
        job: Its training; ``None`` for a finished run.
    """

    name: str
    spec: ModelSpec
    labels: tuple[str, ...]
    path: Path
    job: TrainJob | None = None


def plan_models(
    recipe: Recipe, dataset: Dataset, out: Path, *, force: bool = False, tensorboard: bool = False
) -> tuple[PlannedModel, ...]:
    """Find out what there is to train; nothing is written.

    A finished run with the same settings is kept, an unfinished one will be continued.

    Args:
        recipe: The study.
        dataset: The photos.
        out: The study's folder; trained models go to ``runs/`` in it.
        force: Train anew what was trained with other settings.
        tensorboard: Write TensorBoard's logs while training.

    Raises:
        InputError: if a run is not of these photos, cannot be compared with another, or was
            trained with other settings; if weights to start from are not here.
    """
    check_dataset(dataset)
    # Finished runs first: a mistake in one of them is found without looking for weights.
    taken = {e.title: _taken(Path(e.run)) for e in recipe.model if e.run is not None}
    _refuse_unlike_pairs(list(taken.values()))
    for planned in taken.values():
        check_trained_on(Run.load(planned.path), dataset)
    models = [
        taken.get(entry.title) or _trained(entry, dataset, out, force, tensorboard)
        for entry in recipe.model
    ]
    _refuse_unlike_pairs(models)
    return tuple(models)


def _refuse_unlike_pairs(models: Sequence[PlannedModel]) -> None:
    # Being alike is transitive: comparing each with the first is enough.
    for other in models[1:]:
        refuse_unlike(models[0], other, across_sizes=True)


def check_trained_on(run: Run, dataset: Dataset) -> None:
    """Check that a run was trained on these photos: its test photos are then no other's.

    Raises:
        InputError: naming both.
    """
    record = run.record
    if record.labels != dataset.classes:
        raise InputError(
            f"the labels of the run {run.root} are not the classes of {dataset.root}",
            "Take runs that were trained on these photos, or give theirs as --data",
        )
    if record.dataset.sha256 != dataset.sha256:
        raise InputError(
            f"the run {run.root} was trained on {record.dataset.path}, not on the photos in "
            f"{dataset.root}: their test photos may be among its training photos",
            f"Take runs that were trained on these photos, or give --data {record.dataset.path}",
        )


def _taken(folder: Path) -> PlannedModel:
    run = Run.load(folder)
    return PlannedModel(run.name, run.record.spec, run.record.labels, folder)


def _trained(
    entry: ModelRecipe, dataset: Dataset, out: Path, force: bool, tensorboard: bool
) -> PlannedModel:
    architecture = ARCHITECTURES.get(entry.model or "")
    settings = resolve(architecture, dataset, entry.choices)
    folder = out / RUNS_FOLDER / entry.title
    job = TrainJob(architecture, dataset, settings, folder, tensorboard=tensorboard)
    planned = PlannedModel(entry.title, settings.spec, dataset.classes, folder)
    saved = _saved_settings(folder, settings)
    difference = None if saved is None else settings.difference(saved)
    if difference is not None and not force:
        raise InputError(
            f"{folder} was trained with {difference}",
            "Give the settings of then, choose another --out, or add --force to train it anew",
        )
    finished = (folder / RUN_FILE).is_file()
    if saved is not None and difference is None:
        return replace(planned, job=None if finished else replace(job, resume=True))
    check_folder(folder, resume=False, force=force)
    try:
        path = weights.resolve(architecture, settings.weights)
    except InputError as error:
        mine = f"for this model alone: --weights {entry.title}=…"
        raise InputError(error.problem, f"{error.remedy} ({mine})") from error
    if path is not None:
        architecture.check_weight_file(path)
    return replace(planned, job=replace(job, force=force))


def _saved_settings(folder: Path, settings: TrainSettings) -> TrainSettings | None:
    """Return what a finished or unfinished run was trained with; ``None`` if there is none."""
    if not (folder / RUN_FILE).is_file():
        if not checkpoint.checkpoint_path(folder).is_file():
            return None
        return checkpoint.read_record(folder).settings
    record = Run.load(folder).record
    training = record.training
    return replace(
        settings,
        spec=record.spec,
        dataset_sha256=record.dataset.sha256,
        epochs=training.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        label_smoothing=training.label_smoothing,
        weights=training.weights,
        augment=training.augment,
        precision=cast("Precision", training.precision),
        seed=training.seed,
    )
