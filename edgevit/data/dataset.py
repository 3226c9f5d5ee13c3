"""A ``Dataset``: prepared photos on disk, split, with their pixels cached.

``DIR/`` holds ``dataset.json`` (this record), ``photos.csv`` (hash, split, label and path of every
photo) and ``cache/GEOMETRY/{train,val,test}.npy`` (``uint8 [n, height, width, 3]``, in the order
of ``photos.csv``), one folder per image geometry.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from edgevit import documents, storage
from edgevit.console import note
from edgevit.data import cache
from edgevit.errors import InputError
from edgevit.metrics import Labels
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.storage import FileRecord

DATASET_FILE = "dataset.json"
PHOTOS_FILE = "photos.csv"
KIND = "edgevit.dataset"
SCHEMA_VERSION = 1

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

_COLUMNS = ("sha256", "split", "label", "path")
_PREPARE_REMEDY = "Make it with: edgevit data prepare PHOTOS --out DIR"
_DAMAGED_REMEDY = (
    "The data set is damaged: copy it again, or make it again with edgevit data prepare"
)


@dataclass(frozen=True)
class Photo:
    """One usable photo.

    Attributes:
        sha256: Of the file's bytes.
        split: Where it belongs.
        label: Index into the classes.
        path: The file, absolute or relative to the data set's folder.
    """

    sha256: str
    split: SplitName
    label: int
    path: str


@dataclass(frozen=True)
class SkippedFile:
    """A file that could not be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class DatasetRecord:
    """The body of ``dataset.json``.

    Attributes:
        classes: Names in label order.
        source: The folder or archive that the photos came from.
        split_rule: How the split was made, in words.
        seed: Of the split.
        skipped: Files that were left out.
        files: Hashes of the other files (not of the caches, which hold their own).
    """

    classes: tuple[str, ...]
    source: str
    split_rule: str
    seed: int
    skipped: tuple[SkippedFile, ...]
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Split:
    """The photos of one split, in cache order."""

    name: SplitName
    photos: tuple[Photo, ...]

    def labels(self) -> Labels:
        """Return ``int64 [n]``."""
        return np.array([photo.label for photo in self.photos], dtype=np.int64)

    def hashes(self) -> tuple[str, ...]:
        """Return the SHA-256 of each photo's file."""
        return tuple(photo.sha256 for photo in self.photos)


@dataclass(frozen=True)
class Dataset:
    """A prepared data set on disk.

    Attributes:
        root: Its folder.
        record: What ``dataset.json`` says.
        photos: Every photo, ordered by split, then by label.
        sha256: Of ``dataset.json``, which stands for the whole set.
    """

    root: Path
    record: DatasetRecord
    photos: tuple[Photo, ...]
    sha256: str

    @classmethod
    def load(cls, root: Path) -> Dataset:
        """Read and validate a data set that ``edgevit data prepare`` wrote.

        Raises:
            InputError: if ``root`` holds none, or its files were changed.
        """
        path = root / DATASET_FILE
        if not path.is_file():
            raise InputError(
                f"{root} is no prepared data set: it has no {path.name}", _PREPARE_REMEDY
            )
        record = documents.read(path, KIND, SCHEMA_VERSION, DatasetRecord)
        if PHOTOS_FILE not in record.files:
            raise InputError(f"{path} does not record {PHOTOS_FILE}", _DAMAGED_REMEDY)
        storage.verify_files(root, record.files, _DAMAGED_REMEDY)
        photos = parse_photos(root / PHOTOS_FILE, record.classes)
        return cls(root, record, photos, storage.sha256_of_file(path))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        return self.record.classes

    def split(self, name: SplitName) -> Split:
        """Return the photos of one split, in cache order."""
        return Split(name, tuple(photo for photo in self.photos if photo.split == name))

    def photo_path(self, photo: Photo) -> Path:
        """Return where the photo's file lies."""
        return self.root / photo.path

    def pixels(self, split: SplitName, preprocessing: Preprocessing) -> Pixels:
        """Return the pixels of one split, in the order of its photos.

        They are decoded on the first call for a geometry and cached in the data set's folder.

        Args:
            split: Which photos.
            preprocessing: Its geometry is used; the normalisation is not applied.

        Returns:
            ``uint8 [n, height, width, 3]``, RGB, a read-only memory map.

        Raises:
            InputError: if there is no intact cache of that geometry and a photo is gone or changed.
        """
        photos_sha256 = self.record.files[PHOTOS_FILE].sha256
        folder = cache.cache_folder(self.root, preprocessing)
        counts: dict[str, int] = {name: len(self.split(name).photos) for name in SPLITS}
        pixels = cache.open_rows(folder, split, counts, preprocessing, photos_sha256)
        if pixels is None:
            if folder.exists():
                note(f"The cache {folder} does not fit its data set: building it again")
            self._build_cache(folder, preprocessing, photos_sha256)
            pixels = cache.open_rows(folder, split, counts, preprocessing, photos_sha256)
        if pixels is None:
            raise InputError(f"{folder} was changed while it was built", "Check the disk")
        return pixels

    def _build_cache(self, folder: Path, preprocessing: Preprocessing, photos_sha256: str) -> None:
        splits: dict[str, list[cache.PhotoFile]] = {
            name: [
                cache.PhotoFile(self.photo_path(photo), photo.sha256)
                for photo in self.split(name).photos
            ]
            for name in SPLITS
        }
        remedy = (
            f"Prepare the photos again: edgevit data prepare {shlex.quote(self.record.source)} "
            f"--out DIR --size {preprocessing.height}"
        )
        cache.build(folder, splits, preprocessing, photos_sha256, remedy)


def render_photos(photos: Iterable[Photo], classes: tuple[str, ...]) -> bytes:
    """Return the bytes of ``photos.csv``: a header, then one row per photo."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for photo in photos:
        writer.writerow((photo.sha256, photo.split, classes[photo.label], photo.path))
    return text.getvalue().encode()


def parse_photos(path: Path, classes: tuple[str, ...]) -> tuple[Photo, ...]:
    """Read a ``photos.csv``.

    Raises:
        InputError: naming the first row that is not valid.
    """
    labels = {name: label for label, name in enumerate(classes)}
    photos = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != _COLUMNS:
            raise InputError(f"{path} should begin with {','.join(_COLUMNS)}", _DAMAGED_REMEDY)
        for row in rows:
            photo = _parse_row(row, labels)
            if photo is None:
                raise InputError(
                    f"{path}, line {rows.line_num}: {row} is no photo", _DAMAGED_REMEDY
                )
            photos.append(photo)
    return tuple(photos)


def _parse_row(row: list[str], labels: dict[str, int]) -> Photo | None:
    if len(row) != len(_COLUMNS):
        return None
    sha256, split, label, path = row
    for name in SPLITS:
        if split == name and label in labels:
            return Photo(sha256, name, labels[label], path)
    return None
