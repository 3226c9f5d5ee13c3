from __future__ import annotations

import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.errors import InputError
from edgevit.preprocessing import Preprocessing
from tests.conftest import save_classes, save_photo
from tests.test_preprocessing import one_bit_png

TINY = Preprocessing(8, 8)


def test_prepare_gives_the_same_bytes_when_repeated(photo_folder: Path, tmp_path: Path) -> None:
    first = prepare(photo_folder, tmp_path / "1", preprocessing=TINY)
    second = prepare(photo_folder, tmp_path / "2", preprocessing=TINY)
    assert first.sha256 == second.sha256
    for name in ("photos.csv", f"cache/{TINY.geometry}/train.npy"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_prepare_is_stratified_when_classes_differ_in_size(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"big": 20, "small": 3, "two": 2, "one": 1})
    dataset = prepare(source, tmp_path / "out", preprocessing=TINY)
    counts = Counter((dataset.classes[photo.label], photo.split) for photo in dataset.photos)
    assert counts == {
        ("big", "train"): 14, ("big", "val"): 2, ("big", "test"): 4,
        ("small", "train"): 1, ("small", "val"): 1, ("small", "test"): 1,
        ("two", "train"): 1, ("two", "test"): 1,
        ("one", "train"): 1,
    }  # fmt: skip


def test_prepare_splits_by_content_when_files_are_renamed(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"a": 20, "b": 20})
    before = prepare(source, tmp_path / "1", preprocessing=TINY)
    for index, path in enumerate(sorted((source / "a").iterdir())):
        path.rename(path.with_name(f"{99 - index}-renamed.jpg"))
    after = prepare(source, tmp_path / "2", preprocessing=TINY)
    assert {p.sha256: p.split for p in before.photos} == {p.sha256: p.split for p in after.photos}


def test_prepare_has_no_photo_twice_when_files_are_identical(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"a": 6, "b": 6})
    shutil.copy(source / "a" / "000.jpg", source / "a" / "copy.jpg")
    shutil.copy(source / "a" / "001.jpg", source / "b" / "traitor.jpg")
    dataset = prepare(source, tmp_path / "out", preprocessing=TINY)
    hashes = [photo.sha256 for photo in dataset.photos]
    assert len(set(hashes)) == len(hashes) == 12
    reasons = {Path(item.path).name: item.reason for item in dataset.record.skipped}
    assert reasons["copy.jpg"] == f"it is identical to {source / 'a' / '000.jpg'}"
    assert reasons["traitor.jpg"].endswith("001.jpg, which is in the class 'a'")


def test_prepare_skips_with_a_reason_when_files_are_no_photos(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"a": 4, "b": 4})
    whole = (source / "a" / "000.jpg").read_bytes()
    (source / "a" / "empty.jpg").write_bytes(b"")
    (source / "a" / "text.jpg").write_text("a shopping list")
    (source / "a" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "a" / "bomb.png").write_bytes(one_bit_png(20_000, 20_000))
    (source / "b" / "notes.txt").write_text("notes")
    os.mkfifo(source / "b" / "pipe.jpg")
    dataset = prepare(source, tmp_path / "out", preprocessing=TINY)
    reasons = {Path(item.path).name: item.reason for item in dataset.record.skipped}
    assert reasons.pop("truncated.jpg").startswith("it is damaged (")
    assert reasons == {
        "empty.jpg": "it is empty",
        "text.jpg": "it is not an image",
        "bomb.png": "it is too large: 20000×20000 pixels",
        "notes.txt": "it is not an image",
        "pipe.jpg": "it is not an ordinary file",
    }
    assert len(dataset.photos) == 8
    assert Dataset.load(tmp_path / "out").record.skipped == dataset.record.skipped


def test_prepare_takes_photos_when_they_are_odd_but_whole(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"日本": 3, "b": 3})
    Image.new("RGB", (1, 1)).save(source / "日本" / "dot.PNG")
    Image.new("CMYK", (9, 9)).save(source / "b" / "print.jpeg")
    Image.new("P", (9, 9)).save(source / "b" / "no_suffix", "GIF")
    dataset = prepare(source, tmp_path / "out", preprocessing=TINY)
    assert len(dataset.photos) == 9
    assert dataset.record.skipped == ()


def test_prepare_names_the_class_when_nothing_in_it_is_usable(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"a": 3, "b": 3, "void": 0})
    (source / "void").mkdir()
    (source / "void" / "text.jpg").write_text("text")
    with pytest.raises(InputError, match="the class 'void' holds no usable photo") as caught:
        prepare(source, tmp_path / "out", preprocessing=TINY)
    assert "it is not an image" in str(caught.value.remedy)
    assert os.listdir(tmp_path) == ["photos"]


def test_prepare_refuses_when_the_source_is_missing_or_no_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        prepare(tmp_path / "absent", tmp_path / "out", preprocessing=TINY)
    photo = save_photo(tmp_path / "one.jpg")
    with pytest.raises(InputError, match="neither a folder nor a tar archive"):
        prepare(photo, tmp_path / "out", preprocessing=TINY)


def test_prepare_says_so_when_the_source_is_prepared_already(
    photo_folder: Path, tmp_path: Path
) -> None:
    prepared = prepare(photo_folder, tmp_path / "my data", preprocessing=TINY)
    with pytest.raises(InputError, match=r"is prepared already: it holds dataset\.json") as caught:
        prepare(prepared.root, tmp_path / "out", preprocessing=TINY)
    assert f"edgevit train vit-tiny --data '{prepared.root}'" in str(caught.value.remedy)


@pytest.mark.parametrize("out", ["photos", "photos/prepared", "."])
def test_prepare_never_replaces_the_photos_when_forced(
    photo_folder: Path, tmp_path: Path, out: str
) -> None:
    with pytest.raises(InputError, match="lie within each other"):
        prepare(photo_folder, tmp_path / out, preprocessing=TINY, force=True)
    assert len(list(photo_folder.rglob("*.jpg"))) == 20


def test_prepare_replaces_only_data_sets_when_forced(photo_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = prepare(photo_folder, out, preprocessing=TINY)
    with pytest.raises(InputError, match="--force"):
        prepare(photo_folder, out, preprocessing=TINY)
    second = prepare(photo_folder, out, preprocessing=TINY, seed=1, force=True)
    assert second.sha256 != first.sha256
    home = tmp_path / "home"
    (home / "precious").mkdir(parents=True)
    with pytest.raises(InputError, match="holds other things"):
        prepare(photo_folder, home, preprocessing=TINY, force=True)


@pytest.mark.parametrize("wrapper", ["", "photos/", "some/folders/deep/"])
@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_prepare_keeps_unpacked_photos_inside_when_the_source_is_an_archive(
    photo_folder: Path, tmp_path: Path, wrapper: str, suffix: str
) -> None:
    archive = tmp_path / f"photos.{suffix}"
    with tarfile.open(archive, "w:gz" if suffix == "tar.gz" else "w") as tar:
        for folder in photo_folder.iterdir():
            tar.add(folder, f"{wrapper}{folder.name}")
    dataset = prepare(archive, tmp_path / "out", preprocessing=TINY)
    assert dataset.classes == ("café, noir", "zebra")
    assert all(photo.path.startswith(f"photos/{wrapper}") for photo in dataset.photos)
    assert dataset.pixels("test", Preprocessing(4, 4)).shape == (4, 4, 4, 3)


def test_prepare_names_the_archive_when_its_photos_are_split_already(tmp_path: Path) -> None:
    source = save_classes(tmp_path / "photos", {"train/a": 1, "train/b": 1, "val/a": 1})
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(source, "pets")
    with pytest.raises(InputError, match="looks split already") as caught:
        prepare(archive, tmp_path / "out", preprocessing=TINY)
    assert str(archive / "pets") in caught.value.problem
    assert str(archive / "pets" / "train") in str(caught.value.remedy)


def test_prepare_leaves_nothing_when_an_archive_is_evil(tmp_path: Path) -> None:
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("a/good"))
        tar.addfile(tarfile.TarInfo("../evil"))
    with pytest.raises(InputError, match=r"'\.\./evil' leaves the folder"):
        prepare(archive, tmp_path / "out", preprocessing=TINY)
    assert os.listdir(tmp_path) == ["photos.tar"]
