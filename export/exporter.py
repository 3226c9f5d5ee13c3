"""One run to bundles: the graph is built once, each (format, precision) climbs its own ladder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edgevit import console, storage
from edgevit.bundle import (
    BUNDLE_FILE,
    LABELS_FILE,
    Bundle,
    BundleRecord,
    RungRecord,
    SourceRecord,
    render_labels,
    write_bundle,
)
from edgevit.calibration.sampling import CalibrationSet, sample
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.export import ladder as rungs
from edgevit.export.graph import DeployGraph
from edgevit.export.ladder import EvaluationImages, Ladder
from edgevit.export.lowering import FileDescription, Lowered, Lowering
from edgevit.export.passes.exact import run_passes
from edgevit.export.precision import Precision
from edgevit.machine import installed_versions
from edgevit.metrics import softmax
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import Run, require_finite
from edgevit.runtimes.registry import RUNTIMES

# Enough to see a broken export; a claim about the drop is made by `edgevit bench`.
VALIDATION_IMAGES = 128
GRAPH_IMAGES = 8
_PROBE_IMAGES = 2
_CHECK_THREADS = 2


@dataclass(frozen=True)
class ExportJob:
    """A run and the photos it was trained on; what several exports share is computed once.

    Attributes:
        run: The run.
        dataset: Its photos; the hash is checked by :func:`open_job`.
    """

    run: Run
    dataset: Dataset

    @cached_property
    def calibration(self) -> CalibrationSet:
        """Training photos for ranges, and others for the check of the values."""
        return sample(self.dataset, self.run.record.spec.preprocessing)

    @cached_property
    def graph(self) -> DeployGraph:
        """The deployment graph, after the exact passes."""
        spec = self.run.record.spec
        weights = self.run.weights()
        require_finite(weights, self.run.root)
        with console.step("Building the deployment graph and checking its passes"):
            graph = ARCHITECTURES.get(spec.model).build_graph(spec, weights)
            graph, _ = run_passes(graph, self.calibration.held_out[:_PROBE_IMAGES])
        return graph

    @cached_property
    def own_answers(self) -> EvaluationImages:
        """Some test photos with the answers that the run itself gave when it was trained."""
        pixels = self.dataset.pixels("test", self.run.record.spec.preprocessing)[:GRAPH_IMAGES]
        logits = self.run.reference().logits[: len(pixels)]
        return EvaluationImages(np.asarray(pixels), softmax(logits))

    @cached_property
    def held_out(self) -> EvaluationImages:
        """Training photos without a part in the ranges, with the graph's answers."""
        pixels = self.calibration.held_out
        with console.step("Computing the full-precision answers on held-out images"):
            return EvaluationImages(pixels, self.graph.evaluate(pixels))

    @cached_property
    def validation(self) -> EvaluationImages | None:
        """Validation photos with the graph's answers; ``None`` if the split is empty."""
        labels = self.dataset.split("val").labels()
        if len(labels) == 0:
            return None
        chosen = np.random.default_rng(0).permutation(len(labels))[:VALIDATION_IMAGES]
        pixels = self.dataset.pixels("val", self.run.record.spec.preprocessing)[chosen]
        with console.step("Computing the full-precision answers on validation images"):
            return EvaluationImages(pixels, self.graph.evaluate(pixels), labels[chosen])


def open_job(run: Run, data: Path | None) -> ExportJob:
    """Find a run's photos.

    Args:
        run: The run.
        data: The prepared photos; by default where they were when the run was trained.

    Raises:
        InputError: if they are not there, or are not the photos that the run was trained on.
    """
    recorded = run.record.dataset
    path = data or Path(recorded.path)
    if not path.is_dir():
        raise InputError(
            f"the photos of the run {run.root} are not at {path}",
            "Checks and int8 ranges need them: say where they are with --data DIR",
        )
    dataset = Dataset.load(path)
    if dataset.sha256 != recorded.sha256:
        raise InputError(
            f"{path} is not the data set that the run {run.root} was trained on "
            f"(sha256 {dataset.sha256[:12]}…, trained on {recorded.sha256[:12]}…)",
            "Give that one with --data DIR",
        )
    return ExportJob(run, dataset)


def bundle_path(exports: Path, run: Run, lowering: Lowering, precision: Precision) -> Path:
    """Return ``exports/RUN.FORMAT.PRECISION``."""
    return exports / f"{run.name}.{lowering.name}.{precision}"


def export(
    job: ExportJob,
    lowering: Lowering,
    precision: Precision,
    target: Path,
    *,
    announce: Callable[[RungRecord], None],
    max_drop_points: float | None = None,
    force: bool = False,
) -> Bundle:
    """Make one bundle, or nothing.

    Args:
        job: The run and its photos.
        lowering: The format.
        precision: One of the lowering's.
        target: The bundle's folder.
        announce: Called with each rung of the ladder.
        max_drop_points: Budget of top-1 on validation photos, percentage points.
        force: Overwrite an existing bundle.

    Raises:
        CheckFailedError: if a rung of the ladder fails.
        InputError: if ``target`` exists and ``force`` is false.
    """
    storage.refuse_existing(target, force=force, marker=BUNDLE_FILE)
    _check_budget(job, max_drop_points)
    labels = render_labels(job.run.record.labels)
    # The folder first: one that cannot be written is noticed before the work.
    with storage.folder_in_one_piece(target, force=force, marker=BUNDLE_FILE) as folder:
        calibrated = lowering.needs_calibration(job.graph, precision)
        images = job.calibration.images if calibrated else None
        with console.step(f"Writing {lowering.name} {precision}"):
            lowered = lowering.lower(job.graph, precision, images)
        storage.write_atomically(folder / lowering.model_file, lowered.data)
        storage.write_atomically(folder / LABELS_FILE, labels)
        ladder = Ladder(announce)
        file = _climb(ladder, job, lowering, precision, folder, max_drop_points)
        record = _record(job, lowering, precision, folder, target.name, lowered, file, ladder)
        write_bundle(folder, record)
    return Bundle(root=target, record=record)


def _check_budget(job: ExportJob, max_drop_points: float | None) -> None:
    if max_drop_points is None:
        return
    if not math.isfinite(max_drop_points):
        raise InputError(
            f"a budget of {max_drop_points} points is none", "Give --max-drop a number, such as 0.5"
        )
    if not job.dataset.split("val").photos:
        raise InputError(
            "--max-drop needs validation photos, and the data set has none",
            "Prepare it with --val-share above 0",
        )


def _climb(
    ladder: Ladder,
    job: ExportJob,
    lowering: Lowering,
    precision: Precision,
    folder: Path,
    max_drop_points: float | None,
) -> FileDescription:
    rungs.check_graph(ladder, job.graph, job.own_answers)
    runtime = RUNTIMES.get(lowering.name)
    path = folder / lowering.model_file
    session = rungs.check_loads(ladder, lambda file: runtime.open(file, _CHECK_THREADS), path)
    file = lowering.describe(path)
    rungs.check_shapes(ladder, file, job.run.record.spec)
    rungs.check_weights(ladder, file, job.graph, precision)
    rungs.check_values(ladder, session, job.held_out, precision)
    rungs.check_arithmetic(ladder, file, precision)
    if job.validation is not None:
        rungs.check_accuracy(ladder, session, job.validation, max_drop_points)
    return file


def _record(
    job: ExportJob,
    lowering: Lowering,
    precision: Precision,
    folder: Path,
    name: str,
    lowered: Lowered,
    file: FileDescription,
    ladder: Ladder,
) -> BundleRecord:
    run = job.run
    calibrated = lowering.needs_calibration(job.graph, precision)
    return BundleRecord(
        name=name,
        format=lowering.name,
        precision=precision,
        applied_precision=lowered.applied_precision,
        op_dtypes=file.op_dtypes,
        spec=run.record.spec,
        labels=run.record.labels,
        model_file=lowering.model_file,
        input=file.input,
        output=file.output,
        source=SourceRecord(
            run_name=run.name,
            run_path=str(run.root.resolve()),
            run_sha256=run.sha256,
            dataset=run.record.dataset,
            reference=run.record.reference,
            calibration_sha256=job.calibration.sha256 if calibrated else None,
        ),
        ladder=ladder.rungs,
        versions=installed_versions(),
        files={
            file_name: storage.record_of(folder / file_name)
            for file_name in (lowering.model_file, LABELS_FILE)
        },
    )
