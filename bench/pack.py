"""A pack: bundles, photos and the full-precision reference in one file, for a device.

``NAME.zip`` holds ``pack.json`` (this record, with the hash of every other file),
``exports/BUNDLE/…``, ``runs/RUN/`` (``run.json`` and ``reference.npz``: the full-precision answers,
no weights) and ``evaluation/`` (:mod:`edgevit.bench.evaluation`). A device needs nothing else but
the runtimes.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgevit import __version__, documents, storage
from edgevit.bench.accuracy import check_classes, find_reference, find_run, read_answers
from edgevit.bench.evaluation import EvaluationSet, PackedPhotos, write_photos
from edgevit.bundle import BUNDLE_FILE, Bundle
from edgevit.errors import InputError
from edgevit.run import REFERENCE_FILE, RUN_FILE
from edgevit.storage import FileRecord

SUFFIX = ".zip"
PACK_FILE = "pack.json"
KIND = "edgevit.pack"
SCHEMA_VERSION = 1

# What a pack may hold: the 8,580 test photos of Stanford Dogs in one geometry take 1.3 GB.
MAX_MEMBER_BYTES = 4 << 30
MAX_PACK_BYTES = 8 << 30
MAX_MEMBERS = 10_000
_MAX_RECORD_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_FREE_BYTES_KEPT = 64 << 20

_EXPORTS, _RUNS, _EVALUATION = "exports", "runs", "evaluation"
_DAMAGED_REMEDY = "Copy the pack again, or make it again with edgevit pack"


@dataclass(frozen=True)
class PackRecord:
    """The body of ``pack.json``.

    Attributes:
        edgevit: The version that made it.
        bundles: Names of the folders below ``exports/``.
        files: Every file but this record, by its path inside, with its hash.
    """

    edgevit: str
    bundles: tuple[str, ...]
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        if not self.bundles:
            raise InputError("there is no bundle in the pack")
        for name in self.bundles:
            if f"{_EXPORTS}/{name}/{BUNDLE_FILE}" not in self.files:
                raise InputError(f"the bundle {name!r} is not among the files")


@dataclass(frozen=True)
class Pack:
    """An unpacked pack.

    Attributes:
        folder: Where it was unpacked.
        bundles: The bundles' folders.
        evaluation_folder: Where :class:`~edgevit.bench.evaluation.PackedPhotos` are.
        source: The pack's file.
    """

    folder: Path
    bundles: tuple[Path, ...]
    evaluation_folder: Path
    source: Path

    @property
    def evaluation(self) -> PackedPhotos:
        """The photos."""
        return PackedPhotos(self.evaluation_folder, str(self.source))


def write_pack(
    target: Path, bundles: Sequence[Bundle], photos: EvaluationSet, *, force: bool = False
) -> PackRecord:
    """Write a pack, whole or not at all.

    Args:
        target: The ``.zip`` file.
        bundles: What is measured; their runs' answers must be at hand.
        photos: Test photos of the classes that the bundles know.
        force: Replace ``target``.

    Raises:
        InputError: if ``target`` exists, two bundles share a name, a bundle has other classes than
            the photos, or its run is not here or is another one.
    """
    _check_target(target, force=force)
    names = [bundle.root.resolve().name for bundle in bundles]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two bundles are called {name}", "Rename one of the folders")
        if _leads_out(name):
            raise InputError(
                f"a pack cannot hold a folder called {name!r}", "Rename the bundle's folder"
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    with storage.scratch_folder(target) as scratch:
        folder, archive = scratch / "content", scratch / target.name
        for name, bundle in zip(names, bundles, strict=True):
            check_classes(bundle, photos)
            _copy_bundle(bundle, folder / _EXPORTS / name)
            _copy_answers(bundle, folder / _RUNS / bundle.run_name)
        geometries = [bundle.record.spec.preprocessing for bundle in bundles]
        write_photos(folder / _EVALUATION, photos, geometries)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): storage.record_of(path) for path in paths}
        record = PackRecord(__version__, tuple(names), files)
        for name, file in files.items():
            if file.size_bytes > MAX_MEMBER_BYTES:
                raise InputError(
                    f"{name} has {file.size_bytes:,} bytes, a pack's file at most "
                    f"{MAX_MEMBER_BYTES:,}",
                    "Pack fewer photos: --images N",
                )
        _write_zip(archive, folder, record)
        archive.replace(target)
    return record


def _check_target(target: Path, *, force: bool) -> None:
    if target.suffix != SUFFIX:
        raise InputError(
            f"a pack's name ends in {SUFFIX}, {target} does not", f"Choose --out NAME{SUFFIX}"
        )
    if target.exists() and not force:
        raise InputError(f"{target} exists already", "Choose another --out, or add --force")
    if target.exists() and not zipfile.is_zipfile(target):
        raise InputError(f"{target} is no pack, and is not replaced", "Choose another --out")


def _copy_bundle(bundle: Bundle, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in (BUNDLE_FILE, *bundle.record.files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.root / name, folder / name)


def _copy_answers(bundle: Bundle, folder: Path) -> None:
    if folder.exists():  # several bundles of one run
        if storage.sha256_of_file(folder / RUN_FILE) != bundle.run_sha256:
            raise InputError(
                f"two different runs are called {bundle.run_name}",
                "Pack their bundles into two files",
            )
        return
    find_reference(bundle)  # so that damaged answers are noticed here, not on the device
    run = find_run(bundle)
    folder.mkdir(parents=True)
    for name in (RUN_FILE, REFERENCE_FILE):
        shutil.copyfile(run / name, folder / name)


def _write_zip(archive: Path, folder: Path, record: PackRecord) -> None:
    # Level 1: pixels and int8 weights shrink little, and a Raspberry Pi has to unpack them.
    with archive.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            made.writestr(PACK_FILE, documents.render(KIND, SCHEMA_VERSION, record))
            for name in record.files:
                made.write(folder / name, name)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def open_pack(path: Path) -> Iterator[Pack]:
    """Unpack beside the file, check every byte, and remove the folder afterwards.

    Raises:
        InputError: if it is no pack, is damaged, too large, holds a path that leads elsewhere, or a
            reference of another run than its bundles'.
    """
    if not path.is_file():
        raise InputError(f"there is no pack at {path}", "Make one: edgevit pack exports/ -o FILE")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path} is no intact zip file ({error})", _DAMAGED_REMEDY) from None
    with archive, _unpacking_folder(path) as folder:
        record = _checked_record(archive, path)
        _check_room(folder, record, path)
        for name, expected in record.files.items():
            _unpack(archive, name, expected, folder, path)
        pack = Pack(
            folder=folder,
            bundles=tuple(folder / _EXPORTS / name for name in record.bundles),
            evaluation_folder=folder / _EVALUATION,
            source=path,
        )
        _check_references(pack)
        yield pack


@contextmanager
def _unpacking_folder(path: Path) -> Iterator[Path]:
    """Beside the pack rather than in /tmp, which is memory on many small devices."""
    place = path.resolve()
    if storage.is_writable_folder(place.parent):
        with storage.scratch_folder(place.with_name(f"{place.name}.unpacked")) as folder:
            yield folder
    else:
        with storage.temporary_folder() as folder:
            yield folder


def _checked_record(archive: zipfile.ZipFile, path: Path) -> PackRecord:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise InputError(f"{path} has {len(members):,} members, no pack has", _DAMAGED_REMEDY)
    names = [member.filename for member in members]
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{path} holds {name!r} twice", _DAMAGED_REMEDY)
    for member in members:
        _check_member(member, path)
    if PACK_FILE not in names:
        raise InputError(f"{path} is no pack: it has no {PACK_FILE}", _DAMAGED_REMEDY)
    with storage.temporary_folder() as scratch:
        copy = scratch / PACK_FILE
        size = archive.getinfo(PACK_FILE).file_size
        if size > _MAX_RECORD_BYTES:
            raise InputError(f"{path}: {PACK_FILE} has {size:,} bytes", _DAMAGED_REMEDY)
        with _opened(archive, PACK_FILE, path) as member_file:
            copy.write_bytes(member_file.read(_MAX_RECORD_BYTES))
        record = documents.read(copy, KIND, SCHEMA_VERSION, PackRecord)
    unlisted = sorted(set(names) ^ {PACK_FILE, *record.files})
    if unlisted:
        raise InputError(
            f"{path}: {unlisted[0]!r} is not both in the file and in its {PACK_FILE}",
            _DAMAGED_REMEDY,
        )
    return record


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = member.filename
    if _leads_out(name):
        raise InputError(f"{path}: the path {name!r} leads out of the pack", _DAMAGED_REMEDY)
    if member.is_dir() or stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{path}: {name!r} is no plain file", _DAMAGED_REMEDY)
    if member.file_size > MAX_MEMBER_BYTES:
        raise InputError(
            f"{path}: {name!r} has {member.file_size:,} bytes, more than any file of a pack "
            f"({MAX_MEMBER_BYTES:,})",
            "Pack fewer photos: edgevit pack --images N",
        )


def _leads_out(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return name.startswith("/") or "\\" in name or ":" in name or ".." in parts or not parts


def _check_room(folder: Path, record: PackRecord, path: Path) -> None:
    needed = sum(file.size_bytes for file in record.files.values())
    if needed > MAX_PACK_BYTES:
        raise InputError(
            f"{path} unpacks to {needed:,} bytes, at most {MAX_PACK_BYTES:,} are allowed",
            "Pack fewer photos: edgevit pack --images N",
        )
    free = shutil.disk_usage(folder).free
    if needed + _FREE_BYTES_KEPT > free:
        raise InputError(
            f"{path} unpacks to {needed:,} bytes, {free:,} are free at {folder.parent}",
            "Free some space, or move the pack to another disk",
        )


def _unpack(
    archive: zipfile.ZipFile, name: str, expected: FileRecord, folder: Path, path: Path
) -> None:
    """Write one member, never more than its recorded size, and check its hash."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    left = expected.size_bytes
    try:
        with _opened(archive, name, path) as member, target.open("xb") as file:
            while left > 0 and (chunk := member.read(min(left, _CHUNK_BYTES))):
                file.write(chunk)
                left -= len(chunk)
            whole = left == 0 and not member.read(1)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {name!r} is damaged ({error})", _DAMAGED_REMEDY) from None
    if not whole or storage.sha256_of_file(target) != expected.sha256:
        raise InputError(f"{path}: {name!r} is not what its {PACK_FILE} records", _DAMAGED_REMEDY)


def _opened(archive: zipfile.ZipFile, name: str, path: Path) -> IO[bytes]:
    try:
        return archive.open(name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        # A header that lies, an unknown compression, a password.
        raise InputError(f"{path}: {name!r} cannot be read ({error})", _DAMAGED_REMEDY) from None


def _check_references(pack: Pack) -> None:
    for folder in pack.bundles:
        bundle = Bundle.load(folder)
        run = pack.folder / _RUNS / bundle.run_name / RUN_FILE
        if not run.is_file() or storage.sha256_of_file(run) != bundle.run_sha256:
            raise InputError(
                f"{pack.source}: the reference of {bundle.run_name} is not the one that "
                f"{bundle.name} was exported from (the sha256 of its {RUN_FILE} differs)",
                "Make the pack again from one set of runs and exports",
            )
        read_answers(run.parent)
