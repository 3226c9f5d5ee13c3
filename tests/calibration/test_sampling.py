from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgevit.calibration.sampling import sample
from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.preprocessing import Preprocessing
from tests.conftest import save_classes

PREPROCESSING = Preprocessing(16, 16)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    save_classes(tmp_path / "photos", {"a": 40, "b": 20, "c": 20})
    return prepare(tmp_path / "photos", tmp_path / "data", preprocessing=PREPROCESSING)


def labels_of(images: np.ndarray, dataset: Dataset, split: str) -> list[int]:
    """Find each image in a split; one that is not there has no label."""
    pixels = dataset.pixels(split, PREPROCESSING)
    labels = dataset.split(split).labels()
    known = {bytes(p): int(label) for p, label in zip(pixels, labels, strict=True)}
    return [known[bytes(image)] for image in images if bytes(image) in known]


def test_images_come_from_training_when_drawn(dataset: Dataset) -> None:
    drawn = sample(dataset, PREPROCESSING, images=12, held_out=6)
    together = np.concatenate([drawn.images, drawn.held_out])
    assert len(labels_of(together, dataset, "train")) == 18
    assert labels_of(together, dataset, "val") == labels_of(together, dataset, "test") == []


def test_classes_are_even_when_one_has_more_photos(dataset: Dataset) -> None:
    drawn = sample(dataset, PREPROCESSING, images=12, held_out=6)
    assert Counter(labels_of(drawn.images, dataset, "train")) == {0: 4, 1: 4, 2: 4}


def test_held_out_is_apart_when_drawn(dataset: Dataset) -> None:
    drawn = sample(dataset, PREPROCESSING, images=12, held_out=6)
    assert not {bytes(i) for i in drawn.images} & {bytes(i) for i in drawn.held_out}


def test_draw_is_the_same_when_the_seed_is(dataset: Dataset) -> None:
    first, again = (sample(dataset, PREPROCESSING, images=12, held_out=6) for _ in range(2))
    other = sample(dataset, PREPROCESSING, images=12, held_out=6, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    assert first.sha256 == again.sha256 != other.sha256


def test_both_parts_are_filled_when_photos_are_few(dataset: Dataset) -> None:
    drawn = sample(dataset, PREPROCESSING, images=500, held_out=500)
    train = len(dataset.split("train").photos)
    assert (len(drawn.images), len(drawn.held_out)) == (train * 2 // 3, train - train * 2 // 3)
