"""Unpacking archives from strangers: nothing lands outside the folder, and there is an end."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from edgevit.console import step
from edgevit.errors import InputError

MAX_UNPACKED_BYTES = 64 * 1024**3
MAX_MEMBERS = 1_000_000

_UNSAFE_REMEDY = "Unpack it yourself if you trust it, and give the folder"
_DAMAGED_REMEDY = "Download it again"


def is_archive(path: Path) -> bool:
    """Tell whether ``path`` is a tar file, compressed or not."""
    return path.is_file() and tarfile.is_tarfile(path)


def unpack(
    archive: Path,
    target: Path,
    *,
    max_bytes: int = MAX_UNPACKED_BYTES,
    max_members: int = MAX_MEMBERS,
) -> None:
    """Unpack a tar file into the folder ``target``.

    Only ordinary files and folders are made, with plain permissions.

    Args:
        archive: ``.tar``, or compressed with gzip, bzip2 or xz.
        target: An existing folder.
        max_bytes: Most bytes that may be written.
        max_members: Most files and folders that may be made.

    Raises:
        InputError: if the archive is damaged or too large, or a member would leave ``target`` or
            is a link or a device. What was written before stays; the caller removes it.
    """
    unpacked_bytes = 0
    try:
        with step(f"Unpacking {archive.name}"), tarfile.open(archive, "r:*") as tar:
            for count, member in enumerate(tar, start=1):
                _refuse_unsafe(archive, member, target)
                unpacked_bytes += member.size
                if unpacked_bytes > max_bytes or count > max_members:
                    raise InputError(
                        f"{archive} is too large at {member.name!r}: at most {max_bytes} bytes in "
                        f"{max_members} files are unpacked",
                        _UNSAFE_REMEDY,
                    )
                _unpack_member(tar, member, target)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{archive} is damaged ({error})", _DAMAGED_REMEDY) from error
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        problem = f"{archive} holds {error.filename} both as a file and as a folder"
        raise InputError(problem, _UNSAFE_REMEDY) from error


def _refuse_unsafe(archive: Path, member: tarfile.TarInfo, target: Path) -> None:
    path = PurePosixPath(member.name)
    reason = None
    if path.is_absolute():
        reason = "has an absolute path"
    elif ".." in path.parts:
        reason = "leaves the folder"
    elif "\0" in member.name:
        reason = "has a name with a zero byte"
    elif member.issym() or member.islnk():
        reason = f"is a link to {member.linkname!r}"
    elif not (member.isfile() or member.isdir()):
        reason = "is a device, a pipe or another special file"
    elif hasattr(tarfile, "data_filter"):
        # Python's own opinion, where it has one (3.10.12, 3.11.4 and later).
        try:
            tarfile.data_filter(member, str(target))
        except tarfile.FilterError as error:
            reason = f"is refused by Python ({error})"
    if reason is not None:
        raise InputError(f"{archive}: the member {member.name!r} {reason}", _UNSAFE_REMEDY)


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    path = target / member.name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)
        if file.tell() != member.size:
            raise tarfile.ReadError(f"{member.name!r} ends early")
