"""The photos that a model is timed and scored on: a data set's split, or those of a pack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgevit import documents, storage
from edgevit.data.dataset import Dataset, SplitName
from edgevit.errors import InputError
from edgevit.metrics import Labels
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.storage import FileRecord

EVALUATION_FILE = "evaluation.json"
KIND = "edgevit.evaluation"
SCHEMA_VERSION = 1

# Photo files for the end-to-end times: enough for several sizes, few enough for a small pack.
ENCODED_PHOTOS = 16

_DAMAGED_REMEDY = "Copy the pack again, or make it again with edgevit pack"
_ENCODED_FOLDER = "photos"


class PixelRows:
    """Images in a ``.npy`` file, read when they are asked for.

    A memory map would count as this process's memory once it was read, and memory is measured.

    Args:
        pixels: ``uint8 [n, height, width, 3]``, a memory map of a file.
        rows: Which of its rows these are, in order; ``None`` for all.
    """

    def __init__(self, pixels: Pixels, rows: npt.NDArray[np.int64] | None = None) -> None:
        if not isinstance(pixels, np.memmap) or pixels.filename is None:
            raise TypeError("these pixels are not mapped from a file")
        self._path = Path(pixels.filename)
        self._offset = int(pixels.offset)
        self._shape = pixels.shape[1:]
        self._row_bytes = int(np.prod(self._shape))
        self._rows = np.arange(len(pixels)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> Pixels:
        """Return ``uint8 [k, height, width, 3]`` for a slice or ``int64 [k]`` positions."""
        rows = self._rows[chosen]
        pixels = np.empty((len(rows), *self._shape), dtype=np.uint8)
        for index, row in enumerate(rows):
            offset = self._offset + int(row) * self._row_bytes
            read = np.fromfile(self._path, np.uint8, self._row_bytes, offset=offset)
            pixels[index] = read.reshape(self._shape)
        return pixels


class EvaluationSet(Protocol):
    """Labelled photos that no model has seen."""

    @property
    def source(self) -> str:
        """Where they are: the data set's folder, or the pack's file."""

    @property
    def split(self) -> SplitName:
        """Which part of the data set they are."""

    @property
    def dataset_sha256(self) -> str:
        """Hash of the data set's record."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in label order."""

    @property
    def labels(self) -> Labels:
        """Label of each photo, ``int64 [n]``."""

    @property
    def image_sha256(self) -> tuple[str, ...]:
        """Hash of each photo's file."""

    def pixels(self, preprocessing: Preprocessing) -> PixelRows:
        """Return the photos as a model takes them.

        Raises:
            InputError: if they are not to be had in that geometry.
        """

    def encoded(self) -> tuple[bytes, ...]:
        """Return up to :data:`ENCODED_PHOTOS` photo files; fewer where they are not here."""


class DatasetPhotos:
    """A split of a data set, or some of its photos.

    Args:
        dataset: The data set.
        split: Which photos.
        image_limit: At most so many, evenly over the classes; ``None`` for all.

    Raises:
        InputError: if the split is empty.
    """

    def __init__(
        self, dataset: Dataset, split: SplitName = "test", image_limit: int | None = None
    ) -> None:
        photos = dataset.split(split).photos
        if not photos:
            raise InputError(
                f"the {split} split of {dataset.root} is empty",
                "Prepare the photos again with a share for it",
            )
        self._dataset = dataset
        self.split: SplitName = split
        self.source = str(dataset.root)
        self.dataset_sha256 = dataset.sha256
        self.classes = dataset.classes
        every = np.array([photo.label for photo in photos], dtype=np.int64)
        self._rows = evenly_chosen(every, image_limit)
        self._photos = tuple(photos[row] for row in self._rows)
        self.labels = every[self._rows]
        self.image_sha256 = tuple(photo.sha256 for photo in self._photos)

    def pixels(self, preprocessing: Preprocessing) -> PixelRows:
        """Return the photos in the model's geometry, from the data set's cache."""
        return PixelRows(self._dataset.pixels(self.split, preprocessing), self._rows)

    def encoded(self) -> tuple[bytes, ...]:
        """Return photo files that are still as they were when the data set was made."""
        chosen = spread(len(self._photos), ENCODED_PHOTOS)
        found = []
        for photo in (self._photos[index] for index in chosen):
            path = self._dataset.photo_path(photo)
            data = path.read_bytes() if path.is_file() else b""
            if storage.sha256_of_bytes(data) == photo.sha256:
                found.append(data)
        return tuple(found)


@dataclass(frozen=True)
class PackedPhotosRecord:
    """The body of ``evaluation.json``.

    Attributes:
        source: The data set that they were taken from.
        labels: Of each photo.
        arrays: File of the pixels by geometry.
        encoded: Files of a few photos as they were taken.
        files: Hashes of the other files.
    """

    source: str
    split: SplitName
    dataset_sha256: str
    classes: tuple[str, ...]
    labels: tuple[int, ...]
    image_sha256: tuple[str, ...]
    arrays: dict[str, str]
    encoded: tuple[str, ...]
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        if not self.labels or len(self.labels) != len(self.image_sha256):
            raise InputError(f"{len(self.labels)} labels for {len(self.image_sha256)} photos")
        if not all(0 <= label < len(self.classes) for label in self.labels):
            raise InputError(f"a label is not one of the {len(self.classes)} classes")
        for name in (*self.arrays.values(), *self.encoded):
            if name not in self.files:
                raise InputError(f"{name!r} has no recorded hash")


class PackedPhotos:
    """Photos that :func:`write_photos` wrote.

    Args:
        folder: With ``evaluation.json``.
        source: What to call it; the folder itself if none.

    Raises:
        InputError: if a file is missing or was changed.
    """

    def __init__(self, folder: Path, source: str | None = None) -> None:
        record = documents.read(folder / EVALUATION_FILE, KIND, SCHEMA_VERSION, PackedPhotosRecord)
        storage.verify_files(folder, record.files, _DAMAGED_REMEDY)
        self._folder = folder
        self._record = record
        self.split: SplitName = record.split
        self.source = source or str(folder)
        self.dataset_sha256 = record.dataset_sha256
        self.classes = record.classes
        self.labels = np.array(record.labels, dtype=np.int64)
        self.image_sha256 = record.image_sha256

    def pixels(self, preprocessing: Preprocessing) -> PixelRows:
        """Return the photos in the model's geometry."""
        name = self._record.arrays.get(preprocessing.geometry)
        if name is None:
            held = ", ".join(sorted(self._record.arrays))
            raise InputError(
                f"{self.source} holds its photos as {held}, the model takes "
                f"{preprocessing.geometry}",
                "Make the pack again with this bundle",
            )
        try:
            pixels = np.load(self._folder / name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._folder / name} cannot be read ({error})", _DAMAGED_REMEDY
            ) from None
        expected = (len(self.labels), preprocessing.height, preprocessing.width, 3)
        if pixels.dtype != np.uint8 or pixels.shape != expected:
            raise InputError(
                f"{self._folder / name} holds {pixels.dtype} {list(pixels.shape)} instead of "
                f"uint8 {list(expected)}",
                _DAMAGED_REMEDY,
            )
        return PixelRows(pixels)

    def encoded(self) -> tuple[bytes, ...]:
        """Return the photo files of the pack."""
        return tuple((self._folder / name).read_bytes() for name in self._record.encoded)


def write_photos(
    folder: Path, photos: EvaluationSet, preprocessings: Iterable[Preprocessing]
) -> None:
    """Write photos in every geometry that is needed; ``folder`` is made.

    Raises:
        InputError: if they are not to be had in one of the geometries.
    """
    (folder / _ENCODED_FOLDER).mkdir(parents=True)
    arrays = {}
    for preprocessing in preprocessings:
        name = f"{preprocessing.geometry}.npy"
        if preprocessing.geometry not in arrays:
            arrays[preprocessing.geometry] = name
            _write_rows(folder / name, photos.pixels(preprocessing))
    encoded = []
    for index, data in enumerate(photos.encoded()):
        encoded.append(f"{_ENCODED_FOLDER}/{index:02}")
        (folder / encoded[-1]).write_bytes(data)
    record = PackedPhotosRecord(
        source=photos.source,
        split=photos.split,
        dataset_sha256=photos.dataset_sha256,
        classes=photos.classes,
        labels=tuple(photos.labels.tolist()),
        image_sha256=photos.image_sha256,
        arrays=arrays,
        encoded=tuple(encoded),
        files={name: storage.record_of(folder / name) for name in (*arrays.values(), *encoded)},
    )
    documents.write(folder / EVALUATION_FILE, KIND, SCHEMA_VERSION, record)


def _write_rows(path: Path, rows: PixelRows) -> None:
    first = rows[:1]
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *first.shape[1:])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for index in range(len(rows)):
            file.write(rows[index : index + 1].tobytes())


def evenly_chosen(labels: Labels, limit: int | None) -> npt.NDArray[np.int64]:
    """Return ``int64`` positions of at most ``limit`` photos, ascending.

    They are as even over the classes as it goes, and evenly spread within each class.
    """
    if limit is None or limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    # Every class gives one photo, then every class a second one, until there are enough.
    turns = np.concatenate([np.arange(len(of_class)) for of_class in members])
    owners = np.repeat(np.arange(len(members)), [len(of_class) for of_class in members])
    taken = np.bincount(owners[np.lexsort((owners, turns))[:limit]], minlength=len(members))
    chosen = [of[spread(len(of), int(count))] for of, count in zip(members, taken, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def spread(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """Return at most ``wanted`` of ``count`` positions, evenly spread from first to last."""
    return np.linspace(0, max(count - 1, 0), min(count, wanted)).round().astype(np.int64)
