from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.bench.evaluation import (
    DatasetPhotos,
    PackedPhotos,
    evenly_chosen,
    write_photos,
)
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from tests.bench.standin import SPEC, TEST_PHOTOS_PER_COLOUR, photo_of


@pytest.fixture
def packed(tmp_path: Path, dataset: Dataset) -> PackedPhotos:
    write_photos(tmp_path / "evaluation", DatasetPhotos(dataset), [SPEC.preprocessing] * 2)
    return PackedPhotos(tmp_path / "evaluation", "bench.zip")


def test_dataset_photos_are_the_test_split_when_all_are_wanted(dataset: Dataset) -> None:
    photos = DatasetPhotos(dataset)
    assert photos.image_sha256 == dataset.split("test").hashes()
    np.testing.assert_array_equal(photos.labels, dataset.split("test").labels())
    rows = photos.pixels(SPEC.preprocessing)
    np.testing.assert_array_equal(rows[:], dataset.pixels("test", SPEC.preprocessing))
    np.testing.assert_array_equal(rows[2:3][0], photo_of("blue", 2002))


def test_dataset_photos_keep_pixels_labels_and_hashes_together_when_limited(
    dataset: Dataset,
) -> None:
    every, some = DatasetPhotos(dataset), DatasetPhotos(dataset, image_limit=5)
    positions = [every.image_sha256.index(sha256) for sha256 in some.image_sha256]
    assert len(positions) == len(some.labels) == 5
    np.testing.assert_array_equal(some.labels, every.labels[positions])
    np.testing.assert_array_equal(
        some.pixels(SPEC.preprocessing)[:],
        every.pixels(SPEC.preprocessing)[np.array(positions)],
    )


def test_dataset_photos_refuse_when_the_split_is_empty(tmp_path: Path) -> None:
    from tests.bench.standin import make_dataset

    with pytest.raises(InputError, match=r"the val split of .* is empty"):
        DatasetPhotos(make_dataset(tmp_path / "none", val_photos_per_colour=0), "val")


def test_encoded_leaves_a_photo_out_when_it_is_gone_or_changed(dataset: Dataset) -> None:
    photos = DatasetPhotos(dataset)
    assert len(photos.encoded()) == 3 * TEST_PHOTOS_PER_COLOUR
    gone, changed, *_ = dataset.split("test").photos
    dataset.photo_path(gone).unlink()
    dataset.photo_path(changed).write_bytes(b"another")
    assert len(photos.encoded()) == 3 * TEST_PHOTOS_PER_COLOUR - 2


def test_packed_photos_are_those_that_were_written(dataset: Dataset, packed: PackedPhotos) -> None:
    photos = DatasetPhotos(dataset)
    for name in ("classes", "image_sha256", "dataset_sha256", "split"):
        assert getattr(packed, name) == getattr(photos, name)
    np.testing.assert_array_equal(packed.labels, photos.labels)
    np.testing.assert_array_equal(
        packed.pixels(SPEC.preprocessing)[:], photos.pixels(SPEC.preprocessing)[:]
    )
    assert packed.encoded() == photos.encoded()
    assert packed.source == "bench.zip"


def test_packed_photos_refuse_when_the_model_takes_another_geometry(packed: PackedPhotos) -> None:
    other = replace(SPEC.preprocessing, width=32)
    with pytest.raises(InputError, match=r"bench.zip holds its photos as 16x16.*takes 16x32"):
        packed.pixels(other)


def test_packed_photos_refuse_when_a_pixel_was_changed(
    tmp_path: Path, packed: PackedPhotos
) -> None:
    (array,) = (tmp_path / "evaluation").glob("*.npy")
    data = bytearray(array.read_bytes())
    data[-1] ^= 1
    array.write_bytes(data)
    with pytest.raises(InputError, match="was changed"):
        PackedPhotos(tmp_path / "evaluation")


@pytest.mark.parametrize(
    ("limit", "per_class"), [(1, (1, 0, 0)), (3, (1, 1, 1)), (5, (2, 2, 1)), (9, (4, 4, 1))]
)
def test_evenly_chosen_takes_as_many_of_each_class_as_there_are(
    limit: int, per_class: tuple[int, ...]
) -> None:
    labels = np.array([0, 1] * 6 + [2], dtype=np.int64)
    chosen = evenly_chosen(labels, limit)
    assert tuple(np.bincount(labels[chosen], minlength=3)) == per_class
    assert (np.diff(chosen) > 0).all()


def test_evenly_chosen_spreads_over_a_class_when_few_are_wanted() -> None:
    assert evenly_chosen(np.zeros(101, dtype=np.int64), 3).tolist() == [0, 50, 100]
