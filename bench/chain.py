"""The honest chain: from full precision to a small file on a device, one change at a time.

"Full precision on a GPU against int8 on a Pi" mixes the device, the runtime and the precision. The
chain takes the steps one by one and says at each what changed: the run's own reference, where it
was trained; the same model measured with Keras, on this device or another; its fp32 export here;
and its lower precisions here. Accuracy is always compared with the run's reference, photo by photo
where its answers are known; times are compared with the fp32 export of the same device, format and
threads, and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.protocol import MAX_REPEAT_SPREAD
from edgevit.bench.result import BenchResult, BenchRow, Measurement
from edgevit.machine import Machine
from edgevit.run import ReferenceRecord

FULL_PRECISION = "fp32"
KERAS = "keras"
FP32_NOT_MEASURED = (
    "the fp32 export was not measured here, so device, runtime and precision cannot be told apart"
)

StepKind = Literal["training", "reference", "fp32 export", "lower precision"]

_GPU_WORDS = re.compile(r"nvidia|geforce|tesla|quadro|radeon|instinct|\bgpu\b", re.I)
_CPU_WORDS = re.compile(r"\bcpu\b|xeon|intel|epyc|ryzen|cortex|neoverse|processor", re.I)
_TRADE_MARKS = re.compile(r"\((?:R|TM)\)|®|™", re.I)
# "2nd Gen Intel Core … CPU @ 2.10GHz" and "… Rev 1.0" say nothing that a heading needs.
_TAILS = re.compile(r"\s+CPU\b|\s+@ [\d.]+ ?GHz|\s+Rev [\d.]+$|(\s+\d+-Core)?\s+Processor\b", re.I)


@dataclass(frozen=True)
class Step:
    """One link of the chain.

    Attributes:
        name: Of the run or bundle.
        device: Machine, and accelerator if any, in words.
        runtime: The format that ran, such as ``keras`` or ``tflite``.
        changed: What differs from the step that it is compared with, in words; empty for the first.
        top1: Share of photos classified right, 0–1; ``None`` where it was not scored.
        accuracy: With the drop against the run's reference; ``None`` for the reference itself and
            where it was not scored.
        latency_ms_p50: Median, milliseconds.
        speed_up: How many times faster than the fp32 export of the same branch; ``None`` without
            one, or where one of the two times is not valid.
        size_bytes: ``None`` where the model was not exported or measured.
        headline_valid: False if the device throttled meanwhile.
    """

    kind: StepKind
    name: str
    device: str
    runtime: str
    precision: str
    changed: tuple[str, ...]
    top1: float | None
    accuracy: AccuracyResult | None
    latency_ms_p50: float
    speed_up: float | None = None
    size_bytes: int | None = None
    headline_valid: bool = True

    @property
    def drop_points(self) -> float | None:
        """Top-1 lost against the run's reference, percentage points; paired where it can be."""
        if self.accuracy is None:
            return None
        paired = self.accuracy.paired
        return self.accuracy.unpaired_drop_points if paired is None else paired.drop_points

    @property
    def agreement(self) -> float | None:
        """Share of photos with the reference's top-1 label, 0–1."""
        if self.accuracy is None or self.accuracy.paired is None:
            return None
        return self.accuracy.paired.agreement


@dataclass(frozen=True)
class Branch:
    """One device, format and number of threads: the exports of a run that were measured there.

    Attributes:
        result_index: Position of its result among those given.
        machine: The result's label.
        device: As asked for, such as ``cpu``.
        steps: The fp32 export first, if it was measured.
        notes: What the steps do not show, without full stops.
    """

    result_index: int
    machine: str
    device: str
    format: str
    threads: int
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RunChain:
    """Everything measured of one run.

    Attributes:
        model: The architecture, such as ``vit-b32``.
        references: The run's own reference, then each measurement of it with Keras.
    """

    run_name: str
    run_sha256: str
    model: str
    references: tuple[Step, ...]
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class _Found:
    """A measured row and where it was measured."""

    index: int
    machine: Machine
    label: str
    row: BenchRow
    measurement: Measurement

    @property
    def device(self) -> str:
        return place_name(self.label, self.row.device)

    @property
    def is_keras(self) -> bool:
        return self.measurement.format.startswith(KERAS)


def machine_name(machine: Machine) -> str:
    """Return a short name: the board's, or the processor's without trade marks and clocks."""
    name = _TRADE_MARKS.sub("", machine.board or machine.cpu.model)
    return " ".join(_TAILS.sub("", name).split()) or "unnamed machine"


def machine_labels(results: Sequence[BenchResult]) -> tuple[str, ...]:
    """Name each result's machine; results of one machine are told apart by when they started."""
    labels = [machine_name(result.machine) for result in results]
    for length in (len("2026-01-31"), len("2026-01-31T12:34:56")):
        shared = {label for label in labels if labels.count(label) > 1}
        labels = [
            f"{machine_name(result.machine)}, {result.started[:length].replace('T', ' ')}"
            if label in shared
            else label
            for result, label in zip(results, labels, strict=True)
        ]
    return tuple(
        label if labels.count(label) == 1 else f"{label} ({labels[: index + 1].count(label)})"
        for index, label in enumerate(labels)
    )


def place_name(label: str, device: str) -> str:
    """Join a machine's label with the device of a row; a CPU goes without saying."""
    return label if device == "cpu" else f"{label} · {device}"


def device_kind(name: str, processors: Iterable[str] = ()) -> Literal["CPU", "GPU"] | None:
    """Say whether a reference was made on a CPU or a GPU; ``None`` where its name does not tell.

    Args:
        name: As the run recorded it.
        processors: Names that are known to be CPUs.
    """
    if name in processors:
        return "CPU"
    if _GPU_WORDS.search(name):
        return "GPU"
    return "CPU" if _CPU_WORDS.search(name) else None


def build_chains(results: Sequence[BenchResult]) -> tuple[RunChain, ...]:
    """Sort the measured rows of one or several results into the chain of each run.

    Rows that failed are left out. Runs, and devices within a run, keep the order of the results.
    """
    by_run: dict[str, list[_Found]] = {}
    for index, (result, label) in enumerate(zip(results, machine_labels(results), strict=True)):
        for row in result.rows:
            if row.measurement is not None:
                found = _Found(index, result.machine, label, row, row.measurement)
                by_run.setdefault(row.measurement.run_sha256, []).append(found)
    processors = {result.machine.cpu.model for result in results}
    return tuple(_run_chain(rows, processors) for rows in by_run.values())


def _run_chain(rows: list[_Found], processors: set[str]) -> RunChain:
    first = rows[0].measurement
    training = _training_step(first.run_name, first.reference, processors)
    references = [found for found in rows if found.is_keras]
    groups: dict[tuple[int, str, int, str], list[_Found]] = {}
    for found in rows:
        if not found.is_keras:
            row = found.row
            key = (found.index, found.measurement.format, row.threads, row.device)
            groups.setdefault(key, []).append(found)
    return RunChain(
        first.run_name,
        first.run_sha256,
        first.model,
        (training, *(_reference_step(found, first.reference, training) for found in references)),
        tuple(_branch(group, training, references) for group in groups.values()),
    )


def _training_step(run_name: str, reference: ReferenceRecord, processors: set[str]) -> Step:
    kind = device_kind(reference.device, processors)
    return Step(
        kind="training",
        name=run_name,
        device=f"{reference.device} ({kind or 'not known whether CPU or GPU'})",
        runtime=KERAS,
        precision=FULL_PRECISION,
        changed=(),
        top1=reference.accuracy.top1,
        accuracy=None,
        latency_ms_p50=reference.latency_ms_p50,
    )


def _step(
    kind: StepKind, found: _Found, changed: tuple[str, ...], speed_up: float | None = None
) -> Step:
    measurement = found.measurement
    accuracy = measurement.accuracy
    return Step(
        kind=kind,
        name=found.row.name,
        device=found.device,
        runtime=measurement.format,
        precision=measurement.precision,
        changed=changed,
        top1=None if accuracy is None else accuracy.accuracy.top1,
        accuracy=accuracy,
        latency_ms_p50=measurement.latency.latency_ms_p50,
        speed_up=speed_up,
        size_bytes=measurement.size_bytes,
        headline_valid=measurement.headline_valid,
    )


def _reference_step(found: _Found, reference: ReferenceRecord, training: Step) -> Step:
    changed = _changes(
        device=None if _is_trained_on(found, reference) else (training.device, found.device),
        runtime=(training.runtime, found.measurement.format),
        precision=(training.precision, found.measurement.precision),
    )
    return _step("reference", found, changed or ("nothing: measured again",))


def _branch(group: list[_Found], training: Step, references: list[_Found]) -> Branch:
    exact = [found for found in group if found.measurement.precision == FULL_PRECISION]
    lower = [found for found in group if found.measurement.precision != FULL_PRECISION]
    anchor = _anchor(group[0], references)
    steps = [_step("fp32 export", found, _changed_by(found, anchor, training)) for found in exact]
    notes = [] if exact else [FP32_NOT_MEASURED]
    for found in lower:
        if exact:
            changed = _changes(precision=(FULL_PRECISION, found.measurement.precision))
        else:
            changed = _changed_by(found, anchor, training)
        speed_up = _speed_up(exact[0], found) if exact else None
        steps.append(_step("lower precision", found, changed, speed_up))
        if exact and speed_up is not None:
            notes += _slow_note(exact[0], found, speed_up)
    first = group[0]
    row = first.row
    return Branch(
        first.index,
        first.label,
        row.device,
        first.measurement.format,
        row.threads,
        tuple(steps),
        tuple(notes),
    )


def _anchor(found: _Found, references: list[_Found]) -> _Found | None:
    """Return the Keras measurement that differs least: the same device, the same threads if any."""
    same = [
        reference
        for reference in references
        if reference.machine == found.machine and reference.row.device == found.row.device
    ]
    return min(same, key=lambda item: item.row.threads != found.row.threads, default=None)


def _changed_by(found: _Found, anchor: _Found | None, training: Step) -> tuple[str, ...]:
    measurement = found.measurement
    precision = (FULL_PRECISION, measurement.precision)
    if anchor is not None:
        return _changes(
            runtime=(anchor.measurement.format, measurement.format),
            threads=(str(anchor.row.threads), str(found.row.threads)),
            precision=precision,
        )
    same_device = _is_trained_on(found, measurement.reference)
    return _changes(
        device=None if same_device else (training.device, found.device),
        runtime=(training.runtime, measurement.format),
        precision=precision,
    )


def _is_trained_on(found: _Found, reference: ReferenceRecord) -> bool:
    """Tell whether a row ran on the kind of processor or GPU that its run was trained on."""
    if found.row.device == "cpu":
        return found.machine.cpu.model == reference.device
    gpus = {item.name for item in found.machine.accelerators if item.kind == "gpu"}
    return reference.device in found.row.device or (
        found.row.device.startswith("gpu") and gpus == {reference.device}
    )


def _changes(**pairs: tuple[str, str] | None) -> tuple[str, ...]:
    return tuple(
        f"{what}: {pair[0]} → {pair[1]}"
        for what, pair in pairs.items()
        if pair is not None and pair[0] != pair[1]
    )


def _speed_up(exact: _Found, found: _Found) -> float | None:
    before, now = exact.measurement, found.measurement
    if not (before.headline_valid and now.headline_valid) or now.latency.latency_ms_p50 <= 0:
        return None
    return before.latency.latency_ms_p50 / now.latency.latency_ms_p50


def _slow_note(exact: _Found, found: _Found, speed_up: float) -> list[str]:
    if speed_up >= 1 + MAX_REPEAT_SPREAD:
        return []
    before, now = (item.measurement.latency.latency_ms_p50 for item in (exact, found))
    text = f"{found.row.name}: {now:.4g} ms against {before:.4g} ms in fp32"
    if speed_up > 1:
        return [f"no clear speed-up here: {text}, and repeats may differ by as much"]
    return [f"no speed-up here: {text}"]
