"""Data sets of photos that a test draws itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from edgevit import documents
from edgevit.data.dataset import (
    DATASET_FILE,
    KIND,
    PHOTOS_FILE,
    SCHEMA_VERSION,
    SPLITS,
    Dataset,
    DatasetRecord,
    Photo,
    SkippedFile,
    SplitName,
    render_photos,
)
from edgevit.preprocessing import Pixels
from edgevit.storage import record_of, sha256_of_file

Counts = Mapping[SplitName, int]


def write_dataset(
    root: Path,
    counts: Mapping[str, Counts],
    draw: Callable[[int, SplitName, int], Pixels],
    *,
    source: str,
    skipped: Sequence[SkippedFile] = (),
) -> Dataset:
    """Write a data set.

    Args:
        root: Its folder.
        counts: Photos of each split, by class.
        draw: Returns a photo, ``uint8 [height, width, 3]``, from label, split and number.
        source: Where the photos are said to come from.
        skipped: Files that are said to be left out.
    """
    classes = tuple(counts)
    (root / "photos").mkdir(parents=True)
    photos = []
    for split in SPLITS:
        for label, name in enumerate(classes):
            for number in range(counts[name][split]):
                path = root / "photos" / f"{split}-{label}-{number}.png"
                Image.fromarray(draw(label, split, number)).save(path)
                sha256 = sha256_of_file(path)
                photos.append(Photo(sha256, split, label, str(path.relative_to(root))))
    (root / PHOTOS_FILE).write_bytes(render_photos(photos, classes))
    record = DatasetRecord(
        classes=classes,
        source=source,
        split_rule="by hand",
        seed=0,
        skipped=tuple(skipped),
        files={PHOTOS_FILE: record_of(root / PHOTOS_FILE)},
    )
    documents.write(root / DATASET_FILE, KIND, SCHEMA_VERSION, record)
    return Dataset.load(root)
