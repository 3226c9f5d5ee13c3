from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest

from edgevit.data import cache
from edgevit.data.dataset import SPLITS, Dataset
from edgevit.data.prepare import prepare
from edgevit.data.rows import RowFile, in_parallel
from edgevit.errors import InputError
from edgevit.preprocessing import Preprocessing
from tests.conftest import save_classes, save_photo


def expected_pixels(dataset: Dataset, preprocessing: Preprocessing, split: str) -> np.ndarray:
    photos = [photo for photo in dataset.photos if photo.split == split]
    return np.stack([preprocessing.pixels(dataset.root / photo.path) for photo in photos])


def test_load_gives_the_same_dataset_when_prepared(tiny_dataset: Dataset) -> None:
    loaded = Dataset.load(tiny_dataset.root)
    assert loaded == tiny_dataset
    assert loaded.classes == ("café, noir", "zebra")
    assert [len(loaded.split(name).photos) for name in SPLITS] == [14, 2, 4]
    assert loaded.split("train").labels().tolist() == [0] * 7 + [1] * 7


@pytest.mark.parametrize("split", SPLITS)
def test_pixels_equal_the_preprocessing_when_cached_by_prepare(
    tiny_dataset: Dataset, tiny_preprocessing: Preprocessing, split: str
) -> None:
    pixels = tiny_dataset.pixels(split, tiny_preprocessing)  # type: ignore[arg-type]
    assert isinstance(pixels, np.memmap)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, expected_pixels(tiny_dataset, tiny_preprocessing, split))


@pytest.mark.parametrize(
    "preprocessing",
    [Preprocessing(8, 12), Preprocessing(16, 16, "squash"), Preprocessing(9, 9, "crop", "bicubic")],
)
def test_pixels_equal_the_preprocessing_when_another_geometry_is_built(
    tiny_dataset: Dataset, preprocessing: Preprocessing
) -> None:
    for split in SPLITS:
        pixels = tiny_dataset.pixels(split, preprocessing)
        assert np.array_equal(pixels, expected_pixels(tiny_dataset, preprocessing, split))
    assert not [path for path in tiny_dataset.root.rglob("*") if ".partial-" in path.name]


def test_pixels_need_no_photos_when_cached(tiny_dataset: Dataset, photo_folder: Path) -> None:
    tiny_dataset.pixels("train", Preprocessing(4, 4))
    photo_folder.rename(photo_folder.with_name("gone"))
    assert len(tiny_dataset.pixels("train", Preprocessing(4, 4))) == 14


def test_pixels_name_the_photo_when_it_is_gone(tiny_dataset: Dataset) -> None:
    victim = Path(tiny_dataset.photos[3].path)
    victim.unlink()
    with pytest.raises(InputError, match="is gone") as caught:
        tiny_dataset.pixels("train", Preprocessing(4, 4))
    assert str(victim) in caught.value.problem
    assert "edgevit data prepare" in str(caught.value.remedy)
    assert "--size 4" in str(caught.value.remedy)
    assert len(list((tiny_dataset.root / "cache").iterdir())) == 1


def test_pixels_name_the_photo_when_it_was_changed(tiny_dataset: Dataset) -> None:
    victim = save_photo(Path(tiny_dataset.photos[3].path), seed=1234)
    with pytest.raises(InputError, match="was changed after") as caught:
        tiny_dataset.pixels("train", Preprocessing(4, 4))
    assert str(victim) in caught.value.problem


@pytest.mark.parametrize("damage", ["truncate", "remove", "foreign", "no record"])
def test_pixels_are_built_again_when_the_cache_is_damaged(
    tiny_dataset: Dataset, tiny_preprocessing: Preprocessing, damage: str
) -> None:
    folder = tiny_dataset.root / "cache" / tiny_preprocessing.geometry
    if damage == "truncate":
        os.truncate(folder / "train.npy", 100)
    elif damage == "remove":
        (folder / "train.npy").unlink()
    elif damage == "no record":
        (folder / "cache.json").unlink()
    else:
        record = json.loads((folder / "cache.json").read_text())
        record["photos_sha256"] = "0" * 64
        (folder / "cache.json").write_text(json.dumps(record))
    pixels = tiny_dataset.pixels("train", tiny_preprocessing)
    assert np.array_equal(pixels, expected_pixels(tiny_dataset, tiny_preprocessing, "train"))


@pytest.mark.parametrize("place", ["pixels", "header"])
def test_pixels_are_built_again_when_the_cached_array_was_changed(
    tiny_dataset: Dataset,
    tiny_preprocessing: Preprocessing,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    path = tiny_dataset.root / "cache" / tiny_preprocessing.geometry / "train.npy"
    tiny_dataset.pixels("train", tiny_preprocessing)
    data = bytearray(path.read_bytes())
    data[-100 if place == "pixels" else 0] ^= 255
    path.write_bytes(data)
    capsys.readouterr()
    pixels = tiny_dataset.pixels("train", tiny_preprocessing)
    assert np.array_equal(pixels, expected_pixels(tiny_dataset, tiny_preprocessing, "train"))
    assert "does not fit its data set: building it again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "foreign",
    [
        np.zeros((14, 16, 16, 3), np.float32),
        np.zeros((13, 16, 16, 3), np.uint8),
        np.array([None] * 14),
        b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1'(\n",
        b"PK\x03\x04 no archive",
        b"",
    ],
    ids=["dtype", "count", "pickle", "header", "archive", "empty"],
)
def test_pixels_are_built_again_when_the_record_was_changed_too(
    tiny_dataset: Dataset, tiny_preprocessing: Preprocessing, foreign: np.ndarray | bytes
) -> None:
    folder = tiny_dataset.root / "cache" / tiny_preprocessing.geometry
    if isinstance(foreign, bytes):
        (folder / "train.npy").write_bytes(foreign)
    else:
        np.save(folder / "train.npy", foreign)
    cache.write_record(folder, tiny_preprocessing, tiny_dataset.record.files["photos.csv"].sha256)
    pixels = tiny_dataset.pixels("train", tiny_preprocessing)
    assert np.array_equal(pixels, expected_pixels(tiny_dataset, tiny_preprocessing, "train"))


def test_pixels_are_hashed_once_when_opened_again(
    tiny_dataset: Dataset, tiny_preprocessing: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_dataset.pixels("train", tiny_preprocessing)
    monkeypatch.setattr(cache, "sha256_of_file", pytest.fail)
    tiny_dataset.pixels("train", tiny_preprocessing)


def test_pixels_remedy_can_be_pasted_when_the_source_has_spaces(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "my 'best' photos", {"a": 3, "b": 3})
    dataset = prepare(source, tmp_path / "out", preprocessing=Preprocessing(8, 8))
    (source / "a" / "000.jpg").unlink()
    with pytest.raises(InputError, match="is gone") as caught:
        dataset.pixels("train", Preprocessing(4, 4))
    words = shlex.split(str(caught.value.remedy).split(": ", 1)[1])
    assert words[:4] == ["edgevit", "data", "prepare", str(source)]


def test_pixels_are_empty_when_a_split_is_empty(
    photo_folder: Path, tmp_path: Path, tiny_preprocessing: Preprocessing
) -> None:
    dataset = prepare(
        photo_folder, tmp_path / "out", preprocessing=tiny_preprocessing, val_share=0.0
    )
    assert dataset.pixels("val", tiny_preprocessing).shape == (0, 16, 16, 3)
    assert dataset.pixels("val", Preprocessing(8, 4)).shape == (0, 8, 4, 3)
    assert dataset.split("val").labels().shape == (0,)


def test_pixels_cannot_be_changed_when_mapped(
    tiny_dataset: Dataset, tiny_preprocessing: Preprocessing
) -> None:
    with pytest.raises(ValueError, match="read-only"):
        tiny_dataset.pixels("train", tiny_preprocessing)[0] = 0


def test_load_names_the_command_when_there_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no prepared data set") as caught:
        Dataset.load(tmp_path)
    assert "edgevit data prepare PHOTOS --out DIR" in str(caught.value.remedy)


def test_load_refuses_when_the_photo_list_was_edited(tiny_dataset: Dataset) -> None:
    path = tiny_dataset.root / "photos.csv"
    path.write_text(path.read_text().replace(",train,", ",tests,", 1))
    with pytest.raises(InputError, match=r"photos\.csv was changed"):
        Dataset.load(tiny_dataset.root)


def test_photos_survive_when_paths_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    root = save_classes(tmp_path / 'a "b", c', {"x, y": 3, "ü 'z'": 3})
    (root / "x, y" / "000.jpg").rename(root / "x, y" / 'two\nlines, "so".jpg')
    dataset = prepare(root, tmp_path / "out", preprocessing=Preprocessing(4, 4))
    assert all(Path(photo.path).is_file() for photo in dataset.photos)
    assert Dataset.load(tmp_path / "out") == dataset


def test_row_file_equals_numpy_when_rows_come_in_any_order(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, size=(5, 2, 3), dtype=np.uint8)
    with RowFile(tmp_path / "rows.npy", 5, (2, 3)) as file:
        for index in (4, 0, 3, 1):
            file.write(index, rows[index])
    rows[2] = 0
    assert np.array_equal(np.load(tmp_path / "rows.npy"), rows)


def test_in_parallel_keeps_the_order_and_stops_when_a_job_fails() -> None:
    assert list(in_parallel(lambda i: i * i, range(100), "Squaring")) == [i * i for i in range(100)]
    started: list[int] = []

    def fail_at_three(index: int) -> None:
        started.append(index)
        if index == 3:
            raise RuntimeError("three")

    with pytest.raises(RuntimeError, match="three"):
        list(in_parallel(fail_at_three, range(10_000), "Failing"))
    assert len(started) < 1000
