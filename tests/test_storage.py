from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevit import storage
from edgevit.errors import InputError
from edgevit.storage import FileRecord


def fail_midway(target: Path, error: BaseException, *, force: bool = False) -> None:
    with storage.folder_in_one_piece(target, force=force) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "half").write_text("half")
        raise error


def test_write_atomically_keeps_old_bytes_when_the_write_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        storage.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt()])
def test_folder_in_one_piece_leaves_nothing_when_the_block_raises(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        fail_midway(tmp_path / "target", error)
    assert os.listdir(tmp_path) == []


def test_folder_in_one_piece_keeps_the_old_folder_when_a_forced_block_raises(
    tmp_path: Path,
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError):
        fail_midway(target, RuntimeError(), force=True)
    assert os.listdir(tmp_path) == ["target"]
    assert os.listdir(target) == ["old"]


def test_folder_in_one_piece_replaces_the_old_folder_when_forced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with storage.folder_in_one_piece(target, force=True) as folder:
        (folder / "new").write_text("new")
    assert os.listdir(tmp_path) == ["target"]
    assert os.listdir(target) == ["new"]


def test_folder_in_one_piece_refuses_when_the_target_holds_something(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("")
    with (
        pytest.raises(InputError, match=r"exists already.*--force"),
        storage.folder_in_one_piece(tmp_path),
    ):
        pytest.fail("the block must not run")


def test_folder_in_one_piece_refuses_force_when_the_marker_is_missing(tmp_path: Path) -> None:
    target = tmp_path / "home"
    target.mkdir()
    (target / "precious").write_text("")
    with (
        pytest.raises(InputError, match=r"has no dataset\.json"),
        storage.folder_in_one_piece(target, force=True, marker="dataset.json"),
    ):
        pytest.fail("the block must not run")
    assert (target / "precious").exists()


def test_refuse_existing_refuses_when_the_target_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(InputError, match="is a file"):
        storage.refuse_existing(path, force=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is missing"), (b"longer!", "7 bytes, 4 were"), (b"evil", "was changed")],
)
def test_verify_files_names_the_file_when_it_differs(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"good")
    files = {"weights": storage.record_of(path)}
    storage.verify_files(tmp_path, files, "Copy it again")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        storage.verify_files(tmp_path, files, "Copy it again")
    assert caught.value.remedy == "Copy it again"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside"])
def test_verify_files_refuses_when_a_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="leaves the folder"):
        storage.verify_files(tmp_path, {name: FileRecord("0" * 64, 1)}, "Copy it again")
