"""Does a study step by step: train, export, measure. What is finished is not done again."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit import console, documents, storage
from edgevit.bench.harness import Plan, check_threads, run_bench
from edgevit.bench.protocol import FULL, QUICK, SHORT
from edgevit.bench.result import BenchResult
from edgevit.bench.targets.registry import resolve
from edgevit.bundle import BUNDLE_FILE, Bundle, RungRecord
from edgevit.data.dataset import DATASET_FILE, Dataset
from edgevit.errors import CheckFailedError, EdgevitError, InputError
from edgevit.export.exporter import bundle_path, export
from edgevit.export.job import ExportJob, open_job
from edgevit.export.registry import ALL, Selection, check_names, select
from edgevit.machine import describe_machine
from edgevit.run import RUN_FILE, Run
from edgevit.runtimes.registry import require_runtime
from edgevit.study.planning import PlannedModel, plan_models
from edgevit.study.recipe import ExportsRecipe, Recipe
from edgevit.study.study import Study, studied_model
from edgevit.training.job import run_job

STUDY_FILE = "study.json"
KIND = "edgevit.study"
SCHEMA_VERSION = 1
EXPORTS_FOLDER = "exports"
_PROTOCOLS = {protocol.name: protocol for protocol in (SHORT, QUICK, FULL)}


@dataclass(frozen=True)
class StudyRecord:
    """The body of ``study.json``, which marks a folder as a study's, and says what it was.

    Attributes:
        recipe: What was asked for.
        data: The photos.
        dataset_sha256: Hash of their record.
    """

    recipe: Recipe
    data: str
    dataset_sha256: str


@dataclass(frozen=True)
class _Losses:
    """What the study lacks: left out on purpose, or failed."""

    notes: list[str]
    failures: list[str]


def run_study(
    recipe: Recipe, dataset: Dataset, out: Path, *, force: bool = False, tensorboard: bool = False
) -> Study:
    """Train what is not trained, export what is not exported, measure what is not measured.

    A training or an export that fails costs its model or file, and no other; the study's notes
    say so.

    Args:
        recipe: What to do.
        dataset: The photos.
        out: The study's folder.
        force: Train anew what was trained with other settings.
        tensorboard: Write TensorBoard's logs while training.

    Raises:
        InputError: before any work, if something asked for cannot be done.
        CheckFailedError: if no model could be trained.
        StoppedError: if a signal came; the same call continues.
    """
    _check_folder(out, dataset)
    _check_exports(recipe.exports)
    planned = plan_models(recipe, dataset, out, force=force, tensorboard=tensorboard)
    out.mkdir(parents=True, exist_ok=True)
    with storage.locked(out, "study"):
        return _run_planned(planned, recipe, dataset, out)


def _run_planned(
    planned: Sequence[PlannedModel], recipe: Recipe, dataset: Dataset, out: Path
) -> Study:
    record = StudyRecord(recipe, str(dataset.root.resolve()), dataset.sha256)
    documents.write(out / STUDY_FILE, KIND, SCHEMA_VERSION, record)
    losses = _Losses([], [])
    runs = _train(planned, losses)
    bundles = _export(runs, dataset, recipe.exports, out / EXPORTS_FOLDER, losses)
    bench = _measure(bundles, dataset, recipe.exports, out) if bundles else None
    return Study(
        title=recipe.title,
        dataset=dataset,
        labels=dataset.split("test").labels(),
        models=tuple(studied_model(run, dataset) for run in runs),
        bench=bench,
        notes=tuple(losses.notes),
        failures=tuple(losses.failures),
    )


def _check_folder(out: Path, dataset: Dataset) -> None:
    photos = Path(dataset.record.source).resolve()
    for folder in (out.resolve(), *out.resolve().parents):
        is_taken = (folder / DATASET_FILE).is_file() or (folder / RUN_FILE).is_file()
        if is_taken or folder == photos:
            raise InputError(
                f"{out} is inside {folder}, which holds photos or a run",
                "Choose another --out",
            )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", "Give a folder as --out")
    if out.is_dir() and any(out.iterdir()) and not (out / STUDY_FILE).is_file():
        raise InputError(
            f"{out} holds other things (it has no {STUDY_FILE}), so no study is written into it",
            "Choose another --out, or empty the folder yourself",
        )


def _check_exports(exports: ExportsRecipe) -> None:
    if not exports.formats:
        return
    check_names(exports.formats, exports.precisions)
    for name in exports.formats:
        if name != ALL:
            require_runtime(name)
    for threads in exports.threads:
        check_threads(threads)


def _train(planned: Sequence[PlannedModel], losses: _Losses) -> list[Run]:
    """Train one model after another; returns the finished runs."""
    runs = []
    errors: list[EdgevitError] = []
    for number, model in enumerate(planned, start=1):
        place = f"Model {number} of {len(planned)}, {model.name}"
        if model.run is not None:
            console.note(f"{place}: trained already, in {model.path}")
            runs.append(model.run)
            continue
        assert model.job is not None  # what is not finished is to be trained
        verb = "continuing" if model.job.resume else "training"
        console.note(f"{place}: {verb}, {model.job.settings.epochs:,} epochs")
        try:
            run_job(model.job)
        except (CheckFailedError, InputError) as error:  # the other models may still do
            errors.append(_with_remedy(error, model))
            console.note(f"{model.name} failed: {errors[-1]}")
            losses.failures.append(f"{model.name} is missing, its training failed: {errors[-1]}")
        else:
            runs.append(Run.load(model.path))
        _forget_models()
    if not runs:
        raise errors[0]
    return runs


def _with_remedy(error: EdgevitError, model: PlannedModel) -> EdgevitError:
    """Say what helps in a study, where a training that cannot be resumed."""
    if isinstance(error, CheckFailedError) or model.job is None or not model.job.resume:
        return error
    return InputError(error.problem, f"Remove {model.path} and call the study again")


def _forget_models() -> None:
    """Free what Keras keeps of a finished training."""
    import keras

    keras.utils.clear_session(free_memory=True)
    gc.collect()


def _export(
    runs: Sequence[Run],
    dataset: Dataset,
    exports: ExportsRecipe,
    folder: Path,
    losses: _Losses,
) -> list[Path]:
    """Export what is not there yet; returns the bundles of these runs."""
    made: list[Path] = []
    for run in runs if exports.formats else ():
        there = _all_there(run, exports, folder)
        if there:
            console.note(f"Exported already: {', '.join(path.name for path in there)}")
            made += there
            continue
        try:
            job = open_job(run, dataset.root)
            selections = _selections(job, exports, losses)
        except EdgevitError as error:
            losses.failures.append(f"{run.name} could not be exported: {error}")
            continue
        for target, selection in _with_targets(folder, run, selections):
            if _is_export_of(target, run):
                console.note(f"Exported already: {target}")
                made.append(target)
                continue
            try:
                _export_one(job, selection, target)
            except EdgevitError as error:
                console.note(f"{target.name} failed: {error}")
                losses.failures.append(f"{target.name} is missing, its export failed: {error}")
            else:
                made.append(target)
    return made


def _selections(job: ExportJob, exports: ExportsRecipe, losses: _Losses) -> list[Selection]:
    """Return what can be exported; a pair that cannot be made costs no other."""
    found: list[Selection] = []
    for format_name in dict.fromkeys(exports.formats):
        for precision in dict.fromkeys(exports.precisions):
            try:
                chosen, left_out = select(job.graph, [format_name], [precision])
            except InputError as error:
                losses.failures.append(f"{job.run.name} has no such export: {error}")
                continue
            found += [selection for selection in chosen if selection not in found]
            losses.notes.extend(f"{job.run.name}: {problem}" for problem in left_out)
    return found


def _all_there(run: Run, exports: ExportsRecipe, folder: Path) -> list[Path]:
    """Return the bundles that are asked for, if all of them are there."""
    if ALL in (*exports.formats, *exports.precisions):
        return []
    targets = [
        folder / f"{run.name}.{format_name}.{precision}"
        for format_name in dict.fromkeys(exports.formats)
        for precision in dict.fromkeys(exports.precisions)
    ]
    return targets if all(_is_export_of(target, run) for target in targets) else []


def _with_targets(
    folder: Path, run: Run, selections: Sequence[Selection]
) -> Iterator[tuple[Path, Selection]]:
    return ((bundle_path(folder, run, selection), selection) for selection in selections)


def _is_export_of(target: Path, run: Run) -> bool:
    if not (target / BUNDLE_FILE).is_file():
        return False
    try:
        return Bundle.load(target).run_sha256 == run.sha256
    except InputError:  # damaged, or of an older edgevit: it is made anew
        return False


def _export_one(job: ExportJob, selection: Selection, target: Path) -> None:
    console.note(f"Exporting {target}")
    require_runtime(selection.lowering.name)
    export(job, selection, target, announce=_say_if_failed, force=True)


def _say_if_failed(rung: RungRecord) -> None:
    if rung.passed is False:
        console.note(f"  {rung.name}: {rung.detail}")


def _measure(
    bundles: Sequence[Path], dataset: Dataset, exports: ExportsRecipe, folder: Path
) -> BenchResult:
    """Measure the exports; rows that were measured already on this machine are kept."""
    machine = describe_machine()
    # A file for each protocol: an hour's measurement is not replaced by one of seconds.
    out = folder / f"bench.{exports.protocol}.json"
    plan = Plan(
        paths=tuple(bundles),
        target=resolve("auto", machine),
        threads=exports.threads,
        protocol=_PROTOCOLS[exports.protocol],
        photos=dataset.root.resolve(),
    )
    console.note(f"Measuring {len(bundles)} exports, {plan.protocol.name} protocol")
    try:
        result = run_bench(plan, out, resume=True)
    except InputError as error:
        if not out.exists():
            raise
        aside = out.with_suffix(".old.json")
        console.note(f"{error.problem}: it is kept as {aside.name}")
        out.replace(aside)
        result = run_bench(plan, out)
    names = {path.name for path in bundles}
    # An earlier call may have measured what this one does not ask for.
    rows = tuple(r for r in result.rows if r.name in names and r.threads in exports.threads)
    return dataclasses.replace(result, rows=rows)
