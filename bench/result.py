"""What a benchmark leaves behind: one document with a row per model, thread count and device."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from edgevit import documents
from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.protocol import LatencyResult, Protocol, Repeats, SustainedMinute
from edgevit.errors import InputError
from edgevit.machine import Machine
from edgevit.run import ReferenceRecord
from edgevit.runtimes.base import AcceleratorUse, Placement

KIND = "edgevit.bench"
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class EvaluationRecord:
    """The photos that a model was timed and scored on.

    Attributes:
        source: The data set's folder or the pack's file.
        dataset_sha256: Hash of the data set's record.
        image_count: Photos that the accuracy rests on.
        same_photos: True if they are the test photos of the model's own run.
        calibrated_count: How many of them the model was calibrated on; ``None`` where the bundle
            does not say. Any makes the accuracy look better than it is.
    """

    source: str
    dataset_sha256: str
    image_count: int
    same_photos: bool
    calibrated_count: int | None


@dataclass(frozen=True)
class ColdStart:
    """From a fresh Python process to the first answer, several times; milliseconds.

    Attributes:
        import_ms: Of the runtime's package; NumPy is there already.
        load_ms: Reading and compiling the model.
        first_inference_ms: The first answer.
        cache_state: What was already in memory, in words.
    """

    import_ms: tuple[float, ...]
    load_ms: tuple[float, ...]
    first_inference_ms: tuple[float, ...]
    cache_state: str


@dataclass(frozen=True)
class MemoryUse:
    """Resident memory of a process that only runs the model, bytes; not sampled while timing.

    Attributes:
        baseline_bytes: With the interpreter and the runtime imported, no model.
        loaded_bytes: With the model loaded.
        peak_bytes: The most at any time, over a few inferences.
    """

    baseline_bytes: int
    loaded_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class ConditionSample:
    """The state of the device at one moment.

    Attributes:
        seconds: Since the row began.
        temperature_c: Of the processor, degrees Celsius; ``None`` where unknown.
        clock_mhz: Of the slowest core, megahertz; ``None`` where unknown.
        throttled: Bits of ``vcgencmd get_throttled``; ``None`` on other devices than a Pi.
    """

    seconds: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: int | None


@dataclass(frozen=True)
class Conditions:
    """The state of the device while a row was measured.

    Attributes:
        samples: Once a second.
        new_throttling: What began or happened meanwhile, in words, such as ``under-voltage``. Any
            invalidates the times.
        clock_jump_seconds: How far the time of day was set meanwhile, or the machine slept; 0.0 if
            neither. Times are taken from a clock that this does not touch.
    """

    samples: tuple[ConditionSample, ...]
    new_throttling: tuple[str, ...]
    clock_jump_seconds: float


@dataclass(frozen=True)
class Measurement:
    """Everything measured about one model.

    Attributes:
        model: The architecture, such as ``vit-b32``.
        size_bytes: Of the model: what a device needs but labels and record.
        model_sha256: Hash of the bundle's or run's record, which holds the hashes of its files.
        run_name: The run that the model is or comes from.
        run_sha256: Hash of that run's ``run.json``.
        reference: The run's full-precision test result, from where it was trained.
        accuracy: ``None`` where the tool that ran cannot score photos.
        latency: Of the model alone, over all repeats.
        end_to_end: From an encoded photo in memory to its best label; ``None`` without photo files.
        accelerator: ``None`` on a CPU.
        conditions: ``None`` where they were not watched.
        sustained: A minute each; empty without ``--sustained``.
        warnings: What must be known before these numbers are used, in words.
    """

    model: str
    format: str
    precision: str
    size_bytes: int
    model_sha256: str
    run_name: str
    run_sha256: str
    reference: ReferenceRecord
    evaluation: EvaluationRecord
    accuracy: AccuracyResult | None
    latency: LatencyResult
    repeats: Repeats
    placement: Placement
    end_to_end: LatencyResult | None = None
    cold_start: ColdStart | None = None
    memory: MemoryUse | None = None
    accelerator: AcceleratorUse | None = None
    conditions: Conditions | None = None
    sustained: tuple[SustainedMinute, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def headline_valid(self) -> bool:
        """False if the device throttled: its times are then not the device's."""
        return self.conditions is None or not self.conditions.new_throttling


@dataclass(frozen=True)
class BenchRow:
    """One model with one number of threads on one device: its measurement, or why there is none.

    Attributes:
        name: Of the bundle or run; its folder's name where it could not be opened.
        path: The folder.
        threads: Of the model.
        device: What was asked for, in words: ``cpu``, or kind and name such as ``npu NPU``.
        measurement: ``None`` if the row failed or its device is absent.
        error: What went wrong.
        absent: Why the device that was asked for is not there.
    """

    name: str
    path: str
    threads: int
    device: str
    measurement: Measurement | None = None
    error: str | None = None
    absent: str | None = None

    def __post_init__(self) -> None:
        outcomes = (self.measurement, self.error, self.absent)
        if sum(outcome is not None for outcome in outcomes) != 1:
            raise InputError(f"the row {self.name} needs one of measurement, error and absent")


@dataclass(frozen=True)
class BenchResult:
    """The body of ``results/NAME.json``.

    Attributes:
        started: When, ISO 8601 with the time zone.
        tool: What ran the models: ``edgevit bench``, ``edgevit reference``, ``benchmark_model``, …
        target: ``cpu``, ``pi``, ``npu``, ``gpu`` or ``phone``.
        cpu_affinity: Cores that the process might use; empty where unknown.
        versions: Of edgevit and of the installed packages that matter.
        notes: About the device as a whole, for people.
        settings: What else was asked for and shapes the rows, such as the photos.
    """

    started: str
    tool: str
    target: str
    machine: Machine
    cpu_affinity: tuple[int, ...]
    versions: dict[str, str]
    protocol: Protocol
    rows: tuple[BenchRow, ...]
    notes: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def failed_count(self) -> int:
        """Number of rows that went wrong."""
        return sum(row.error is not None for row in self.rows)

    @property
    def measured_count(self) -> int:
        """Number of rows with a measurement."""
        return sum(row.measurement is not None for row in self.rows)


def refuse_other_file(path: Path) -> None:
    """Refuse to replace a file that is no result, even by force: a model, a pack, someone's notes.

    Raises:
        InputError: naming the file.
    """
    if not path.exists():
        return
    try:
        is_result = json.loads(path.read_text(encoding="utf-8"))["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        is_result = False
    if not is_result:
        raise InputError(
            f"{path} is no result of edgevit, and is not replaced", "Choose another --out"
        )


def write_result(path: Path, result: BenchResult) -> None:
    """Write the result, atomically."""
    documents.write(path, KIND, SCHEMA_VERSION, result)


def read_result(path: Path) -> BenchResult:
    """Read and validate a result.

    Raises:
        InputError: if the file is missing or is no intact result.
    """
    return documents.read(path, KIND, SCHEMA_VERSION, BenchResult)
