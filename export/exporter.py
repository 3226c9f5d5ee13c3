"""One run to bundles: the graph is built once, each (format, precision) climbs its own ladder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from edgevit.calibration.statistics import Calibration
from edgevit.calibration.store import MAKE_COMMAND, check_set, load_set
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.export import ladder as rungs
from edgevit.export.card import ModelCard
from edgevit.export.graph import DeployGraph
from edgevit.export.ladder import EvaluationImages, Ladder
from edgevit.export.lowering import FileDescription, Recipe, Source, unprepared
from edgevit.export.passes.exact import check_same, run_passes
from edgevit.export.registry import Selection
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
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ExportJob:
    """A run and the photos it was trained on; what several exports share is computed once.

    Attributes:
        run: The run.
        dataset: Its photos, or ``None`` where a given calibration set must do.
        given: A calibration set that the user names.
    """

    run: Run
    dataset: Dataset | None
    given: CalibrationSet | None = None

    @cached_property
    def calibration_set(self) -> CalibrationSet:
        """Training photos for ranges, and others for the check of the values."""
        if self.given is not None:
            return self.given
        assert self.dataset is not None  # open_job sees to it
        return sample(self.dataset, self.run.record.spec.preprocessing)

    @cached_property
    def calibration(self) -> Calibration:
        """The graph's activations on the calibration images."""
        return Calibration(self.graph, self.calibration_set.images)

    @cached_property
    def _prepared(self) -> dict[Callable[[Calibration], Calibration], Calibration]:
        return {unprepared: self.calibration}

    def source(self, recipe: Recipe) -> Source:
        """Return what a recipe's files are made from; formats share a preparation.

        Raises:
            CheckFailedError: if the preparation changed the graph's answers.
        """
        if not recipe.calibrated:
            return Source(self.graph, self.card)
        prepare = recipe.prepare
        if prepare not in self._prepared:
            prepared = prepare(self.calibration)
            probe = self.calibration_set.held_out[:_PROBE_IMAGES]
            answers = (graph.evaluate(probe) for graph in (self.graph, prepared.graph))
            check_same(prepare.__name__, *answers)
            self._prepared[prepare] = prepared
        calibration = self._prepared[prepare]
        _ = calibration.observed  # a step of its own, with its own name
        return Source(calibration.graph, self.card, calibration)

    @cached_property
    def trained_graph(self) -> DeployGraph:
        """The deployment graph before the passes."""
        spec = self.run.record.spec
        weights = self.run.weights()
        require_finite(weights, self.run.root)
        try:
            return ARCHITECTURES.get(spec.model).build_graph(spec, weights)
        except (KeyError, ValueError) as error:  # a tensor is missing or has another shape
            raise InputError(
                f"the weights of {self.run.root} are not those of a {spec.model} ({error})",
                "The run is damaged: copy it again, or train it again",
            ) from error

    @cached_property
    def graph(self) -> DeployGraph:
        """The deployment graph, after the exact passes."""
        with console.step("Building the deployment graph and checking its passes"):
            probe = self.calibration_set.held_out[:_PROBE_IMAGES]
            graph, _ = run_passes(self.trained_graph, probe)
        return graph

    @cached_property
    def card(self) -> ModelCard:
        """What every file says about itself."""
        record = self.run.record
        accuracy = record.reference.accuracy
        return ModelCard(
            name=self.run.name,
            description=f"{record.spec.model} with {len(record.labels)} classes; "
            f"{100 * accuracy.top1:.1f} % top-1 in full precision",
            labels=record.labels,
            preprocessing=record.spec.preprocessing,
            version=self.run.sha256[:12],
        )

    @cached_property
    def own_answers(self) -> EvaluationImages | None:
        """Some test photos with the answers that the run itself gave when it was trained."""
        if self.dataset is None:
            return None
        pixels = self.dataset.pixels("test", self.run.record.spec.preprocessing)[:GRAPH_IMAGES]
        logits = self.run.reference().logits[: len(pixels)]
        return EvaluationImages(np.asarray(pixels), softmax(logits))

    @cached_property
    def held_out(self) -> EvaluationImages:
        """Training photos without a part in the ranges, with the graph's answers."""
        pixels = self.calibration_set.held_out
        with console.step("Computing the full-precision answers on held-out images"):
            return EvaluationImages(pixels, self.graph.evaluate(pixels))

    @cached_property
    def validation(self) -> EvaluationImages | None:
        """Validation photos with the graph's answers; ``None`` if there are none."""
        if self.dataset is None or not self.dataset.split("val").photos:
            return None
        labels = self.dataset.split("val").labels()
        chosen = np.random.default_rng(0).permutation(len(labels))[:VALIDATION_IMAGES]
        pixels = self.dataset.pixels("val", self.run.record.spec.preprocessing)[chosen]
        with console.step("Computing the full-precision answers on validation images"):
            return EvaluationImages(pixels, self.graph.evaluate(pixels), labels[chosen])


def open_job(run: Run, data: Path | None, calibration: Path | None = None) -> ExportJob:
    """Find a run's photos.

    Args:
        run: The run.
        data: The prepared photos; by default where they were when the run was trained.
        calibration: A calibration set on disk. With one, an export can do without the photos.

    Raises:
        InputError: if they are not there, or are not the photos that the run was trained on; if
            the calibration set does not fit the run.
    """
    dataset = _find_photos(run, data, required=calibration is None)
    if calibration is None:
        return ExportJob(run, dataset)
    given = load_set(calibration)
    forbidden = set(run.reference().image_sha256)
    if dataset is not None:
        forbidden.update(dataset.split("val").hashes(), dataset.split("test").hashes())
    check_set(given, run.record.spec.preprocessing, forbidden, str(calibration))
    return ExportJob(run, dataset, given)


def _find_photos(run: Run, data: Path | None, *, required: bool) -> Dataset | None:
    recorded = run.record.dataset
    path = data or Path(recorded.path)
    if not path.is_dir():
        if data is None and not required:
            return None
        raise InputError(
            f"the photos of the run {run.root} are not at {path}",
            "Checks and int8 ranges need photos, never random data: say where they are with "
            f"--data DIR, or give --calibration SET, which `{MAKE_COMMAND}` makes",
        )
    dataset = Dataset.load(path)
    if dataset.sha256 != recorded.sha256:
        raise InputError(
            f"{path} is not the data set that the run {run.root} was trained on "
            f"(sha256 {dataset.sha256[:12]}…, trained on {recorded.sha256[:12]}…)",
            "Give that one with --data DIR",
        )
    if dataset.classes != run.record.labels:
        raise InputError(
            f"the labels of the run {run.root} are not the classes of {path}",
            "Its run.json was changed: copy the run again, or train it again",
        )
    return dataset


def bundle_path(exports: Path, run: Run, selection: Selection) -> Path:
    """Return ``exports/RUN.FORMAT.PRECISION``."""
    return exports / f"{run.name}.{selection.lowering.name}.{selection.precision}"


def export(
    job: ExportJob,
    selection: Selection,
    target: Path,
    *,
    announce: Callable[[RungRecord], None],
    max_drop_points: float | None = None,
    force: bool = False,
) -> Bundle:
    """Make one bundle, or nothing.

    Args:
        job: The run and its photos.
        selection: The format and precision.
        target: The bundle's folder.
        announce: Called with each rung of the ladder.
        max_drop_points: Budget of top-1 on validation photos, percentage points.
        force: Overwrite an existing bundle.

    Raises:
        CheckFailedError: if a rung of the ladder fails.
        InputError: if ``target`` exists and ``force`` is false.
    """
    storage.refuse_existing(target, force=force, marker=BUNDLE_FILE)
    check_budget(job, max_drop_points)
    labels = render_labels(job.run.record.labels)
    # The folder first: one that cannot be written is noticed before the work.
    with storage.folder_in_one_piece(target, force=force, marker=BUNDLE_FILE) as folder:
        source = job.source(selection.recipe)
        with console.step(f"Writing {selection.lowering.name} {selection.precision}"):
            files = selection.recipe.write(source)
        for name, data in files.items():
            storage.write_atomically(folder / name, data)
        storage.write_atomically(folder / LABELS_FILE, labels)
        names = (*files, LABELS_FILE)
        del files, data  # two copies of a large model would be too many for a small machine
        ladder = Ladder(announce)
        file, placement = _climb(ladder, job, selection, source.graph, folder, max_drop_points)
        record = _record(job, selection, folder, target.name, names, file, placement, ladder)
        write_bundle(folder, record)
    return Bundle(root=target, record=record)


def check_budget(job: ExportJob, max_drop_points: float | None) -> None:
    """Refuse a budget that cannot be checked.

    Raises:
        InputError: if it is no number, or there are no validation photos.
    """
    if max_drop_points is None:
        return
    if not math.isfinite(max_drop_points):
        raise InputError(
            f"a budget of {max_drop_points} points is none", "Give --max-drop a number, such as 0.5"
        )
    if job.dataset is None or not job.dataset.split("val").photos:
        raise InputError(
            "--max-drop needs validation photos, and there are none",
            "Give the photos with --data DIR, prepared with --val-share above 0",
        )


def _climb(
    ladder: Ladder,
    job: ExportJob,
    selection: Selection,
    graph: DeployGraph,
    folder: Path,
    max_drop_points: float | None,
) -> tuple[FileDescription, dict[str, int]]:
    lowering, precision = selection.lowering, selection.precision
    away = "the run's photos are not here"
    if job.own_answers is None:
        ladder.skip("graph", away)
    else:
        rungs.check_graph(ladder, job.graph, job.own_answers)
    runtime = RUNTIMES.get(lowering.name)
    path = folder / lowering.model_file
    session = rungs.check_loads(ladder, lambda file: runtime.open(file, _CHECK_THREADS), path)
    file = lowering.describe(path)
    rungs.check_shapes(ladder, file, job.run.record.spec, precision)
    least_exact = rungs.check_weights(ladder, file, graph, precision)
    rungs.check_values(ladder, session, job.held_out, precision, least_exact)
    rungs.check_arithmetic(ladder, file, precision)
    if job.validation is None:
        ladder.skip("accuracy", away if job.dataset is None else "no validation photos")
    else:
        rungs.check_accuracy(ladder, session, job.validation, max_drop_points)
    return file, session.placement().ops


def _record(
    job: ExportJob,
    selection: Selection,
    folder: Path,
    name: str,
    file_names: Sequence[str],
    file: FileDescription,
    placement: dict[str, int],
    ladder: Ladder,
) -> BundleRecord:
    run, lowering, recipe = job.run, selection.lowering, selection.recipe
    return BundleRecord(
        name=name,
        format=lowering.name,
        precision=selection.precision,
        applied_precision=dict(recipe.applied),
        op_dtypes=file.op_dtypes,
        placement=placement,
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
        ),
        ladder=ladder.rungs,
        notes=recipe.notes,
        versions=installed_versions(),
        files={file_name: storage.record_of(folder / file_name) for file_name in file_names},
    )
