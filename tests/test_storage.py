from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
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
    with pytest.raises(OSError, match="No space") as caught:
        storage.write_atomically(path, b"new")
    assert caught.value.filename == str(path)
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


@pytest.mark.parametrize("force", [False, True])
def test_refuse_existing_does_not_suggest_force_when_it_would_not_help(
    tmp_path: Path, force: bool
) -> None:
    (tmp_path / "precious").write_text("")
    with pytest.raises(InputError, match=r"holds other things .*has no dataset\.json") as caught:
        storage.refuse_existing(tmp_path, force=force, marker="dataset.json")
    assert caught.value.remedy == "Choose another --out"


@pytest.mark.parametrize("path", ["", ".", "/", ".."])
def test_refuse_existing_refuses_when_the_path_has_no_name(path: str) -> None:
    with pytest.raises(InputError, match="the folder to write is"):
        storage.refuse_existing(Path(path), force=True)


@pytest.mark.parametrize("there", [False, True])
def test_refuse_existing_refuses_when_the_target_is_a_link(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(InputError, match="is a symbolic link to elsewhere"):
        storage.refuse_existing(tmp_path / "link", force=True)


def test_refuse_existing_names_the_parent_when_it_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to("nowhere")
    for name in ("file", "broken"):
        with pytest.raises(InputError, match=f"would lie in {tmp_path}/{name}, which is no folder"):
            storage.refuse_existing(tmp_path / name / "deep" / "out", force=True)


def test_folder_in_one_piece_removes_only_its_own_parents_when_the_block_raises(
    tmp_path: Path,
) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(RuntimeError):
        fail_midway(tmp_path / "old" / "new" / "newer" / "target", RuntimeError())
    assert os.listdir(tmp_path) == ["old"]
    assert os.listdir(tmp_path / "old") == []


def test_folder_in_one_piece_keeps_a_new_parent_when_others_use_it(tmp_path: Path) -> None:
    def make_a_neighbour_and_fail() -> None:
        with storage.folder_in_one_piece(tmp_path / "new" / "target"):
            (tmp_path / "new" / "neighbour").mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        make_a_neighbour_and_fail()
    assert os.listdir(tmp_path / "new") == ["neighbour"]


def test_leftovers_of_killed_processes_are_removed_when_the_target_is_made_again(
    tmp_path: Path,
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    alive = os.getppid()
    for name in (f"target.partial-{gone.pid}", f"target.replaced-{gone.pid}"):
        (tmp_path / f".{name}" / "half").mkdir(parents=True)
    (tmp_path / f".file.partial-{gone.pid}").write_text("half")
    kept = [f".target.partial-{alive}", f".other.partial-{gone.pid}", ".target.partial-mine"]
    for name in kept:
        (tmp_path / name).mkdir()
    for _ in range(2):
        with storage.folder_in_one_piece(tmp_path / "target", force=True) as folder:
            (folder / "new").write_text("new")
    storage.write_atomically(tmp_path / "file", b"new")
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "target", "file"])


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (lambda inner: OSError(errno.ENOSPC, "No space"), "target"),
        (lambda inner: OSError(errno.ENOSPC, "No space", str(inner / "a.npy")), "target/a.npy"),
        (lambda inner: PermissionError(errno.EACCES, "Permission denied", str(inner)), "."),
        (lambda inner: FileNotFoundError(errno.ENOENT, "No such file", "/other"), "/other"),
    ],
    ids=["the disk", "a file", "the folder", "another"],
)
def test_folder_in_one_piece_names_the_target_when_the_system_refuses(
    tmp_path: Path, error: Callable[[Path], OSError], named: str
) -> None:
    with (
        pytest.raises(OSError, match=r"No s|denied") as caught,
        storage.folder_in_one_piece(tmp_path / "target") as folder,
    ):
        raise error(folder)
    assert caught.value.filename == str(tmp_path / named)


def test_folder_in_one_piece_leaves_an_error_alone_when_it_is_no_file_s(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="a bug") as caught:
        fail_midway(tmp_path / "target", OSError("a bug"))
    assert caught.value.filename is None
    assert str(caught.value) == "a bug"


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
