"""Small studies from arrays, around a data set of real small photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgevit.data.dataset import SPLITS, Dataset, SkippedFile, SplitName
from edgevit.metrics import Scores
from edgevit.pages.gallery import Gallery
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.run import WEIGHTS_FILE
from edgevit.spec import ModelSpec, ParameterCounts
from edgevit.study.study import Layer, StudiedModel, Study
from edgevit.training.history import EpochRow
from tests.datasets import Counts, write_dataset
from tests.records import finish_run

SIZE = 16
PREPROCESSING = Preprocessing(SIZE, SIZE)
COUNTS = {"cat": (4, 1, 3), "dog": (4, 1, 3), "owl": (4, 1, 3)}


def make_dataset(
    root: Path,
    counts: Mapping[str, tuple[int, int, int]] = COUNTS,
    skipped: Sequence[SkippedFile] = (),
) -> Dataset:
    """Write photos of noise: so many for training, validation and test of each class."""

    def draw_noise(label: int, split: SplitName, number: int) -> Pixels:
        random = np.random.default_rng([label, SPLITS.index(split), number])
        noise = random.integers(0, 120, (4, 4, 3))
        noise[:, :, label % 3] += 130
        picture = Image.fromarray(noise.astype(np.uint8))
        return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))

    by_split: dict[str, Counts] = {
        name: dict(zip(SPLITS, of_class, strict=True)) for name, of_class in counts.items()
    }
    return write_dataset(root, by_split, draw_noise, source="noise", skipped=skipped)


def history_of(
    losses: Sequence[float],
    *,
    accuracies: Sequence[float] | None = None,
    has_validation: bool = True,
    seconds: Sequence[float] = (),
) -> tuple[EpochRow, ...]:
    """Return an epoch for each loss; validation is a tenth worse than training.

    Args:
        losses: Of the training, nats.
        accuracies: Of the training, 0–1; by default they rise towards 1.
        has_validation: Whether the run had validation photos.
        seconds: Of each epoch; 2 by default.
    """
    count = len(losses)
    rising = [(index + 1) / (count + 1) for index in range(count)]
    return tuple(
        EpochRow(
            epoch=index + 1,
            loss=loss,
            accuracy=accuracy,
            val_loss=1.1 * loss if has_validation else None,
            val_accuracy=0.9 * accuracy if has_validation else None,
            learning_rate=0.001,
            seconds=seconds[index] if seconds else 2.0,
            compiled=index == 0,
        )
        for index, (loss, accuracy) in enumerate(zip(losses, accuracies or rising, strict=True))
    )


def sure_of(answers: Sequence[int], class_count: int, certainty: float = 0.8) -> Scores:
    """Return probabilities, ``float32 [n, classes]``, that give each photo that answer."""
    rest = (1 - certainty) / (class_count - 1)
    scores = np.full((len(answers), class_count), rest, dtype=np.float32)
    scores[np.arange(len(answers)), np.asarray(answers, dtype=np.int64)] = certainty
    return scores


def make_model(
    root: Path,
    dataset: Dataset,
    probabilities: Scores,
    *,
    history: tuple[EpochRow, ...] | None = None,
    size: int = SIZE,
    device: str = "a training machine",
    **training: Any,
) -> StudiedModel:
    """Write a run without weights that gave those answers, and return it as studied.

    Args:
        root: Its folder; the name of the model.
        dataset: The photos.
        probabilities: Of the test photos.
        history: Of its epochs; three by default.
        size: Height and width of its input.
        device: Where its reference was computed.
        training: What its record says of the training, where it matters to the test.
    """
    root.mkdir(parents=True)
    (root / WEIGHTS_FILE).write_bytes(b"never read here")
    spec = ModelSpec("vit-tiny", len(dataset.classes), Preprocessing(size, size))
    run = finish_run(root, spec, dataset, np.log(np.maximum(probabilities, 1e-9)))
    record = replace(
        run.record,
        training=replace(run.record.training, **training),
        reference=replace(run.record.reference, device=device),
    )
    return StudiedModel(
        run=replace(run, record=record),
        history=history_of([2.0, 1.0, 0.5]) if history is None else history,
        parameters=ParameterCounts(trainable=90, non_trainable=10),
        layers=(Layer("head", "Dense", (len(dataset.classes),), 100),),
        probabilities=probabilities,
    )


def make_study(root: Path, dataset: Dataset, answers: Mapping[str, Sequence[int]]) -> Study:
    """Return a study of models that gave each test photo those answers, by their names."""
    size = len(dataset.classes)
    models = tuple(
        make_model(root / name, dataset, sure_of(given, size)) for name, given in answers.items()
    )
    return study_of(dataset, models)


def study_of(dataset: Dataset, models: Sequence[StudiedModel]) -> Study:
    """Return a study of those models, without exports."""
    labels = dataset.split("test").labels()
    return Study("A study", dataset, labels, tuple(models), bench=None, notes=())


def gallery_of(dataset: Dataset, split: SplitName) -> Gallery:
    """Return the photos of a split."""
    return Gallery(dataset, split, PREPROCESSING)
