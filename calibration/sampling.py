"""Choosing photos for calibration: from the training split only, evenly over the classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from edgevit import console
from edgevit.data.dataset import Dataset, Split
from edgevit.errors import InputError
from edgevit.preprocessing import Pixels, Preprocessing

CALIBRATION_IMAGES = 64
HELD_OUT_IMAGES = 32
# Of a set of another size, one image is held out for every so many.
HELD_OUT_SHARE = 4
# The range of one photo is no range of the model: on 24 classes the logits of vit-tiny's ONNX int8
# keep 28 dB with 1 image, 37 with 8 and 38 with 64. More would shut small data sets out.
MIN_IMAGES = 8
MIN_HELD_OUT = 1
# Standard deviation of each channel, of 255 levels: a photo below it is one colour all over.
_LEAST_CONTRAST = 1.0


@dataclass(frozen=True)
class CalibrationSet:
    """Images for an export, none of them from the validation or test split.

    Attributes:
        images: ``uint8 [n, height, width, 3]``, on which ranges are computed.
        held_out: ``uint8 [m, height, width, 3]``, on which the finished file is compared with the
            graph; none of them is in ``images``.
        image_sha256: Hash of each photo's file, those of ``images`` first.
        labels: Label of each, in the same order.
        classes: Names in label order.
        geometry: What shaped the pixels (:attr:`Preprocessing.geometry`).
        seed: Of the choice.
        dataset_sha256: Of the data set that they come from.
    """

    images: Pixels
    held_out: Pixels
    image_sha256: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    geometry: str
    seed: int
    dataset_sha256: str

    @property
    def sha256(self) -> str:
        """Hash over the photos' hashes and the geometry: equal hashes mean equal images."""
        content = "\n".join([self.geometry, str(len(self.images)), *self.image_sha256])
        return hashlib.sha256(content.encode()).hexdigest()


def sample(
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    images: int = CALIBRATION_IMAGES,
    held_out: int = HELD_OUT_IMAGES,
    seed: int = 0,
) -> CalibrationSet:
    """Draw photos from the training split, round robin over the classes.

    A photo that is in the validation or test split as well, by its hash, is left out. With fewer
    photos than asked for, which is said, both parts shrink by the same share.

    Raises:
        InputError: if fewer than ``MIN_IMAGES`` are asked for or left, or there is too little on
            them (:func:`check_content`).
    """
    if images < MIN_IMAGES:
        raise InputError(
            f"{_counted(images)} {'is' if images == 1 else 'are'} too few for ranges",
            f"Give at least {MIN_IMAGES}: --images {MIN_IMAGES}",
        )
    split = dataset.split("train")
    elsewhere = set(dataset.split("val").hashes()) | set(dataset.split("test").hashes())
    hashes = split.hashes()
    clean = [index for index in _round_robin(split, seed) if hashes[index] not in elsewhere]
    wanted = images + held_out
    if len(clean) < MIN_IMAGES + MIN_HELD_OUT:
        raise InputError(
            f"too few training photos of {dataset.root} are in no other split: {len(clean)}, and "
            f"calibration needs at least {MIN_IMAGES + MIN_HELD_OUT}",
            "Add photos and prepare them again: edgevit data prepare PHOTOS --out DIR",
        )
    order = clean[:wanted]
    if len(order) < wanted:
        most = len(order) - MIN_HELD_OUT
        images = min(max(MIN_IMAGES, len(order) * images // wanted), most)
        console.note(
            f"{dataset.root} has {len(order)} training photos for calibration, fewer than the "
            f"{wanted} wanted: {images} give ranges, {len(order) - images} are held out"
        )
    pixels = dataset.pixels("train", preprocessing)
    labels = split.labels()
    drawn = CalibrationSet(
        images=np.ascontiguousarray(pixels[order[:images]]),
        held_out=np.ascontiguousarray(pixels[order[images:]]),
        image_sha256=tuple(hashes[i] for i in order),
        labels=tuple(int(labels[i]) for i in order),
        classes=dataset.classes,
        geometry=preprocessing.geometry,
        seed=seed,
        dataset_sha256=dataset.sha256,
    )
    check_content(
        drawn,
        f"the training photos of {dataset.root}",
        "Look at the photos, and prepare good ones: edgevit data prepare PHOTOS --out DIR",
    )
    return drawn


def check_content(calibration: CalibrationSet, name: str, remedy: str) -> None:
    """Check that the images can give ranges: enough of them, with something on them, not copies.

    Args:
        calibration: The set.
        name: Of the set or of where its photos come from, for messages.
        remedy: For messages.

    Raises:
        InputError: if there are fewer than ``MIN_IMAGES`` for ranges, or as many but fewer
            different ones; or if more than half of either part have no contrast.
    """
    count = len(calibration.images)
    if count < MIN_IMAGES:
        raise InputError(
            f"{name} has {_counted(count)} for ranges, at least {MIN_IMAGES} are needed", remedy
        )
    for part, first, pixels in (
        ("for ranges", 0, calibration.images),
        ("held out", count, calibration.held_out),
    ):
        flat = [first + index for index, image in enumerate(pixels) if _is_flat(image)]
        if 2 * len(flat) > len(pixels):
            label, sha256 = calibration.labels[flat[0]], calibration.image_sha256[flat[0]]
            raise InputError(
                f"{name}: {len(flat)} of {_counted(len(pixels))} {part} are one colour all over, "
                f"such as {sha256[:12]}… of class {calibration.classes[label]!r}",
                remedy,
            )
    different = len({hashlib.sha256(image.tobytes()).digest() for image in calibration.images})
    if different < MIN_IMAGES:
        raise InputError(
            f"{name}: the {_counted(count)} for ranges are copies of {different}, at least "
            f"{MIN_IMAGES} different ones are needed",
            remedy,
        )


def _is_flat(image: Pixels) -> bool:
    return bool(image.std(axis=(0, 1)).max() < _LEAST_CONTRAST)


def _counted(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _round_robin(split: Split, seed: int) -> list[int]:
    """Return every index, a seeded one of each class in turn."""
    labels = split.labels()
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    seen: dict[int, int] = {}
    turns = []
    for index in shuffled:
        label = int(labels[index])
        seen[label] = seen.get(label, 0) + 1
        turns.append(seen[label])
    # A stable sort by turn keeps the shuffled order inside each turn.
    return [int(index) for index in shuffled[np.argsort(turns, kind="stable")]]
