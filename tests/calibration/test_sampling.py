from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.calibration.sampling import sample
from edgevit.data.dataset import Dataset, SplitName
from edgevit.data.prepare import prepare
from edgevit.errors import InputError
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


def put_into(dataset: Dataset, split: SplitName, hashes: set[str]) -> Dataset:
    """Say that a photo of the same bytes as each of these is in another split too."""
    twins = tuple(replace(p, split=split) for p in dataset.photos if p.sha256 in hashes)
    return replace(dataset, photos=(*dataset.photos, *twins))


def test_order_of_hashes_and_labels_is_the_images_when_drawn(dataset: Dataset) -> None:
    drawn = sample(dataset, PREPROCESSING, images=12, held_out=6)
    split = dataset.split("train")
    position = {sha256: index for index, sha256 in enumerate(split.hashes())}
    order = [position[sha256] for sha256 in drawn.image_sha256]
    pixels = dataset.pixels("train", PREPROCESSING)
    np.testing.assert_array_equal(np.concatenate([drawn.images, drawn.held_out]), pixels[order])
    assert drawn.labels == tuple(split.labels()[order])
    assert (drawn.geometry, drawn.seed) == (PREPROCESSING.geometry, 0)


@pytest.mark.parametrize("split", ["val", "test"])
def test_photos_are_left_out_when_they_are_in_another_split_too(
    dataset: Dataset, split: SplitName
) -> None:
    shared = set(sample(dataset, PREPROCESSING, images=12, held_out=6).image_sha256)
    train = dataset.split("train")
    drawn = sample(put_into(dataset, split, shared), PREPROCESSING, images=500, held_out=500)
    assert set(drawn.image_sha256) == set(train.hashes()) - shared
    assert len(drawn.images) + len(drawn.held_out) == len(train.photos) - 18


@pytest.mark.parametrize("left", [0, 1])
def test_sampling_is_refused_when_too_few_photos_are_in_no_other_split(
    dataset: Dataset, left: int
) -> None:
    shared = set(dataset.split("train").hashes()[left:])
    with pytest.raises(InputError, match=f"has {left} photos that are in no other"):
        sample(put_into(dataset, "test", shared), PREPROCESSING)


def test_one_photo_is_held_out_when_there_are_two(dataset: Dataset) -> None:
    shared = set(dataset.split("train").hashes()[2:])
    drawn = sample(put_into(dataset, "val", shared), PREPROCESSING)
    assert (len(drawn.images), len(drawn.held_out)) == (1, 1)
