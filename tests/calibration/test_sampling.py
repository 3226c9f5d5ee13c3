from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.calibration.sampling import MIN_IMAGES, check_content, sample
from edgevit.data.dataset import Dataset, SplitName
from edgevit.data.prepare import prepare
from edgevit.errors import InputError
from edgevit.preprocessing import Preprocessing
from tests.conftest import save_classes

PREPROCESSING = Preprocessing(16, 16)
Draw = Callable[[np.ndarray], np.ndarray]


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


@pytest.mark.parametrize(("images", "held_out"), [(500, 500), (128, 32), (64, 32), (8, 300)])
def test_both_parts_shrink_alike_and_it_is_said_when_photos_are_few(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], images: int, held_out: int
) -> None:
    drawn = sample(dataset, PREPROCESSING, images=images, held_out=held_out)
    train = len(dataset.split("train").photos)
    expected = max(MIN_IMAGES, train * images // (images + held_out))
    assert (len(drawn.images), len(drawn.held_out)) == (expected, train - expected)
    assert (
        f"{dataset.root} has {train} training photos for calibration, fewer than the "
        f"{images + held_out} wanted: {expected} give ranges, {train - expected} are held out\n"
    ) in capsys.readouterr().err


def test_nothing_is_said_when_photos_are_enough(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    train = len(dataset.split("train").photos)
    sample(dataset, PREPROCESSING, images=train - 5, held_out=5)
    assert "fewer" not in capsys.readouterr().err


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
    assert (drawn.classes, drawn.dataset_sha256) == (dataset.classes, dataset.sha256)


@pytest.mark.parametrize("split", ["val", "test"])
def test_photos_are_left_out_when_they_are_in_another_split_too(
    dataset: Dataset, split: SplitName
) -> None:
    shared = set(sample(dataset, PREPROCESSING, images=12, held_out=6).image_sha256)
    train = dataset.split("train")
    drawn = sample(put_into(dataset, split, shared), PREPROCESSING, images=500, held_out=500)
    assert set(drawn.image_sha256) == set(train.hashes()) - shared
    assert len(drawn.images) + len(drawn.held_out) == len(train.photos) - 18


@pytest.mark.parametrize("left", [0, 1, 8])
def test_sampling_is_refused_when_too_few_photos_are_in_no_other_split(
    dataset: Dataset, left: int
) -> None:
    shared = set(dataset.split("train").hashes()[left:])
    with pytest.raises(InputError, match=f"in no other split: {left}, .* at least 9"):
        sample(put_into(dataset, "test", shared), PREPROCESSING)


def test_one_photo_is_held_out_when_there_are_only_nine(dataset: Dataset) -> None:
    shared = set(dataset.split("train").hashes()[9:])
    drawn = sample(put_into(dataset, "val", shared), PREPROCESSING)
    assert (len(drawn.images), len(drawn.held_out)) == (8, 1)


@pytest.mark.parametrize(("images", "words"), [(1, "1 image is"), (7, "7 images are")])
def test_sampling_is_refused_when_few_are_asked_for(
    dataset: Dataset, images: int, words: str
) -> None:
    with pytest.raises(InputError, match=rf"^{words} too few for ranges\. .*--images 8$"):
        sample(dataset, PREPROCESSING, images=images)


def showing(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, draw: Draw) -> Dataset:
    """Let the photos show what ``draw`` makes of their real pixels, ``uint8 [n, 16, 16, 3]``."""
    real = Dataset.pixels
    monkeypatch.setattr(Dataset, "pixels", lambda *arguments: draw(np.array(real(*arguments))))
    return dataset


def black(pixels: np.ndarray) -> np.ndarray:
    return np.zeros_like(pixels)


def orange(pixels: np.ndarray) -> np.ndarray:
    return np.zeros_like(pixels) + np.uint8([255, 128, 0])


def nearly_white(pixels: np.ndarray) -> np.ndarray:
    return 254 + pixels % 2  # noise of half a level


@pytest.mark.parametrize("draw", [black, orange, nearly_white])
def test_photos_are_refused_when_they_show_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, draw: Draw
) -> None:
    first = sample(dataset, PREPROCESSING, images=16, held_out=4)
    name = f"{first.image_sha256[0][:12]}… of class {dataset.classes[first.labels[0]]!r}"
    complaint = (
        f"the training photos of {dataset.root}: 16 of 16 images for ranges are one colour all "
        f"over, such as {name}"
    )
    with pytest.raises(InputError, match=complaint):
        sample(showing(dataset, monkeypatch, draw), PREPROCESSING, images=16, held_out=4)


@pytest.mark.parametrize(("flat", "refused"), [(8, False), (9, True)])
def test_images_are_refused_when_more_than_half_show_nothing(
    dataset: Dataset, flat: int, refused: bool
) -> None:
    drawn = sample(dataset, PREPROCESSING, images=16, held_out=4)
    drawn.images[-flat:] = 0
    with pytest.raises(InputError, match="9 of 16 images") if refused else nullcontext():
        check_content(drawn, "set", "Make another")


def test_held_out_images_are_refused_when_they_show_nothing(dataset: Dataset) -> None:
    drawn = sample(dataset, PREPROCESSING, images=16, held_out=4)
    drawn.held_out[1:] = 7
    sha256 = drawn.image_sha256[17][:12]
    with pytest.raises(InputError, match=f"set: 3 of 4 images held out .* {sha256}…"):
        check_content(drawn, "set", "Make another")


def test_faint_photos_are_taken_when_they_show_something(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    faint = showing(dataset, monkeypatch, lambda pixels: pixels // 16)
    assert len(sample(faint, PREPROCESSING, images=16, held_out=4).images) == 16


@pytest.mark.parametrize(("pictures", "refused"), [(1, True), (7, True), (8, False)])
def test_photos_are_refused_when_they_are_copies(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, pictures: int, refused: bool
) -> None:
    drawn = sample(dataset, PREPROCESSING, images=16, held_out=4)
    drawn.images[pictures:] = drawn.images[0]
    complaint = f"set: the 16 images for ranges are copies of {pictures}, at least 8 different"
    with pytest.raises(InputError, match=complaint) if refused else nullcontext():
        check_content(drawn, "set", "Make another")
    same = showing(dataset, monkeypatch, lambda pixels: np.repeat(pixels[:1], len(pixels), axis=0))
    with pytest.raises(InputError, match="are copies of 1, at least 8 different ones"):
        sample(same, PREPROCESSING)
