"""Choosing photos for calibration: from the training split only, evenly over the classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from edgevit.data.dataset import Dataset, Split
from edgevit.errors import InputError
from edgevit.preprocessing import Pixels, Preprocessing

CALIBRATION_IMAGES = 64
HELD_OUT_IMAGES = 32
# Of a set of another size, one image is held out for every so many.
HELD_OUT_SHARE = 4


@dataclass(frozen=True)
class CalibrationSet:
    """Images for an export, none of them from the validation or test split.

    Attributes:
        images: ``uint8 [n, height, width, 3]``, on which ranges are computed.
        held_out: ``uint8 [m, height, width, 3]``, on which the finished file is compared with the
            graph; none of them is in ``images``.
        image_sha256: Hash of each photo's file, those of ``images`` first.
        labels: Label of each, in the same order.
        geometry: What shaped the pixels (:attr:`Preprocessing.geometry`).
        seed: Of the choice.
    """

    images: Pixels
    held_out: Pixels
    image_sha256: tuple[str, ...]
    labels: tuple[int, ...]
    geometry: str
    seed: int

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
    photos than asked for, two thirds calibrate and one third is held out.

    Raises:
        InputError: if fewer than 2 photos are left.
    """
    split = dataset.split("train")
    elsewhere = set(dataset.split("val").hashes()) | set(dataset.split("test").hashes())
    hashes = split.hashes()
    clean = [index for index in _round_robin(split, seed) if hashes[index] not in elsewhere]
    if len(clean) < 2:
        raise InputError(
            f"the training split of {dataset.root} has {len(clean)} photos that are in no other",
            "Calibration needs at least 2: prepare more photos",
        )
    order = clean[: images + held_out]
    if len(order) < images + held_out:
        images = max(1, len(order) * 2 // 3)
    pixels = dataset.pixels("train", preprocessing)
    labels = split.labels()
    return CalibrationSet(
        images=np.ascontiguousarray(pixels[order[:images]]),
        held_out=np.ascontiguousarray(pixels[order[images:]]),
        image_sha256=tuple(hashes[i] for i in order),
        labels=tuple(int(labels[i]) for i in order),
        geometry=preprocessing.geometry,
        seed=seed,
    )


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
