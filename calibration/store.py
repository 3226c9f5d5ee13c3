"""A calibration set on disk: ``calibration/NAME/``, used by every export that is given it.

The folder holds ``images.npy`` (``uint8 [n, height, width, 3]``: the images for the ranges, then
those held out for checks), ``calibration.json`` (this record) and ``contact_sheet.png``.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgevit import documents, storage
from edgevit.calibration.sampling import CalibrationSet
from edgevit.errors import InputError
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.storage import FileRecord

CALIBRATION_FILE = "calibration.json"
IMAGES_FILE = "images.npy"
SHEET_FILE = "contact_sheet.png"
KIND = "edgevit.calibration"
SCHEMA_VERSION = 1

MAKE_COMMAND = "edgevit calibrate --data DIR --out SET"
_DAMAGED_REMEDY = f"The calibration set is damaged: make it again with {MAKE_COMMAND}"
_SHEET_SIDE = 96
_SHEET_COLUMNS = 16


@dataclass(frozen=True)
class CalibrationRecord:
    """The body of ``calibration.json``.

    Attributes:
        geometry: What shaped the pixels.
        image_count: Images for the ranges; the others are held out.
        image_sha256: Hash of each photo's file.
        labels: Label of each.
        classes: Names in label order.
        seed: Of the choice.
        dataset_sha256: Of the data set that they come from.
        files: Hashes of the other files.
    """

    geometry: str
    image_count: int
    image_sha256: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    seed: int
    dataset_sha256: str
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        lost = sorted({IMAGES_FILE, SHEET_FILE} - set(self.files))
        if lost:
            raise InputError(f"{lost[0]} has no recorded hash")


def write_set(
    target: Path,
    calibration: CalibrationSet,
    classes: tuple[str, ...],
    dataset_sha256: str,
    *,
    force: bool = False,
) -> None:
    """Write a set as a folder, whole or not at all.

    Raises:
        InputError: if ``target`` exists and ``force`` is false.
    """
    pixels = np.concatenate([calibration.images, calibration.held_out])
    with storage.folder_in_one_piece(target, force=force, marker=CALIBRATION_FILE) as folder:
        storage.write_atomically(folder / IMAGES_FILE, _npy(pixels))
        storage.write_atomically(folder / SHEET_FILE, contact_sheet(calibration.images))
        record = CalibrationRecord(
            geometry=calibration.geometry,
            image_count=len(calibration.images),
            image_sha256=calibration.image_sha256,
            labels=calibration.labels,
            classes=classes,
            seed=calibration.seed,
            dataset_sha256=dataset_sha256,
            files={name: storage.record_of(folder / name) for name in (IMAGES_FILE, SHEET_FILE)},
        )
        documents.write(folder / CALIBRATION_FILE, KIND, SCHEMA_VERSION, record)


def load_set(root: Path) -> CalibrationSet:
    """Read a set that :func:`write_set` wrote.

    Raises:
        InputError: if there is none, or it was changed.
    """
    if not (root / CALIBRATION_FILE).is_file():
        raise InputError(f"there is no calibration set at {root}", f"Make one: {MAKE_COMMAND}")
    record = documents.read(root / CALIBRATION_FILE, KIND, SCHEMA_VERSION, CalibrationRecord)
    storage.verify_files(root, record.files, _DAMAGED_REMEDY)
    try:
        pixels: Pixels = np.load(root / IMAGES_FILE, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{root / IMAGES_FILE} cannot be read ({error})", _DAMAGED_REMEDY
        ) from None
    count = record.image_count
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or not 0 < count < len(pixels):
        raise InputError(f"{root / IMAGES_FILE} holds no calibration images", _DAMAGED_REMEDY)
    # check_set goes by the hashes: each image must have one.
    if not len(pixels) == len(record.image_sha256) == len(record.labels):
        raise InputError(
            f"{root / CALIBRATION_FILE} has {len(record.image_sha256)} hashes and "
            f"{len(record.labels)} labels for {len(pixels)} images",
            _DAMAGED_REMEDY,
        )
    return CalibrationSet(
        images=pixels[:count],
        held_out=pixels[count:],
        image_sha256=record.image_sha256,
        labels=record.labels,
        geometry=record.geometry,
        seed=record.seed,
    )


def check_set(
    calibration: CalibrationSet, preprocessing: Preprocessing, forbidden: Collection[str], name: str
) -> None:
    """Check that a set may be used for a model.

    Args:
        calibration: The set.
        preprocessing: The model's.
        forbidden: Hashes of the photos that accuracy is measured on.
        name: Of the set, for messages.

    Raises:
        InputError: if its pixels have another shape than the model takes, or a photo of it
            belongs to the validation or test split.
    """
    size = calibration.images.shape[1:3]
    if calibration.geometry != preprocessing.geometry or size != (
        preprocessing.height,
        preprocessing.width,
    ):
        raise InputError(
            f"the calibration set {name} holds {calibration.geometry} pixels, "
            f"the model takes {preprocessing.geometry}",
            f"Make one from the run's own photos: {MAKE_COMMAND}",
        )
    shared = set(calibration.image_sha256) & set(forbidden)
    if shared:
        count, verb = ("1 photo", "is") if len(shared) == 1 else (f"{len(shared)} photos", "are")
        raise InputError(
            f"{count} of the calibration set {name} {verb} in the run's validation or test split, "
            f"such as {min(shared)[:12]}…",
            f"Accuracy on them would mean nothing. Make another: {MAKE_COMMAND}",
        )


def contact_sheet(images: Pixels) -> bytes:
    """Return a PNG of all images, side by side."""
    columns = min(_SHEET_COLUMNS, len(images))
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    longer = max(height, width)
    side = (max(1, _SHEET_SIDE * width // longer), max(1, _SHEET_SIDE * height // longer))
    sheet = Image.new("RGB", (columns * side[0], rows * side[1]), "white")
    for index, pixels in enumerate(images):
        tile = Image.fromarray(pixels).resize(side, Image.Resampling.BILINEAR)
        sheet.paste(tile, (index % columns * side[0], index // columns * side[1]))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _npy(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pixels), allow_pickle=False)
    return buffer.getvalue()
