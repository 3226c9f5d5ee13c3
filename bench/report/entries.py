"""What a report is about: the results of several devices, merged, with a name for each device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.bench.chain import RunChain, build_chains, machine_labels, place_name
from edgevit.bench.protocol import MAX_REPEAT_SPREAD, Repeats
from edgevit.bench.result import BenchResult, Measurement, read_result
from edgevit.errors import InputError


@dataclass(frozen=True)
class Entry:
    """A measured row.

    Attributes:
        number: From 1 on, in the order of the results; the row's anchor on the page.
        result_index: Position of its result.
        device: Machine, and accelerator if any, in words.
        series: Position of ``device`` among all devices; it decides the colour.
        protocol: Name of the timing rules.
        comparable: False where they were cut short.
    """

    number: int
    result_index: int
    device: str
    series: int
    name: str
    threads: int
    protocol: str
    comparable: bool
    measurement: Measurement

    @property
    def headline_valid(self) -> bool:
        """False if the device throttled."""
        return self.measurement.headline_valid

    @property
    def top1(self) -> float | None:
        """Share of photos classified right, 0–1."""
        accuracy = self.measurement.accuracy
        return None if accuracy is None else accuracy.accuracy.top1

    @property
    def latency_ms_p50(self) -> float:
        """Median, milliseconds."""
        return self.measurement.latency.latency_ms_p50


@dataclass(frozen=True)
class Missing:
    """A row without a measurement.

    Attributes:
        reason: The error, or why the device is absent.
        is_absent: True if the device is not there, False if the row failed.
    """

    device: str
    name: str
    threads: int
    reason: str
    is_absent: bool


@dataclass(frozen=True)
class Report:
    """Several results and what follows from all of them together.

    Attributes:
        machines: A name for each result's machine, all different.
        devices: Every device that something was measured on: a machine or its accelerator.
        notes: About the merging, for people.
    """

    results: tuple[BenchResult, ...]
    machines: tuple[str, ...]
    devices: tuple[str, ...]
    entries: tuple[Entry, ...]
    missing: tuple[Missing, ...]
    chains: tuple[RunChain, ...]
    notes: tuple[str, ...] = ()

    @property
    def run_names(self) -> tuple[str, ...]:
        """Names of the runs, each once, in order."""
        return tuple(dict.fromkeys(chain.run_name for chain in self.chains))


def read_report(paths: Sequence[Path]) -> Report:
    """Read results and merge them. One that is given twice counts once.

    Raises:
        InputError: if there is no path, or a file is no intact result or holds no row.
    """
    if not paths:
        raise InputError("no result is named", "Give the files that `edgevit bench --out` wrote")
    results: list[BenchResult] = []
    kept: list[Path] = []
    notes: list[str] = []
    for path in paths:
        result = read_result(path)
        if not result.rows:
            raise InputError(f"{path} holds no row", "Measure again: edgevit bench --out …")
        if result in results:
            first = kept[results.index(result)]
            notes.append(f"{path} holds the same result as {first} and was counted once")
            continue
        results.append(result)
        kept.append(path)
    return merge(results, tuple(notes))


def merge(results: Sequence[BenchResult], notes: tuple[str, ...] = ()) -> Report:
    """Merge results that are all different, in this order."""
    machines = machine_labels(results)
    entries: list[Entry] = []
    missing: list[Missing] = []
    devices: dict[str, int] = {}
    for index, (result, machine) in enumerate(zip(results, machines, strict=True)):
        for row in result.rows:
            device = place_name(machine, row.device)
            if row.measurement is None:
                reason = row.error if row.absent is None else row.absent
                is_absent = row.absent is not None
                missing.append(Missing(device, row.name, row.threads, reason or "", is_absent))
                continue
            entries.append(
                Entry(
                    number=len(entries) + 1,
                    result_index=index,
                    device=device,
                    series=devices.setdefault(device, len(devices)),
                    name=row.name,
                    threads=row.threads,
                    protocol=result.protocol.name,
                    comparable=result.protocol.comparable,
                    measurement=row.measurement,
                )
            )
    return Report(
        results=tuple(results),
        machines=machines,
        devices=tuple(devices),
        entries=tuple(entries),
        missing=tuple(missing),
        chains=build_chains(results),
        notes=notes,
    )


def spread_of(repeats: Repeats) -> float | None:
    """Return the spread of the repeats' medians, or ``None`` where there are fewer than two."""
    return repeats.spread if len(repeats.latency_ms_p50) > 1 else None


def repeats_differ(measurement: Measurement) -> bool:
    """Tell whether the repeats differ by more than the protocol allows."""
    spread = spread_of(measurement.repeats)
    return spread is not None and spread > MAX_REPEAT_SPREAD
