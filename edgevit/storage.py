"""Files that are whole or absent: atomic writes, hashes, and folders that appear in one rename."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import InputError

_HASH_CHUNK_BYTES = 1 << 20
TEMPORARY_MARK = ".partial-"
_REPLACED_MARK = ".replaced-"
# Errors of a whole disk, which the system raises without a path.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


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
    """Write ``data`` so that ``path`` holds either the old bytes or all the new ones.

    Raises:
        OSError: naming ``path``, or the folder that it cannot be made in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_beside(path)
    with _errors_name(path, temporary):
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
        InputError: if ``folder`` cannot be made, or is not empty and may not be replaced.
    """
    refuse_place(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if marker and not (folder / marker).is_file():
        raise InputError(
            f"{folder} holds other things (it has no {marker}), which are never replaced",
            "Choose another --out",
        )
    if not force:
        raise InputError(f"{folder} exists already", "Choose another --out, or add --force")


def refuse_place(folder: Path) -> None:
    """Refuse a path that a new folder cannot be renamed to.

    Raises:
        InputError: if it is no name, a link or a file, or lies below a file.
    """
    if folder.name in ("", ".."):
        raise InputError(
            f"the folder to write is {str(folder)!r}", "Give it a name, such as data/mine"
        )
    if folder.is_symlink():
        raise InputError(
            f"{folder} is a symbolic link to {os.readlink(folder)}",
            "Give the folder itself, or a path where nothing is yet",
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "Give a folder")
    for parent in folder.parents:
        if (parent.exists() or parent.is_symlink()) and not parent.is_dir():
            raise InputError(
                f"{folder} would lie in {parent}, which is no folder", "Check the path"
            )


@contextmanager
def folder_in_one_piece(
    target: Path, *, force: bool = False, marker: str | None = None
) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` in one rename when the block succeeds.

    If the block raises – a failed check, Ctrl-C, a full disk – nothing is left behind, no parent
    folder either that was made for it, and an existing ``target`` is untouched.

    Args:
        target: The folder to make.
        force: Replace what is there.
        marker: With ``force``, only a folder that holds this file is replaced.

    Raises:
        InputError: if ``target`` holds something that may not be replaced, or this locale cannot
            write a name.
        OSError: naming ``target`` where it happened in the temporary folder.
    """
    refuse_existing(target, force=force, marker=marker)
    with _parents_made(target):
        temporary = _temporary_beside(target)
        shutil.rmtree(temporary, ignore_errors=True)
        with _errors_name(target, temporary):
            try:
                temporary.mkdir()
                yield temporary
                for path in temporary.rglob("*"):
                    _sync(path)
                _replace_folder(temporary, target)
                _sync(target.parent)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise


def is_writable_folder(folder: Path) -> bool:
    """Tell whether a file can be made in a folder."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def try_writing(path: Path) -> None:
    """Make a file's folder and see that files can be written there; leaves no file.

    Raises:
        OSError: naming ``path`` or its folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_beside(path)
    with _errors_name(path, temporary):
        temporary.touch()
        temporary.unlink()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder for small files, in the system's place for them.

    Raises:
        InputError: if there is no such place.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="edgevit-")
    except FileNotFoundError:
        raise InputError(
            "there is no folder that temporary files can be written to", "Set TMPDIR to one"
        ) from None
    with folder as name:
        yield Path(name)


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Keep a second process out of a folder; the lock dies with the process.

    Args:
        folder: Is there already.
        work: What the other process would be, such as ``training``.

    Raises:
        InputError: if another one is writing to it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another {work} is writing to {folder}", "Choose another --out"
            ) from None
        except OSError:
            pass  # some network file systems have no locks; the work goes on without
        yield
    finally:
        os.close(descriptor)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield an empty folder next to ``beside`` that is removed afterwards.

    What a killed process left there is removed as well.

    Raises:
        OSError: if a folder cannot be made there.
    """
    folder = _temporary_beside(beside)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    # rename(2) cannot replace a folder that holds files: move the old one aside first.
    old = target.with_name(f".{target.name}{_REPLACED_MARK}{os.getpid()}")
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    _remove_abandoned(target, _REPLACED_MARK)


@contextmanager
def _parents_made(target: Path) -> Iterator[None]:
    """Make the parent folders; if the block raises, remove those that are new and empty."""
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise


def _temporary_beside(target: Path) -> Path:
    """Return where this process makes ``target``, and remove what killed processes left there."""
    _remove_abandoned(target, TEMPORARY_MARK)
    return target.with_name(f".{target.name}{TEMPORARY_MARK}{os.getpid()}")


def _remove_abandoned(target: Path, mark: str) -> None:
    prefix = f".{target.name}{mark}"
    for name in os.listdir(target.parent):
        process = name.removeprefix(prefix)
        if not name.startswith(prefix) or not process.isdecimal() or _is_alive(int(process)):
            continue
        path = target.parent / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def _errors_name(target: Path, temporary: Path) -> Iterator[None]:
    """Let errors name the path that the user gave, and not the hidden one."""
    try:
        yield
    except OSError as error:
        if (name := _name_for(error, target, temporary)) is not None:
            error.filename = name
        raise
    except UnicodeEncodeError as error:
        if error.encoding == "utf-8" or error.encoding != sys.getfilesystemencoding():
            raise
        text = error.object.replace(str(temporary), str(target))
        problem = f"this locale ({error.encoding}) cannot write {text!r}"
        raise InputError(problem, "Set LC_ALL=C.UTF-8") from None


def _name_for(error: OSError, target: Path, temporary: Path) -> str | None:
    """Return the path that an error should name, or ``None`` to leave it as it is."""
    if error.filename is None:
        return str(target) if error.errno in _OF_THE_DISK else None
    name = os.fsdecode(error.filename) if not isinstance(error.filename, int) else ""
    if name == str(temporary):
        refused = isinstance(error, (PermissionError, NotADirectoryError))
        return str(target.parent if refused else target)
    if name.startswith(f"{temporary}{os.sep}"):
        return f"{target}{name.removeprefix(str(temporary))}"
    return None
