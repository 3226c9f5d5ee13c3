"""Runs the rows of a benchmark one after another; a failing row never loses the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from edgevit import console
from edgevit.bench.accuracy import check_classes, evaluate_split
from edgevit.bench.protocol import Protocol, measure_latency
from edgevit.bench.result import BenchResult, BenchRow, Measurement, write_result
from edgevit.data.dataset import Dataset
from edgevit.errors import EdgevitError, InputError
from edgevit.machine import (
    cpu_affinity,
    describe_machine,
    installed_versions,
    logical_cores,
)
from edgevit.preprocessing import Pixels
from edgevit.runtimes.classifier import Classifier, find_kind, open_classifier

# Photos that the timing loop goes round: enough to see many, few enough to hold in memory.
TIMED_PHOTOS = 64


def run_bench(
    paths: Sequence[Path], *, data: Path | None, threads: int, protocol: Protocol, out: Path
) -> BenchResult:
    """Measure models one after another and write the result after each.

    Args:
        paths: Folders of bundles or runs.
        data: The data set's folder; ``None`` takes the one that each model records.
        threads: For each model.
        protocol: The timing rules.
        out: The JSON file.

    Raises:
        InputError: if there are more threads than cores, ``data`` is no data set, or a path is
            neither a bundle nor a run.
    """
    check_threads(threads)
    for path in paths:
        find_kind(path)
    datasets = _Datasets(data)
    result = BenchResult(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=describe_machine(),
        cpu_affinity=cpu_affinity(),
        versions=installed_versions(),
        threads=threads,
        protocol=protocol,
        rows=(),
    )
    # Once before the work: a file that cannot be written is noticed now, not after a minute.
    write_result(out, result)
    for path in paths:
        row = _measured_row(path, datasets, threads, protocol)
        result = dataclasses.replace(result, rows=(*result.rows, row))
        write_result(out, result)
    return result


def check_threads(threads: int) -> None:
    """Refuse more threads than the machine has: their times would mean nothing.

    Raises:
        InputError: if ``threads`` is below 1 or above the logical cores.
    """
    cores = logical_cores()
    if not 1 <= threads <= cores:
        raise InputError(
            f"{threads} threads on a machine of {cores} logical cores",
            f"Choose --threads 1 to {cores}",
        )


class _Datasets:
    """Data sets by folder, each loaded once."""

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self._loaded: dict[Path, Dataset] = {}
        if given is not None:
            self._loaded[given] = Dataset.load(given)

    def of(self, classifier: Classifier) -> tuple[Path, Dataset]:
        """Return the photos to measure a classifier with, and their folder."""
        path = self._given or Path(classifier.dataset.path)
        if path not in self._loaded:
            if not path.is_dir():
                raise InputError(
                    f"the photos that {classifier.name} was trained on are not at {path}",
                    "Copy the data set here and name it: --data DIR",
                )
            self._loaded[path] = Dataset.load(path)
        return path, self._loaded[path]


def _measured_row(path: Path, datasets: _Datasets, threads: int, protocol: Protocol) -> BenchRow:
    name = path.resolve().name
    try:
        classifier = open_classifier(path, threads)
        name = classifier.name
        measurement = measure(classifier, *datasets.of(classifier), protocol)
    except EdgevitError as error:
        return _failed_row(name, path, str(error))
    except Exception as error:
        # A runtime may raise anything; the other rows must still be measured.
        return _failed_row(name, path, f"{type(error).__name__}: {error}")
    return BenchRow(name, str(path), measurement, None)


def _failed_row(name: str, path: Path, error: str) -> BenchRow:
    console.note(f"{name} failed: {error}")
    return BenchRow(name, str(path), None, error)


def measure(
    classifier: Classifier, dataset_path: Path, dataset: Dataset, protocol: Protocol
) -> Measurement:
    """Time a classifier, then score it on the test split through the same session.

    Raises:
        InputError: if the data set is not one of the classifier's classes.
    """
    check_classes(classifier, dataset)
    images = _timed_photos(classifier, dataset)
    with console.step(f"Timing {classifier.name}"):
        latency = measure_latency(classifier.session.invoke, images, protocol)
    return Measurement(
        format=classifier.format,
        precision=classifier.precision,
        size_bytes=classifier.size_bytes,
        run_name=classifier.run_name,
        run_sha256=classifier.run_sha256,
        reference=classifier.reference,
        dataset_path=str(dataset_path),
        dataset_sha256=dataset.sha256,
        same_photos=dataset.sha256 == classifier.dataset.sha256,
        accuracy=evaluate_split(classifier, dataset, "test"),
        latency=latency,
        placement=classifier.session.placement(),
    )


def _timed_photos(classifier: Classifier, dataset: Dataset) -> Pixels:
    """Return photos spread evenly over the test split: the same ones in every benchmark."""
    pixels = dataset.pixels("test", classifier.spec.preprocessing)
    count = min(len(pixels), TIMED_PHOTOS)
    chosen = np.linspace(0, max(len(pixels) - 1, 0), count).round().astype(np.int64)
    return np.asarray(pixels[chosen], dtype=np.uint8)
