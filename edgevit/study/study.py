"""A study: several models that were trained and tested on the same photos."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.bench.result import BenchResult
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import BatchNorm, Normalise, Op
from edgevit.export.trained import trained_graph
from edgevit.metrics import Labels, Scores, softmax
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import Run
from edgevit.spec import ParameterCounts
from edgevit.training.history import HISTORY_FILE, EpochRow, read_csv


@dataclass(frozen=True)
class Layer:
    """An op of the model, as ``edgevit sensitivity`` names it.

    Attributes:
        name: Of the op.
        kind: Such as ``Dense``.
        shape: Of its output for one photo.
        parameter_count: Weights of the trained layer.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameter_count: int


@dataclass(frozen=True)
class StudiedModel:
    """A run with what the study says of it.

    Attributes:
        run: The run.
        history: What training measured, epoch by epoch.
        parameters: Numbers of weights.
        layers: From the pixels to the answer.
        probabilities: Full-precision answers to the test photos, ``float32 [n, classes]``.
    """

    run: Run
    history: tuple[EpochRow, ...]
    parameters: ParameterCounts
    layers: tuple[Layer, ...]
    probabilities: Scores

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return self.run.name


@dataclass(frozen=True)
class Study:
    """Everything that the page of a study shows.

    Attributes:
        title: Of the page.
        dataset: The photos.
        labels: True labels of the test photos, ``int64 [n]``.
        models: In the order that the user named; their place gives each its colour.
        bench: Size, accuracy and latency of the exports; ``None`` if there are none.
        notes: What a reader must know, in words.
        failures: What is missing, and why.
    """

    title: str
    dataset: Dataset
    labels: Labels
    models: tuple[StudiedModel, ...]
    bench: BenchResult | None
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def studied_model(run: Run, dataset: Dataset) -> StudiedModel:
    """Read what a finished run says of itself.

    Args:
        run: Trained on ``dataset``.
        dataset: The photos.

    Raises:
        InputError: if a file of the run is missing or damaged, or has no answer to a test photo.
    """
    spec = run.record.spec
    return StudiedModel(
        run=run,
        history=read_csv(run.root / HISTORY_FILE),
        parameters=ARCHITECTURES.get(spec.model).parameter_counts(spec),
        layers=layers_of(trained_graph(run)),
        probabilities=_answers(run, dataset),
    )


def layers_of(graph: DeployGraph) -> tuple[Layer, ...]:
    """Return the ops of a trained graph; the parameters add up to those of the Keras model."""
    return tuple(
        Layer(op.name, type(op).__name__, graph.shapes[op.name], _trained_count(op))
        for op in graph.ops
    )


def _trained_count(op: Op) -> int:
    if isinstance(op, Normalise):  # fixed numbers of the preprocessing
        return 0
    held = sum(array.size for array in op.arrays().values())
    # Gain, bias, mean and variance, of which the graph keeps a factor and a term.
    return 2 * held if isinstance(op, BatchNorm) else held


def _answers(run: Run, dataset: Dataset) -> Scores:
    logits = run.reference().logits_of(dataset.split("test").hashes())
    if logits is None:
        raise InputError(
            f"the run {run.root} has no answers to the test photos of {dataset.root}",
            f"Train it on {dataset.root}",
        )
    return softmax(logits)
