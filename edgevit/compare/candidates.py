"""Models to be compared: read without a runtime, and refused where a comparison says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edgevit import storage
from edgevit.bench.accuracy import read_answers
from edgevit.bench.evaluation import DatasetPhotos
from edgevit.bundle import BUNDLE_FILE, Bundle, SourceRecord
from edgevit.errors import InputError
from edgevit.metrics import Scores, softmax
from edgevit.models.registry import ARCHITECTURES
from edgevit.pages import words
from edgevit.preprocessing import Preprocessing
from edgevit.run import WEIGHTS_FILE, DatasetReference, Run
from edgevit.runtimes.classifier import Kind, find_kind, open_classifier, predict_all
from edgevit.spec import ModelSpec


@dataclass(frozen=True)
class Candidate:
    """A verified run or bundle that is not opened yet.

    Attributes:
        name: Of the run or the bundle.
        path: Its folder, as it was given.
        format: What opens it, such as ``tflite``; a run is ``keras``.
        precision: Such as ``int8``; a run is ``fp32``.
        labels: In the order of its probabilities.
        dataset: The photos that it was trained on.
        run_name: The run that it is or comes from.
        run_sha256: Hash of the ``run.json``.
        record_sha256: Hash of the ``run.json`` or ``bundle.json``: equal ones are one model.
        size_bytes: Of the weights of a run, of the model file of a bundle.
        parameter_count: Of the architecture; ``None`` where this edgevit does not know it.
        calibration_image_sha256: Hash of each photo that its ranges were calibrated on; ``None``
            where that is not known.
    """

    name: str
    path: Path
    kind: Kind
    format: str
    precision: str
    spec: ModelSpec
    labels: tuple[str, ...]
    dataset: DatasetReference
    run_name: str
    run_sha256: str
    record_sha256: str
    size_bytes: int
    parameter_count: int | None
    calibration_image_sha256: tuple[str, ...] | None


def load_candidate(path: Path) -> Candidate:
    """Read a run's or a bundle's folder and check that every file is as it was written.

    Raises:
        InputError: if it is neither, or a file is missing or was changed.
    """
    return _of_bundle(path) if find_kind(path) == "bundle" else _of_run(path)


def _of_bundle(path: Path) -> Candidate:
    bundle = Bundle.load(path)
    record, source = bundle.record, bundle.record.source
    return Candidate(
        name=bundle.name,
        path=path,
        kind="bundle",
        format=record.format,
        precision=record.precision,
        spec=record.spec,
        labels=record.labels,
        dataset=source.dataset,
        run_name=source.run_name,
        run_sha256=source.run_sha256,
        record_sha256=storage.sha256_of_file(path / BUNDLE_FILE),
        size_bytes=bundle.model_size_bytes,
        parameter_count=_parameter_count(record.spec),
        calibration_image_sha256=_calibrated_on(source),
    )


def _calibrated_on(source: SourceRecord) -> tuple[str, ...] | None:
    if source.calibration_image_sha256 is None and source.calibration_sha256 is None:
        return ()  # it needed no photo
    return source.calibration_image_sha256


def _of_run(path: Path) -> Candidate:
    run = Run.load(path)
    record = run.record
    return Candidate(
        name=run.name,
        path=path,
        kind="run",
        format="keras",
        precision="fp32",
        spec=record.spec,
        labels=record.labels,
        dataset=record.dataset,
        run_name=run.name,
        run_sha256=run.sha256,
        record_sha256=run.sha256,
        size_bytes=record.files[WEIGHTS_FILE].size_bytes,
        parameter_count=_parameter_count(record.spec),
        calibration_image_sha256=(),
    )


def _parameter_count(spec: ModelSpec) -> int | None:
    if spec.model not in ARCHITECTURES.names():
        return None
    return ARCHITECTURES.get(spec.model).parameter_counts(spec).total


class Comparable(Protocol):
    """What must be known of a model to say whether it can be compared."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of its probabilities."""


def names_apart(first: Comparable, second: Comparable) -> tuple[str, str]:
    """Return what to call the two: their names, or their paths where the names are equal."""
    if first.name != second.name:
        return first.name, second.name
    return str(first.path), str(second.path)


def refuse_same(first: Candidate, second: Candidate) -> None:
    """Refuse to compare a model with itself.

    Raises:
        InputError: if both are the same run or the same bundle, or copies of it.
    """
    if first.record_sha256 == second.record_sha256:
        both = " and ".join(dict.fromkeys(map(str, (first.path, second.path))))
        problem = f"{both} are the same {first.kind}"
        if first.path == second.path:
            problem = f"{both} is given twice"
        raise InputError(problem, "Name two different models")


def refuse_unlike(first: Comparable, second: Comparable, *, across_sizes: bool = False) -> None:
    """Refuse two models whose answers to a photo cannot be set against each other.

    Args:
        first: One model.
        second: The other.
        across_sizes: Whether the image sizes may differ, at an equal aspect ratio: each model then
            sees the same part of the same photos at its own size.

    Raises:
        InputError: naming both models and their first difference: of labels, or of the geometry of
            the preprocessing. Normalisation is a part of each model, and may differ.
    """
    names = names_apart(first, second)
    _refuse_other_labels(first.labels, second.labels, names)
    _refuse_other_geometry(
        first.spec.preprocessing, second.spec.preprocessing, names, across_sizes=across_sizes
    )


def _refuse_other_labels(
    first: tuple[str, ...], second: tuple[str, ...], names: tuple[str, str]
) -> None:
    remedy = "Compare models that were trained on the same classes"
    if len(first) != len(second):
        raise InputError(
            f"{names[0]} has {len(first)} labels and {names[1]} has {len(second)}", remedy
        )
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        if one != other:
            order = ": the same labels in another order" if set(first) == set(second) else ""
            raise InputError(
                f"label {index} is {one!r} in {names[0]} and {other!r} in {names[1]}{order}", remedy
            )


def _refuse_other_geometry(
    first: Preprocessing, second: Preprocessing, names: tuple[str, str], *, across_sizes: bool
) -> None:
    if first.geometry == second.geometry:
        return
    is_cut_alike = (
        first.height * second.width == second.height * first.width
        and first.resize_mode == second.resize_mode
        and first.interpolation == second.interpolation
    )
    if is_cut_alike and across_sizes:
        return
    remedy = "Compare models of one aspect ratio, resize mode and interpolation"
    if is_cut_alike:
        remedy = "Add --across-sizes: each model then sees the same photos at its own size"
    raise InputError(
        f"{names[0]} takes photos as {_in_words(first)}, {names[1]} as {_in_words(second)}", remedy
    )


def _in_words(preprocessing: Preprocessing) -> str:
    return f"{size_text(preprocessing)} {preprocessing.resize_mode} {preprocessing.interpolation}"


def size_text(preprocessing: Preprocessing) -> str:
    """Return the image size, such as ``224×224``: height, then width."""
    return f"{preprocessing.height}×{preprocessing.width}"


def answers(candidate: Candidate, photos: DatasetPhotos, threads: int) -> tuple[Scores, str]:
    """Return a model's answers to all photos.

    A run's saved test answers are taken where they cover the photos, which needs no TensorFlow;
    else the model is opened.

    Args:
        candidate: The model.
        photos: Of its classes.
        threads: Of the CPU, if it is opened.

    Returns:
        Probabilities, ``float32 [n, classes]``, and where they come from, in words.

    Raises:
        InputError: if an answer is no number, or the photos are not to be had in its geometry.
        MissingDependencyError: if its runtime is not installed.
    """
    source = "saved by the run"
    probabilities = _saved_answers(candidate, photos)
    if probabilities is None:
        source = f"computed here, {words.counted(threads, 'thread')}"
        classifier = open_classifier(candidate.path, threads)
        pixels = photos.pixels(candidate.spec.preprocessing)
        probabilities = predict_all(classifier.session, pixels, f"Predicting {candidate.name}")
    if not np.isfinite(probabilities).all():
        remedy = "Train it again" if candidate.kind == "run" else "Export it again"
        raise InputError(f"{candidate.name} answers with NaN or infinity", remedy)
    return probabilities, source


def _saved_answers(candidate: Candidate, photos: DatasetPhotos) -> Scores | None:
    """Return a run's own answers, in the order of the photos; ``None`` if one is missing."""
    if candidate.kind != "run":
        return None
    logits = read_answers(candidate.path).logits_of(photos.image_sha256)
    return None if logits is None else softmax(logits)


def cautions(first: Candidate, second: Candidate, photos: DatasetPhotos) -> tuple[str, ...]:
    """Return what makes the comparison less than fair, as clauses without a full stop."""
    pair = tuple(zip(names_apart(first, second), (first, second), strict=True))
    own = [name for name, one in pair if one.dataset.sha256 == photos.dataset_sha256]
    foreign = [(name, one) for name, one in pair if name not in own]
    found = []
    if first.spec.preprocessing.geometry != second.spec.preprocessing.geometry:
        sizes = [f"{name} at {size_text(one.spec.preprocessing)}" for name, one in pair]
        found.append(f"Each model sees the photos at its own size: {words.listed(sizes)}")
    if own and photos.split == "train":
        were, it = ("was", "it") if len(own) == 1 else ("were", "they")
        found.append(
            f"{words.listed(own)} {were} trained on these photos: {it} may do worse on others"
        )
    if own and photos.split == "val":
        found.append(f"The best epoch of {words.listed(own)} was chosen by these photos")
    if len(foreign) == 1:
        ((name, one),) = foreign
        found.append(
            f"{name} was trained on another data set ({one.dataset.path}): its training photos "
            "may be among these"
        )
    elif foreign:
        names = " nor ".join(name for name, _ in foreign)
        found.append(
            f"Neither {names} was trained on this data set: their training photos may be among "
            "these"
        )
    for name, one in pair:
        if one.calibration_image_sha256 is None:
            found.append(
                f"{name} does not say which photos it was calibrated on: they may be among these"
            )
        elif seen := len(set(one.calibration_image_sha256) & set(photos.image_sha256)):
            these = words.counted(len(photos.labels), "photo")
            found.append(f"{name} was calibrated on {seen:,} of these {these}")
    return tuple(found)
