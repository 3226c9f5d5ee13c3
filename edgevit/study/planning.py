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
from edgevit.training import checkpoint, history, weights
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
        run: The finished run; ``None`` if it is still to be trained.
        job: Its training; ``None`` for a finished run.
    """

    name: str
    spec: ModelSpec
    labels: tuple[str, ...]
    path: Path
    run: Run | None = None
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
    _refuse_copies(list(taken.values()))
    for planned in taken.values():
        if planned.run is not None:
            check_trained_on(planned.run, dataset)
    models = [
        taken.get(entry.title) or _trained(entry, dataset, out, force, tensorboard)
        for entry in recipe.model
    ]
    _refuse_unlike_pairs(models)
    return tuple(models)


def _refuse_copies(models: Sequence[PlannedModel]) -> None:
    first: dict[str, Path] = {}
    for model in models:
        if model.run is not None and first.setdefault(model.run.sha256, model.path) != model.path:
            raise InputError(
                f"{first[model.run.sha256]} and {model.path} are the same run", "Name it once"
            )


def _refuse_unlike_pairs(models: Sequence[PlannedModel]) -> None:
    # Being alike is transitive: comparing each with the first is enough.
    for other in models[1:]:
        refuse_unlike(models[0], other, across_sizes=True)


def check_trained_on(run: Run, dataset: Dataset) -> None:
    """Check that a run can be studied, and was trained on these photos, its test among them.

    Raises:
        InputError: naming both.
    """
    record = run.record
    ARCHITECTURES.get(record.spec.model)
    history.read_csv(run.root / history.HISTORY_FILE)
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
    return PlannedModel(run.name, run.record.spec, run.record.labels, folder, run)


def _trained(
    entry: ModelRecipe, dataset: Dataset, out: Path, force: bool, tensorboard: bool
) -> PlannedModel:
    architecture = ARCHITECTURES.get(entry.model or "")
    folder = out / RUNS_FOLDER / entry.title
    run, saved = _state_of(folder, force=force)
    # What is finished needs no GPU to be shown.
    choices = (
        entry.choices
        if run is None
        else replace(entry.choices, mixed_precision=False, multi_gpu=False)
    )
    settings = resolve(architecture, dataset, choices)
    if run is not None:
        settings = _on_hardware_of(settings, run, mixed=entry.mixed_precision)
        saved = _settings_of(run, settings)
    planned = PlannedModel(entry.title, settings.spec, dataset.classes, folder)
    job = TrainJob(architecture, dataset, settings, folder, tensorboard=tensorboard)
    difference = None if saved is None else settings.difference(saved)
    if saved is not None and difference is None:
        return replace(planned, run=run) if run else replace(planned, job=replace(job, resume=True))
    if difference is not None and not force:
        raise InputError(
            f"{folder} was trained with {difference}",
            "Give the settings of then, choose another --out, or add --force to train it anew",
        )
    check_folder(folder, resume=False, force=force)
    _check_weights(job, entry.title)
    return replace(planned, job=replace(job, force=force))


def _state_of(folder: Path, *, force: bool) -> tuple[Run | None, TrainSettings | None]:
    """Return the finished run, or what an unfinished one was begun with, if there is either.

    With ``force`` a damaged one counts as none.
    """
    try:
        if (folder / RUN_FILE).is_file():
            return Run.load(folder), None
        if checkpoint.checkpoint_path(folder).is_file():
            return None, checkpoint.read_record(folder).settings
    except InputError as error:
        if not force:
            raise InputError(error.problem, "Add --force to train it anew") from error
    return None, None


def _on_hardware_of(settings: TrainSettings, run: Run, *, mixed: bool) -> TrainSettings:
    """Take a finished run's precision for the one that is asked for, if both are mixed or not."""
    precision = cast("Precision", run.record.training.precision)
    if mixed != (precision != "float32"):
        precision = "mixed_bfloat16" if mixed else "float32"
    return replace(settings, precision=precision)


def _settings_of(run: Run, settings: TrainSettings) -> TrainSettings:
    """Return what a finished run was trained with; the devices, which it does not say, as given."""
    training = run.record.training
    return replace(
        settings,
        spec=run.record.spec,
        dataset_sha256=run.record.dataset.sha256,
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


def _check_weights(job: TrainJob, name: str) -> None:
    """Find the weights to start from before any model is trained for hours."""
    try:
        path = weights.resolve(job.architecture, job.settings.weights)
    except InputError as error:
        mine = f"for this model alone: --weights {name}=…"
        raise InputError(error.problem, f"{error.remedy} ({mine})") from error
    if path is not None:
        job.architecture.check_weight_file(path)
