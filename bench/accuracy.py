"""Accuracy on photos, paired image by image with the full-precision run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edgevit import documents, storage
from edgevit.bench.evaluation import EvaluationSet
from edgevit.errors import InputError
from edgevit.metrics import Accuracy, Labels, PairedDrop, Scores, accuracy, paired_drop
from edgevit.run import (
    KIND,
    REFERENCE_FILE,
    RUN_FILE,
    SCHEMA_VERSION,
    Reference,
    RunRecord,
    read_reference,
)
from edgevit.runtimes.classifier import Classifier, predict_all


@dataclass(frozen=True)
class AccuracyResult:
    """How well a classifier does, and what it lost against full precision.

    Attributes:
        accuracy: On all photos of the split.
        paired: Against the run's saved answers on the same photos; ``None`` without them.
        unpaired_drop_points: The recorded top-1 of the run minus this top-1, percentage points,
            where the photos are the same but the run's answers are not here; else ``None``.
        notes: Why there is no paired drop, or on how many of the photos it rests.
    """

    accuracy: Accuracy
    paired: PairedDrop | None
    unpaired_drop_points: float | None
    notes: tuple[str, ...]


def evaluate(classifier: Classifier, photos: EvaluationSet) -> AccuracyResult:
    """Predict all photos and compare with the run's saved answers.

    Raises:
        InputError: if the classes are not those of the model.
    """
    check_classes(classifier, photos)
    pixels = photos.pixels(classifier.spec.preprocessing)
    probabilities = predict_all(classifier.session, pixels, f"Predicting {classifier.name}")
    labels = photos.labels
    measured = accuracy(probabilities, labels)
    if photos.split != "test":
        note = f"the run's answers are kept for the test split, so {photos.split} has no drop"
        return AccuracyResult(measured, None, None, (note,))
    try:
        reference = find_reference(classifier)
    except InputError as error:
        return _unpaired(classifier, photos, measured, str(error))
    return judge(probabilities, photos, reference)


def judge(probabilities: Scores, photos: EvaluationSet, reference: Reference) -> AccuracyResult:
    """Score answers to all photos, and compare them with the run's own.

    Args:
        probabilities: ``float32 [n, classes]``.
        photos: The ``n`` photos.
        reference: The full-precision answers.
    """
    measured = accuracy(probabilities, photos.labels)
    paired, count = pair(reference, probabilities, photos.labels, photos.image_sha256)
    notes: tuple[str, ...] = ()
    if paired is None:
        notes = ("none of the photos is in the run's test split, so no drop can be stated",)
    elif count < len(photos.labels):
        notes = (f"the drop rests on the {count} of {len(photos.labels)} photos that the run saw",)
    return AccuracyResult(measured, paired, None, notes)


class Labelled(Protocol):
    """What names its classes: a classifier, or a bundle."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of its probabilities."""


def check_classes(model: Labelled, photos: EvaluationSet) -> None:
    """Check that the photos' classes are the model's labels, in the same order.

    Raises:
        InputError: naming the first difference.
    """
    classes, labels = photos.classes, model.labels
    remedy = "Give --data the data set that the run was trained on"
    if len(classes) != len(labels):
        raise InputError(
            f"the data set has {len(classes)} classes, {model.name} has {len(labels)}", remedy
        )
    for index, (of_photos, of_model) in enumerate(zip(classes, labels, strict=True)):
        if of_photos != of_model:
            raise InputError(
                f"class {index} is {of_photos!r} in the data set and {of_model!r} in {model.name}",
                remedy,
            )


class Origin(Protocol):
    """What a model says about the run that it comes from: a classifier, or a bundle."""

    @property
    def name(self) -> str:
        """Of the model."""

    @property
    def run_name(self) -> str:
        """Of the run."""

    @property
    def run_paths(self) -> tuple[Path, ...]:
        """Where the run may be; hints, the hash decides."""

    @property
    def run_sha256(self) -> str:
        """Hash of the ``run.json``."""


def find_reference(origin: Origin) -> Reference:
    """Read the full-precision answers of the run that a model comes from.

    Only ``run.json`` and ``reference.npz`` are read, so that a device needs no weights.

    Raises:
        InputError: if the run is not here, is another one, or its answers were changed.
    """
    return read_answers(find_run(origin))


def read_answers(run: Path) -> Reference:
    """Read a run's full-precision answers, without its weights.

    Raises:
        InputError: if they are missing or were changed.
    """
    record = documents.read(run / RUN_FILE, KIND, SCHEMA_VERSION, RunRecord)
    if REFERENCE_FILE not in record.files:
        raise InputError(f"{run / RUN_FILE} records no {REFERENCE_FILE}", "Train the run again")
    storage.verify_files(
        run, {REFERENCE_FILE: record.files[REFERENCE_FILE]}, "Copy the run's files again"
    )
    return read_reference(run / REFERENCE_FILE)


def find_run(origin: Origin) -> Path:
    """Return the folder of the run that a model comes from.

    Raises:
        InputError: if it is not here, or what is here is another run.
    """
    tried = tuple(path for path in origin.run_paths if (path / RUN_FILE).is_file())
    if not tried:
        raise InputError(
            f"the run {origin.run_name} is not here",
            f"Copy its {RUN_FILE} and {REFERENCE_FILE} to {origin.run_paths[-1]} for a paired drop",
        )
    for path in tried:
        if storage.sha256_of_file(path / RUN_FILE) == origin.run_sha256:
            return path
    raise InputError(
        f"the run at {tried[0]} is not the one that {origin.name} was exported from "
        f"(the sha256 of its {RUN_FILE} differs)",
        "Export it again from that run for a paired drop",
    )


def pair(
    reference: Reference, probabilities: Scores, labels: Labels, hashes: tuple[str, ...]
) -> tuple[PairedDrop | None, int]:
    """Compare on the photos that both have, matched by the hash of their files.

    Args:
        reference: The full-precision answers.
        probabilities: The candidate's, ``float32 [n, classes]``.
        labels: ``int64 [n]``.
        hashes: Of the ``n`` photo files.

    Returns:
        The drop, or ``None`` if no photo matches, and the number of photos it rests on.
    """
    position = {sha256: index for index, sha256 in enumerate(reference.image_sha256)}
    mine = np.array([i for i, sha256 in enumerate(hashes) if sha256 in position], dtype=np.int64)
    if len(mine) == 0:
        return None, 0
    theirs = np.array([position[hashes[index]] for index in mine], dtype=np.int64)
    return paired_drop(reference.logits[theirs], probabilities[mine], labels[mine]), len(mine)


def _unpaired(
    classifier: Classifier, photos: EvaluationSet, measured: Accuracy, reason: str
) -> AccuracyResult:
    recorded = classifier.reference.accuracy
    same = photos.dataset_sha256 == classifier.dataset.sha256
    if not same or measured.image_count != recorded.image_count:
        note = f"{reason}; the photos are not all those of the run's test, so no drop can be stated"
        return AccuracyResult(measured, None, None, (note,))
    drop_points = 100.0 * (recorded.top1 - measured.top1)
    note = f"{reason}. Until then the drop is unpaired: a difference of two accuracies"
    return AccuracyResult(measured, None, drop_points, (note,))
