"""An export job: a run with its photos, and what all of its files share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edgevit import console
from edgevit.calibration.sampling import CalibrationSet, sample
from edgevit.calibration.statistics import Calibration
from edgevit.calibration.store import MAKE_COMMAND, check_set, load_set
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.export.card import ModelCard
from edgevit.export.choices import NO_CHOICES, Choices
from edgevit.export.graph import DeployGraph
from edgevit.export.ladder import EvaluationImages
from edgevit.export.lowering import Recipe, Source
from edgevit.export.passes.catalogue import name_of
from edgevit.export.passes.exact import EXACT_PASSES, run_passes
from edgevit.export.plan import products_of, with_float
from edgevit.export.preparation import Preparation, Preparations
from edgevit.export.trained import trained_graph
from edgevit.metrics import softmax
from edgevit.run import Run

# Enough to see a broken export. A budget is measured on all validation photos.
VALIDATION_IMAGES = 128
GRAPH_IMAGES = 8
_PROBE_IMAGES = 2


@dataclass(frozen=True)
class ExportJob:
    """A run and the photos it was trained on; what several exports share is computed once.

    Attributes:
        run: The run.
        dataset: Its photos, or ``None`` where a given calibration set must do.
        given: A calibration set that the user names.
        choices: What the user decides.
    """

    run: Run
    dataset: Dataset | None
    given: CalibrationSet | None = None
    choices: Choices = NO_CHOICES

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
    def _preparations(self) -> Preparations:
        probe = self.calibration_set.held_out[:_PROBE_IMAGES]
        return Preparations(self.calibration, self.choices, probe)

    def preparation(self, recipe: Recipe) -> Preparation:
        """Return a calibrated recipe's graph and ranges; recipes that round alike share them.

        Raises:
            CheckFailedError: if a pass changed the graph's answers.
        """
        return self._preparations.of(recipe)

    def source(self, recipe: Recipe, float_layers: frozenset[str] = frozenset()) -> Source:
        """Return what a recipe's files are made from.

        Args:
            recipe: The recipe.
            float_layers: Products that stay float.

        Raises:
            CheckFailedError: if a pass changed the graph's answers.
        """
        if not recipe.calibrated:
            plan = with_float(recipe.plan(self.graph), float_layers)
            return Source(self.graph, self.card, plan)
        preparation = self.preparation(recipe)
        plan = with_float(preparation.plan, float_layers)
        return Source(preparation.graph(float_layers), self.card, plan, preparation.ranges)

    @cached_property
    def trained_graph(self) -> DeployGraph:
        """The deployment graph before the passes."""
        return trained_graph(self.run)

    @cached_property
    def graph(self) -> DeployGraph:
        """The deployment graph, after the exact passes."""
        with console.step("Building the deployment graph and checking its passes"):
            probe = self.calibration_set.held_out[:_PROBE_IMAGES]
            skipped = self.choices.skipped_passes
            passes = [each for each in EXACT_PASSES if name_of(each) not in skipped]
            graph, _ = run_passes(self.trained_graph, probe, passes)
        known = [op.name for op in products_of(graph)]
        for name in sorted(self.choices.float_layers - set(known)):
            raise InputError(
                f"there is no layer {name!r} to keep in float", f"Valid: {', '.join(known)}"
            )
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
        count = VALIDATION_IMAGES if self.choices.max_drop_points is None else len(labels)
        chosen = np.random.default_rng(0).permutation(len(labels))[:count]
        pixels = self.dataset.pixels("val", self.run.record.spec.preprocessing)[chosen]
        with console.step("Computing the full-precision answers on validation images"):
            return EvaluationImages(pixels, self.graph.evaluate(pixels), labels[chosen])


def open_job(
    run: Run,
    data: Path | None,
    calibration: Path | None = None,
    choices: Choices = NO_CHOICES,
) -> ExportJob:
    """Find a run's photos.

    Args:
        run: The run.
        data: The prepared photos; by default where they were when the run was trained.
        calibration: A calibration set on disk. With one, an export can do without the photos.
        choices: What the user decides.

    Raises:
        InputError: if they are not there, or are not the photos that the run was trained on; if
            the calibration set does not fit the run.
    """
    dataset = _find_photos(run, data, required=calibration is None)
    if calibration is None:
        return ExportJob(run, dataset, None, choices)
    given = load_set(calibration)
    forbidden = set(run.reference().image_sha256)
    if dataset is not None:
        forbidden.update(dataset.split("val").hashes(), dataset.split("test").hashes())
    check_set(
        given,
        str(calibration),
        preprocessing=run.record.spec.preprocessing,
        labels=run.record.labels,
        dataset_sha256=run.record.dataset.sha256,
        forbidden=forbidden,
    )
    return ExportJob(run, dataset, given, choices)


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
