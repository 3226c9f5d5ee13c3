"""What a benchmark leaves behind: one document with a row per model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit import documents
from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.protocol import LatencyResult, Protocol
from edgevit.errors import InputError
from edgevit.machine import Machine
from edgevit.run import ReferenceRecord
from edgevit.runtimes.base import Placement

KIND = "edgevit.bench"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Measurement:
    """Everything measured about one model.

    Attributes:
        run_name: The run that the model is or comes from.
        run_sha256: Hash of that run's ``run.json``.
        reference: The run's full-precision test result, from where it was trained.
        dataset_path: The photos used here.
        dataset_sha256: Hash of their record.
        same_photos: True if they are the photos that the run was trained and tested on.
        size_bytes: Of the model file.
    """

    format: str
    precision: str
    size_bytes: int
    run_name: str
    run_sha256: str
    reference: ReferenceRecord
    dataset_path: str
    dataset_sha256: str
    same_photos: bool
    accuracy: AccuracyResult
    latency: LatencyResult
    placement: Placement


@dataclass(frozen=True)
class BenchRow:
    """One model: its measurement, or why there is none.

    Attributes:
        name: Of the bundle or run; its folder's name where it could not be opened.
        path: The folder.
        measurement: ``None`` if the row failed.
        error: What went wrong; ``None`` if the row succeeded.
    """

    name: str
    path: str
    measurement: Measurement | None
    error: str | None

    def __post_init__(self) -> None:
        if (self.measurement is None) == (self.error is None):
            raise InputError(f"the row {self.name} needs either a measurement or an error")


@dataclass(frozen=True)
class BenchResult:
    """The body of ``results/NAME.json``.

    Attributes:
        started: When, ISO 8601 with the time zone.
        cpu_affinity: Cores that the process might use; empty where unknown.
        threads: Of each model.
        versions: Of edgevit and of the installed packages that matter.
    """

    started: str
    machine: Machine
    cpu_affinity: tuple[int, ...]
    versions: dict[str, str]
    threads: int
    protocol: Protocol
    rows: tuple[BenchRow, ...]

    @property
    def failed_count(self) -> int:
        """Number of rows without a measurement."""
        return sum(row.error is not None for row in self.rows)


def write_result(path: Path, result: BenchResult) -> None:
    """Write the result, atomically."""
    documents.write(path, KIND, SCHEMA_VERSION, result)


def read_result(path: Path) -> BenchResult:
    """Read and validate a result.

    Raises:
        InputError: if the file is missing or is no intact result.
    """
    return documents.read(path, KIND, SCHEMA_VERSION, BenchResult)
