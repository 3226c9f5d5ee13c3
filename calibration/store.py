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

from edgevit import console, documents, storage
from edgevit.calibration.sampling import CalibrationSet, check_content
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


def write_set(target: Path, calibration: CalibrationSet, *, force: bool = False) -> None:
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
            classes=calibration.classes,
            seed=calibration.seed,
            dataset_sha256=calibration.dataset_sha256,
            files={name: storage.record_of(folder / name) for name in (IMAGES_FILE, SHEET_FILE)},
        )
        documents.write(folder / CALIBRATION_FILE, KIND, SCHEMA_VERSION, record)


def load_set(root: Path) -> CalibrationSet:
    """Read a set that :func:`write_set` wrote.

    Raises:
        InputError: if there is none, it was changed, or there is too little on its images
            (:func:`.sampling.check_content`).
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
    is_pixels = pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[-1] == 3
    if not is_pixels or pixels.size == 0 or not 0 < count < len(pixels):
        raise InputError(f"{root / IMAGES_FILE} holds no calibration images", _DAMAGED_REMEDY)
    # check_set goes by the hashes: each image must have one.
    if not len(pixels) == len(record.image_sha256) == len(record.labels):
        raise InputError(
            f"{root / CALIBRATION_FILE} has {len(record.image_sha256)} hashes and "
            f"{len(record.labels)} labels for {len(pixels)} images",
            _DAMAGED_REMEDY,
        )
    beyond = [label for label in record.labels if not 0 <= label < len(record.classes)]
    if beyond:
        raise InputError(
            f"{root / CALIBRATION_FILE} has the label {beyond[0]}, which is none of its "
            f"{len(record.classes)} classes (0 to {len(record.classes) - 1})",
            _DAMAGED_REMEDY,
        )
    loaded = CalibrationSet(
        images=pixels[:count],
        held_out=pixels[count:],
        image_sha256=record.image_sha256,
        labels=record.labels,
        classes=record.classes,
        geometry=record.geometry,
        seed=record.seed,
        dataset_sha256=record.dataset_sha256,
    )
    check_content(
        loaded,
        f"the calibration set {root}",
        f"Look at its {SHEET_FILE}, and make another: {MAKE_COMMAND}",
    )
    return loaded


def check_classes(classes: tuple[str, ...], labels: tuple[str, ...], name: str) -> None:
    """Check that photos have the classes of a model, in the same order.

    Args:
        classes: Of the photos.
        labels: The model's.
        name: Of the photos, for messages.

    Raises:
        InputError: naming the first difference.
    """
    if classes == labels:
        return
    remedy = f"Make a set from photos of the run's classes: {MAKE_COMMAND}"
    if len(classes) != len(labels):
        raise InputError(f"{name} has {len(classes)} classes, the run {len(labels)}", remedy)
    index = next(i for i, label in enumerate(labels) if classes[i] != label)
    raise InputError(
        f"class {index} is {classes[index]!r} in {name} and {labels[index]!r} in the run", remedy
    )


def check_set(
    calibration: CalibrationSet,
    name: str,
    *,
    preprocessing: Preprocessing,
    labels: tuple[str, ...],
    dataset_sha256: str,
    forbidden: Collection[str],
) -> None:
    """Check that a set may be used for a model; say it if its photos are from other ones.

    Photos of other sources, of the same classes, are as good for ranges.

    Args:
        calibration: The set.
        name: Of the set, for messages.
        preprocessing: The model's.
        labels: The model's.
        dataset_sha256: Of the photos that the model was trained on.
        forbidden: Hashes of the photos that accuracy is measured on.

    Raises:
        InputError: if its pixels have another shape than the model takes, its classes are not the
            model's, or a photo of it belongs to the validation or test split.
    """
    height, width = calibration.images.shape[1:3]
    said_to_fit = calibration.geometry == preprocessing.geometry
    if not said_to_fit or (height, width) != (preprocessing.height, preprocessing.width):
        held = f"{height}x{width}" if said_to_fit else calibration.geometry
        raise InputError(
            f"the calibration set {name} holds {held} pixels, "
            f"the model takes {preprocessing.geometry}",
            f"Make one from the run's own photos: {MAKE_COMMAND}",
        )
    check_classes(calibration.classes, labels, f"the calibration set {name}")
    shared = set(calibration.image_sha256) & set(forbidden)
    if shared:
        count, verb = ("1 photo", "is") if len(shared) == 1 else (f"{len(shared)} photos", "are")
        raise InputError(
            f"{count} of the calibration set {name} {verb} in the run's validation or test split, "
            f"such as {min(shared)[:12]}…",
            f"Accuracy on them would mean nothing. Make another: {MAKE_COMMAND}",
        )
    if calibration.dataset_sha256 != dataset_sha256:
        console.note(
            f"The photos of {name} are of another data set ({calibration.dataset_sha256[:12]}…) "
            f"than the run's ({dataset_sha256[:12]}…), of the same classes: they are used"
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
