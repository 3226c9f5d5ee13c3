"""Small pairs of runs on real photos, to be compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import documents
from edgevit.compare.candidates import load_candidate
from edgevit.compare.side_by_side import SideBySide, put_side_by_side
from edgevit.data.dataset import (
    DATASET_FILE,
    KIND,
    PHOTOS_FILE,
    SCHEMA_VERSION,
    Dataset,
    render_photos,
)
from edgevit.storage import record_of
from tests.bench.standin import COLOURS, SIZE, make_dataset, make_run

# Labels that are markup where they are not escaped; the last class has no test photo.
HOSTILE = ("<img src=x onerror=alert(1)>", "a|b *c* `d`", "empty & <b>")


def draw_noise(label: str, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return ``uint8 [SIZE, SIZE, 3]`` that differs from label to label and seed to seed."""
    random = np.random.default_rng([seed, len(label)])
    return random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def without_test_photos(dataset: Dataset, label: int) -> Dataset:
    """Rewrite a data set so that a class has no test photo."""
    kept = [p for p in dataset.photos if (p.split, p.label) != ("test", label)]
    path = dataset.root / PHOTOS_FILE
    path.write_bytes(render_photos(kept, dataset.classes))
    record = dataclasses.replace(dataset.record, files={PHOTOS_FILE: record_of(path)})
    documents.write(dataset.root / DATASET_FILE, KIND, SCHEMA_VERSION, record)
    return Dataset.load(dataset.root)


def make_pair(
    root: Path,
    wrong: tuple[int, int] = (1, 8),
    labels: tuple[str, ...] = COLOURS,
    names: tuple[str, str] = ("one", "other"),
) -> SideBySide:
    """Compare two runs whose first ``wrong`` test answers are wrong; the last class is untested."""
    data = make_dataset(root / "data", colours=labels, draw=draw_noise)
    dataset = without_test_photos(data, label=len(labels) - 1)
    runs = [
        make_run(root / "runs" / name, dataset, count)
        for name, count in zip(names, wrong, strict=True)
    ]
    first, second = (load_candidate(run.root) for run in runs)
    return put_side_by_side(first, second, dataset, "test", threads=1)
