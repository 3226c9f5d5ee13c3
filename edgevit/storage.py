"""Files that are whole or absent: atomic writes, hashes, and folders that appear in one rename."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import InputError

_HASH_CHUNK_BYTES = 1 << 20
TEMPORARY_MARK = ".partial-"


@dataclass(frozen=True)
class FileRecord:
    """What a file must be: its size in bytes and its SHA-256 (64 hex digits)."""

    sha256: str
    size_bytes: int


def sha256_of_bytes(data: bytes | memoryview) -> str:
    """Return the SHA-256 of ``data`` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of the file's bytes as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def record_of(path: Path) -> FileRecord:
    """Describe an existing file by size and hash."""
    return FileRecord(sha256=sha256_of_file(path), size_bytes=path.stat().st_size)


def verify_files(folder: Path, files: Mapping[str, FileRecord], remedy: str) -> None:
    """Check that every listed file is in ``folder`` with the recorded bytes.

    Raises:
        InputError: naming the first file that is missing or differs.
    """
    for name, expected in files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{folder}: the listed file name {name!r} leaves the folder", remedy)
        if not path.is_file():
            raise InputError(f"{path} is missing", remedy)
        size_bytes = path.stat().st_size
        if size_bytes != expected.size_bytes:
            raise InputError(
                f"{path} has {size_bytes} bytes, {expected.size_bytes} were recorded", remedy
            )
        actual = sha256_of_file(path)
        if actual != expected.sha256:
            raise InputError(
                f"{path} was changed: its sha256 is {actual[:12]}…, {expected.sha256[:12]}… "
                "was recorded",
                remedy,
            )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either the old bytes or all the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY_MARK}{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def refuse_existing(folder: Path, *, force: bool, marker: str | None = None) -> None:
    """Refuse a folder that holds something, unless it may be overwritten.

    Args:
        folder: What is about to be replaced as a whole.
        force: Whether the user allowed that.
        marker: A file that edgevit writes into such a folder. A folder without it is someone
            else's and is not replaced even by force: ``--out ~ --force`` must not empty a home.

    Raises:
        InputError: if ``folder`` is a file, or is not empty and may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "Give a folder")
    if folder.is_dir() and not force and any(folder.iterdir()):
        raise InputError(f"{folder} exists already", "Choose another --out, or add --force")
    if marker and folder.is_dir() and any(folder.iterdir()) and not (folder / marker).is_file():
        raise InputError(
            f"{folder} holds other things (it has no {marker}), so --force does not replace it",
            "Choose another --out",
        )


@contextmanager
def folder_in_one_piece(
    target: Path, *, force: bool = False, marker: str | None = None
) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` in one rename when the block succeeds.

    If the block raises – a failed check, Ctrl-C, a full disk – nothing is left behind and an
    existing ``target`` is untouched.

    Args:
        target: The folder to make.
        force: Replace what is there.
        marker: With ``force``, only a folder that holds this file is replaced.

    Raises:
        InputError: if ``target`` holds something that may not be replaced.
    """
    refuse_existing(target, force=force, marker=marker)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}{TEMPORARY_MARK}{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.rglob("*"):
            _sync(path)
        _replace_folder(temporary, target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _replace_folder(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # rename(2) cannot replace a folder that holds files: move the old one aside first.
    old = target.with_name(f".{target.name}.replaced-{os.getpid()}")
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def folder_size_bytes(folder: Path) -> int:
    """Return the summed size of the files below ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
