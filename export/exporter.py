"""One run to bundles: the graph is built once, each (format, precision) climbs its own ladder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgevit import console, storage
from edgevit.bundle import (
    BUNDLE_FILE,
    LABELS_FILE,
    Bundle,
    BundleRecord,
    FloatLayersRecord,
    RungRecord,
    SourceRecord,
    render_labels,
    write_bundle,
)
from edgevit.errors import InputError
from edgevit.export import ladder as rungs
from edgevit.export.budget import float_layers_record, keep_in_float
from edgevit.export.job import ExportJob
from edgevit.export.ladder import CHECK_THREADS, Ladder, RoundingFailedError
from edgevit.export.lowering import FileDescription, Source
from edgevit.export.registry import Selection
from edgevit.machine import installed_versions
from edgevit.metrics import PairedDrop
from edgevit.run import Run
from edgevit.runtimes.registry import RUNTIMES

_FLOAT32_BYTES = 4
_CHOSEN_NOTE = (
    "Which layers are in float was chosen on the validation photos, so that their drop flatters: "
    "`edgevit evaluate` measures it on the test photos."
)


def bundle_path(exports: Path, run: Run, selection: Selection) -> Path:
    """Return ``exports/RUN.FORMAT.PRECISION``."""
    return exports / f"{run.name}.{selection.lowering.name}.{selection.precision}"


def export(
    job: ExportJob,
    selection: Selection,
    target: Path,
    *,
    announce: Callable[[RungRecord], None],
    force: bool = False,
) -> Bundle:
    """Make one bundle, or nothing.

    With a budget, a file that misses it – or that fails a check for too much rounding – is made
    again with its worst layers in float.

    Args:
        job: The run, its photos and what the user decided.
        selection: The format and precision.
        target: The bundle's folder.
        announce: Called with each rung of the ladder.
        force: Overwrite an existing bundle.

    Raises:
        CheckFailedError: if a rung of the ladder fails, or the budget cannot be met.
        InputError: if ``target`` exists and ``force`` is false.
    """
    storage.refuse_existing(target, force=force, marker=BUNDLE_FILE)
    check_budget(job)
    recipe, choices = selection.recipe, job.choices
    kept = choices.float_layers if recipe.may_keep_float else frozenset()
    if kept != choices.float_layers:
        console.note(f"--keep-float changes nothing in {selection.precision}")
    if choices.ranges and not recipe.calibrated:
        where = f"{selection.lowering.name} {selection.precision}"
        console.note(f"{where} calibrates nothing for this model: --ranges changes nothing")
    if kept and kept >= recipe.plan(job.graph).keys():
        raise InputError(
            f"no layer of {selection.precision} would be left in int8",
            "Keep fewer layers in float, or export fp32",
        )
    # The folder first: one that cannot be written is noticed before the work.
    with storage.folder_in_one_piece(target, force=force, marker=BUNDLE_FILE) as folder:
        notes: tuple[str, ...] = ()
        try:
            attempt = _attempt(job, selection, kept, folder, announce)
        except RoundingFailedError:
            if choices.max_drop_points is None or not recipe.may_keep_float:
                raise
            console.note("Too much was rounded: looking for the layers that must stay float")
            kept = keep_in_float(job, selection)
            attempt = _attempt(job, selection, kept, folder, announce)
            notes = (_CHOSEN_NOTE,)
        float_layers = None
        if kept:
            path = folder / selection.lowering.model_file
            float_layers = float_layers_record(job, selection, kept, path)
        record = _record(job, selection, folder, target.name, attempt, float_layers)
        record = replace(record, notes=(*record.notes, *notes))
        write_bundle(folder, record)
    return Bundle(root=target, record=record)


def check_budget(job: ExportJob) -> None:
    """Refuse a budget that cannot be checked.

    Raises:
        InputError: if it is no number, or there are no validation photos.
    """
    budget = job.choices.max_drop_points
    if budget is None:
        return
    if not math.isfinite(budget):
        raise InputError(f"a budget of {budget} points is none", "Give --max-drop a number: 0.5")
    if job.dataset is None or not job.dataset.split("val").photos:
        raise InputError(
            "--max-drop needs validation photos, and there are none",
            "Give the photos with --data DIR, prepared with --val-share above 0",
        )


@dataclass(frozen=True)
class _Attempt:
    """A file that climbed the ladder.

    Attributes:
        input_ranges: Number of products by where their input's range comes from, in words.
        file_names: What lies in the folder, the record aside.
        file: What the model file says about itself.
        placement: Number of ops by where they ran.
        rungs: Of the ladder.
        drop: On validation photos, if there are any.
    """

    input_ranges: dict[str, str]
    file_names: tuple[str, ...]
    file: FileDescription
    placement: dict[str, int]
    rungs: tuple[RungRecord, ...]
    drop: PairedDrop | None


def _attempt(
    job: ExportJob,
    selection: Selection,
    kept: frozenset[str],
    folder: Path,
    announce: Callable[[RungRecord], None],
) -> _Attempt:
    """Write the files and climb the ladder."""
    lowering, precision = selection.lowering, selection.precision
    file_names, source = _write(job, selection, kept, folder)
    ladder = Ladder(announce)
    away = "the run's photos are not here"
    if job.own_answers is None:
        ladder.skip("graph", away)
    else:
        rungs.check_graph(ladder, job.graph, job.own_answers)
    runtime = RUNTIMES.get(lowering.name)
    path = folder / lowering.model_file
    session = rungs.check_loads(ladder, lambda file: runtime.open(file, CHECK_THREADS), path)
    file = lowering.describe(path)
    rungs.check_shapes(ladder, file, job.run.record.spec, precision)
    least_exact = rungs.check_weights(ladder, file, source.graph, precision)
    rungs.check_values(ladder, session, job.held_out, precision, least_exact)
    rungs.check_arithmetic(ladder, file, precision, float_layers=len(kept))
    drop = None
    if job.validation is None:
        ladder.skip("accuracy", away if job.dataset is None else "no validation photos")
    else:
        budget = job.choices.max_drop_points
        drop = rungs.check_accuracy(ladder, session, job.validation, budget)
    ranges = _input_ranges(source)
    return _Attempt(ranges, file_names, file, session.placement().ops, ladder.rungs, drop)


def _write(
    job: ExportJob, selection: Selection, kept: frozenset[str], folder: Path
) -> tuple[tuple[str, ...], Source]:
    """Write the files; returns their names and what they were made from."""
    source = job.source(selection.recipe, kept)
    with console.step(f"Writing {selection.lowering.name} {selection.precision}"):
        files = selection.recipe.write(source)
    for name, data in files.items():
        storage.write_atomically(folder / name, data)
    storage.write_atomically(folder / LABELS_FILE, render_labels(job.run.record.labels))
    return (*files, LABELS_FILE), source


def _input_ranges(source: Source) -> dict[str, str]:
    counts = Counter(source.plan.values())
    if not counts:
        return {}
    text = ", ".join(f"{count} {operand}" for operand, count in sorted(counts.items()))
    return {"input ranges": text}


def _record(
    job: ExportJob,
    selection: Selection,
    folder: Path,
    name: str,
    attempt: _Attempt,
    float_layers: FloatLayersRecord | None,
) -> BundleRecord:
    run, lowering, recipe = job.run, selection.lowering, selection.recipe
    file = attempt.file
    return BundleRecord(
        name=name,
        format=lowering.name,
        precision=selection.precision,
        applied_precision={**recipe.applied, **attempt.input_ranges},
        float_layers=float_layers,
        op_dtypes=file.op_dtypes,
        placement=attempt.placement,
        spec=run.record.spec,
        labels=run.record.labels,
        model_file=lowering.model_file,
        fp32_weights_bytes=_FLOAT32_BYTES * job.graph.parameter_count,
        input=file.input,
        output=file.output,
        source=SourceRecord(
            run_name=run.name,
            run_path=str(run.root.resolve()),
            run_sha256=run.sha256,
            dataset=run.record.dataset,
            reference=run.record.reference,
            calibration_sha256=job.calibration_set.sha256 if recipe.calibrated else None,
            calibration_image_sha256=job.calibration_set.image_sha256 if recipe.calibrated else (),
            skipped_passes=tuple(sorted(job.choices.skipped_passes)),
            ranges=job.choices.ranges if recipe.calibrated else (),
        ),
        validation=attempt.drop,
        max_drop_points=job.choices.max_drop_points,
        ladder=attempt.rungs,
        notes=recipe.notes,
        versions=installed_versions(),
        files={each: storage.record_of(folder / each) for each in attempt.file_names},
    )
