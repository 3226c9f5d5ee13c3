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


@dataclass(frozen=True)
class CalibrationSet:
    """Images for an export, none of them from the validation or test split.

    Attributes:
        images: ``uint8 [n, height, width, 3]``, on which ranges are computed.
        held_out: ``uint8 [m, height, width, 3]``, on which the finished file is compared with the
            graph; none of them is in ``images``.
        sha256: Hash over the photos' hashes and the geometry: equal hashes mean equal images.
    """

    images: Pixels
    held_out: Pixels
    sha256: str


def sample(
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    images: int = CALIBRATION_IMAGES,
    held_out: int = HELD_OUT_IMAGES,
    seed: int = 0,
) -> CalibrationSet:
    """Draw photos from the training split, round robin over the classes.

    With fewer photos than asked for, two thirds calibrate and one third is held out.

    Raises:
        InputError: if the training split has fewer than 2 photos.
    """
    split = dataset.split("train")
    if len(split.photos) < 2:
        raise InputError(
            f"the training split of {dataset.root} has {len(split.photos)} photos",
            "Calibration needs at least 2: prepare more photos",
        )
    order = _round_robin(split, seed)[: images + held_out]
    if len(order) < images + held_out:
        images = max(1, len(order) * 2 // 3)
    pixels = dataset.pixels("train", preprocessing)
    hashes = split.hashes()
    content = "\n".join([preprocessing.geometry, str(images), *(hashes[i] for i in order)])
    return CalibrationSet(
        images=np.ascontiguousarray(pixels[order[:images]]),
        held_out=np.ascontiguousarray(pixels[order[images:]]),
        sha256=hashlib.sha256(content.encode()).hexdigest(),
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
