from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevit.data.folders import list_folders
from edgevit.errors import InputError
from tests.conftest import save_classes, save_photo


def test_list_folders_is_sorted_when_folders_are_nested(tmp_path: Path) -> None:
    save_classes(tmp_path, {"b": 2, "a/deep/er": 1, "a": 1})
    listing = list_folders(tmp_path)
    assert listing.classes == ("a", "b")
    found = [(c.label, c.path.relative_to(tmp_path).as_posix()) for c in listing.candidates]
    assert found == [(0, "a/000.jpg"), (0, "a/deep/er/000.jpg"), (1, "b/000.jpg"), (1, "b/001.jpg")]


def test_list_folders_passes_over_hidden_files_when_a_mac_left_them(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 1, "b": 1, ".git": 3})
    (tmp_path / "a" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "a" / "._000.jpg").write_bytes(b"x")
    listing = list_folders(tmp_path)
    assert len(listing.candidates) == 2
    assert listing.skipped == ()


def test_list_folders_lists_photos_that_lie_beside_the_classes(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 1, "b": 1})
    save_photo(tmp_path / "stray.jpg")
    (tmp_path / "README.txt").write_text("read me")
    (item,) = list_folders(tmp_path).skipped
    assert item.path == str(tmp_path / "stray.jpg")
    assert "beside the class folders" in item.reason


def test_list_folders_ends_when_links_go_in_circles(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "loop1").symlink_to(tmp_path / "a" / "loop2")
    (tmp_path / "a" / "loop2").symlink_to(tmp_path / "a" / "loop1")
    (tmp_path / "a" / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    listing = list_folders(tmp_path)
    reasons = {Path(item.path).name: item.reason for item in listing.skipped}
    assert "back to a folder" in reasons["self"]
    assert "broken link" in reasons["loop1"]
    assert "broken link" in reasons["broken"]
    assert len(listing.candidates) < 10


def test_list_folders_follows_links_when_they_lead_to_photos(tmp_path: Path) -> None:
    elsewhere = save_classes(tmp_path / "elsewhere", {"zebras": 2})
    photos = save_classes(tmp_path / "photos", {"a": 1})
    (photos / "zebra").symlink_to(elsewhere / "zebras")
    (photos / "a" / "link.jpg").symlink_to(elsewhere / "zebras" / "000.jpg")
    listing = list_folders(photos)
    assert listing.classes == ("a", "zebra")
    assert len(listing.candidates) == 4


def test_list_folders_composes_names_when_a_mac_wrote_them(tmp_path: Path) -> None:
    save_classes(tmp_path, {"cafe\u0301": 1, "日本": 1})
    assert list_folders(tmp_path).classes == ("caf\u00e9", "日本")


def test_list_folders_skips_names_that_are_not_utf8(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    listing = list_folders(tmp_path)
    (item,) = listing.skipped
    assert item.path.endswith(r"caf\xe9.jpg")
    assert len(listing.candidates) == 2


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "two\nlines"])
def test_list_folders_refuses_when_a_class_name_is_unprintable(tmp_path: Path, name: str) -> None:
    save_classes(tmp_path, {"a": 1})
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="unprintable") as caught:
        list_folders(tmp_path)
    str(caught.value).encode()


@pytest.mark.parametrize(
    "names", [("Train", "val"), ("training", "test", "validation"), ("train",)]
)
def test_list_folders_refuses_when_the_folders_are_splits(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    save_classes(tmp_path, {f"{name}/{animal}": 1 for name in names for animal in ("cat", "dog")})
    (tmp_path / names[0] / "labels.csv").write_text("cat,dog")
    with pytest.raises(InputError, match="looks split already: its folders are") as caught:
        list_folders(tmp_path)
    assert f"Give {tmp_path / names[0]}, which" in str(caught.value.remedy)


def test_list_folders_takes_classes_when_they_are_merely_called_like_splits(tmp_path: Path) -> None:
    save_classes(tmp_path / "trains", {"train": 2, "train/old": 2, "test": 2})
    assert list_folders(tmp_path / "trains").classes == ("test", "train")
    save_classes(tmp_path / "vehicles", {"train/old": 2, "car/old": 2})
    assert list_folders(tmp_path / "vehicles").classes == ("car", "train")


def test_list_folders_refuses_when_there_are_fewer_than_two_classes(tmp_path: Path) -> None:
    save_photo(tmp_path / "stray.jpg")
    with pytest.raises(InputError, match="no class folders"):
        list_folders(tmp_path)
    save_classes(tmp_path, {"only": 3})
    with pytest.raises(InputError, match="one class only, 'only'"):
        list_folders(tmp_path)
