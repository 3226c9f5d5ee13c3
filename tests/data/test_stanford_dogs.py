from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgevit.data.prepare import prepare
from edgevit.data.stanford_dogs import breed_name, find_lists, list_official, read_list
from edgevit.errors import InputError, MissingDependencyError
from edgevit.preprocessing import Preprocessing
from tests.conftest import save_photo

pytest.importorskip("scipy")

BREEDS = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02086240-Shih-Tzu")
TINY = Preprocessing(8, 8)


def save_list(path: Path, names: list[str]) -> None:
    """Write a list with the structure of the published ones."""
    from scipy.io import savemat

    def column(strings: list[str]) -> np.ndarray:
        cells = np.empty((len(strings), 1), dtype=object)
        cells[:, 0] = strings
        return cells

    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [[1 + BREEDS.index(name.split("/")[0])] for name in names]
    content = {
        "file_list": column(names),
        "annotation_list": column([name.removesuffix(".jpg") for name in names]),
        "labels": np.array(labels, dtype=np.uint8),
    }
    savemat(path, content, format="5")


@pytest.fixture
def dogs(tmp_path: Path) -> Path:
    """Three breeds with 6 official training and 4 official test photos each."""
    root = tmp_path / "stanford"
    train, test = [], []
    for number, breed in enumerate(BREEDS):
        for index in range(10):
            name = f"{breed}/{breed.split('-')[0]}_{index}.jpg"
            save_photo(root / "Images" / name, seed=number * 10 + index)
            (train if index < 6 else test).append(name)
    save_list(root / "lists" / "train_list.mat", train)
    save_list(root / "lists" / "test_list.mat", test)
    return root


@pytest.mark.parametrize(
    ("folder", "breed"),
    [
        ("n02085620-Chihuahua", "Chihuahua"),
        ("n02085782-Japanese_spaniel", "Japanese spaniel"),
        ("n02086240-Shih-Tzu", "Shih-Tzu"),
        ("n02089078-black-and-tan_coonhound", "black-and-tan coonhound"),
    ],
)
def test_breed_name_is_readable_when_the_folder_has_a_number(folder: str, breed: str) -> None:
    assert breed_name(folder) == breed


def test_prepare_keeps_the_official_test_photos_when_the_lists_are_there(
    dogs: Path, tmp_path: Path
) -> None:
    dataset = prepare(dogs, tmp_path / "out", preprocessing=TINY, val_share=0.2)
    assert dataset.classes == ("Chihuahua", "Japanese spaniel", "Shih-Tzu")
    assert "official" in dataset.record.split_rule
    test = dataset.split("test").photos
    assert len(test) == 12
    assert {int(Path(photo.path).stem.split("_")[1]) for photo in test} == {6, 7, 8, 9}
    assert len(dataset.split("val").photos) == 3
    assert len(dataset.split("train").photos) == 15


def test_prepare_reads_the_published_archives_when_they_are_not_unpacked(
    dogs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "download"
    source.mkdir()
    with tarfile.open(source / "images.tar", "w") as tar:
        tar.add(dogs / "Images", "Images")
    with tarfile.open(source / "lists.tar", "w") as tar:
        for path in (dogs / "lists").iterdir():
            tar.add(path, path.name)
    dataset = prepare(source, tmp_path / "out", preprocessing=TINY)
    assert len(dataset.split("test").photos) == 12
    assert all(photo.path.startswith("photos/Images/n0") for photo in dataset.photos)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    loaded = type(dataset).load(moved)
    assert loaded.pixels("val", Preprocessing(4, 4)).shape == (3, 4, 4, 3)


def test_find_lists_finds_them_when_they_lie_beside_images(dogs: Path) -> None:
    for path in (dogs / "lists").iterdir():
        path.rename(dogs / path.name)
    assert find_lists(dogs) == dogs


def test_list_official_lists_files_when_lists_and_images_disagree(dogs: Path) -> None:
    (dogs / "Images" / BREEDS[0] / "n02085620_0.jpg").unlink()
    save_photo(dogs / "Images" / BREEDS[0] / "extra.jpg", seed=99)
    listing = list_official(dogs, dogs / "lists")
    reasons = {Path(item.path).name: item.reason for item in listing.skipped}
    assert reasons["n02085620_0.jpg"] == "train_list.mat names it; it is missing"
    assert reasons["extra.jpg"] == "the official lists do not name it"
    assert len(listing.candidates) == 29


def test_prepare_keeps_the_test_copy_when_a_photo_is_in_both_official_splits(
    dogs: Path, tmp_path: Path
) -> None:
    folder = dogs / "Images" / BREEDS[0]
    (folder / "n02085620_0.jpg").write_bytes((folder / "n02085620_9.jpg").read_bytes())
    dataset = prepare(dogs, tmp_path / "out", preprocessing=TINY)
    assert len(dataset.split("test").photos) == 12
    (item,) = dataset.record.skipped
    assert item.path.endswith("n02085620_0.jpg")


def test_prepare_refuses_when_a_test_share_contradicts_the_official_list(
    dogs: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--test-share 0\.3"):
        prepare(dogs, tmp_path / "out", preprocessing=TINY, test_share=0.3)
    assert not (tmp_path / "out").exists()


def test_prepare_refuses_when_a_breed_has_no_training_photo(dogs: Path, tmp_path: Path) -> None:
    for index in range(6):
        (dogs / "Images" / BREEDS[2] / f"n02086240_{index}.jpg").unlink()
    with pytest.raises(InputError, match="'Shih-Tzu' holds no usable training photo"):
        prepare(dogs, tmp_path / "out", preprocessing=TINY)


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file", b"MATLAB 5.0" + b"\0" * 300])
def test_read_list_refuses_when_the_file_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train_list.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no list of files"):
        read_list(path)


@pytest.mark.parametrize("name", ["n02085620-Chihuahua/../../evil", "/etc/passwd", "../evil"])
def test_read_list_refuses_when_a_name_leaves_the_folder(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.BREEDS", (name.split("/")[0],))
    save_list(tmp_path / "train_list.mat", [name])
    with pytest.raises(InputError, match="not CLASS/FILE"):
        read_list(tmp_path / "train_list.mat")


def test_read_list_names_the_install_command_when_scipy_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevit\[train\]'"):
        read_list(tmp_path / "train_list.mat")
