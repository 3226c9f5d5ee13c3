"""The label that each model of a pack gives to each photo: run on a board and on this machine.

    python answers.py bench.zip answers.json

A result of ``edgevit bench`` compares every model with full precision; whether the *same file*
says the same on two processors only shows photo by photo.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from edgevit import documents
from edgevit.bench.pack import open_pack
from edgevit.bundle import Bundle
from edgevit.errors import EdgevitError
from edgevit.metrics import top_k
from edgevit.runtimes.classifier import open_classifier, predict_all

KIND = "edgevit.tests.answers"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelAnswers:
    """One model's best label for each photo.

    Attributes:
        labels: Empty where it could not be run.
        error: Why it could not.
    """

    format: str
    precision: str
    labels: tuple[int, ...]
    error: str | None


@dataclass(frozen=True)
class Answers:
    """All models' answers.

    Attributes:
        truth: The true label of each photo.
        models: By name.
    """

    truth: tuple[int, ...]
    models: dict[str, ModelAnswers]


def answer(path: Path) -> Answers:
    """Run every model of a pack on every photo, on one thread.

    Raises:
        InputError: if it is no pack.
    """
    with open_pack(path) as pack:
        photos = pack.evaluation
        models = {}
        for folder in pack.bundles:
            record = Bundle.load(folder).record
            labels: tuple[int, ...] = ()
            error = None
            try:
                session = open_classifier(folder, 1).session
                scores = predict_all(session, photos.pixels(record.spec.preprocessing), record.name)
                labels = tuple(top_k(scores, 1)[:, 0].tolist())
            except EdgevitError as problem:
                error = str(problem)
            models[record.name] = ModelAnswers(record.format, record.precision, labels, error)
        return Answers(tuple(photos.labels.tolist()), models)


def read_answers(path: Path) -> Answers:
    """Read what this script wrote.

    Raises:
        InputError: if the file is missing or damaged.
    """
    return documents.read(path, KIND, SCHEMA_VERSION, Answers)


if __name__ == "__main__":
    documents.write(Path(sys.argv[2]), KIND, SCHEMA_VERSION, answer(Path(sys.argv[1])))
