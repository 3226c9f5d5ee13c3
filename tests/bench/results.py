"""Results of made-up devices, for tests of what is said about results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.protocol import FULL, LatencyResult, Protocol, Repeats, summarise
from edgevit.bench.result import (
    BenchResult,
    BenchRow,
    ColdStart,
    Conditions,
    ConditionSample,
    EvaluationRecord,
    Measurement,
    MemoryUse,
)
from edgevit.machine import Cpu, Machine
from edgevit.metrics import Accuracy, PairedDrop, paired_drop
from edgevit.run import ReferenceRecord
from edgevit.runtimes.base import Placement

PHOTOS = 1200
REFERENCE_TOP1 = 0.86
RUN_SHA256 = "a" * 64
DATASET_SHA256 = "d" * 64
NS_PER_MS = 1_000_000

SERVER = Machine(
    system="Debian GNU/Linux 12 (Linux 6.1.0)",
    architecture="x86_64",
    python="CPython 3.11.7",
    cpu=Cpu("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", 2, 4, {"avx2": True}, None),
    memory_bytes=24 * 2**30,
    board=None,
    accelerators=(),
)
PI = Machine(
    system="Debian GNU/Linux 12 (Linux 6.6.20+rpt-rpi-2712)",
    architecture="aarch64",
    python="CPython 3.11.2",
    cpu=Cpu("Cortex-A76", 4, 4, {"asimd": True, "asimddp": True, "i8mm": False}, "ondemand"),
    memory_bytes=8 * 2**30,
    board="Raspberry Pi 5 Model B Rev 1.0",
    accelerators=(),
)


def latency(p50_ms: float = 20.0, *, count: int = 1024, seed: int = 0) -> LatencyResult:
    """Return times around a median, with a few stragglers."""
    noise = np.random.default_rng(seed).lognormal(0.0, 0.02, count)
    noise[::97] *= 1.6
    samples = (p50_ms * NS_PER_MS * noise / np.median(noise)).astype(np.int64)
    return summarise(samples, warmup_count=20, settled=True, comparable=True)


def scored(*, newly_wrong: int = 6, newly_right: int = 4, count: int = PHOTOS) -> AccuracyResult:
    """Return an accuracy, paired with a reference that gets 86 % right."""
    right = round(REFERENCE_TOP1 * count)
    labels = np.zeros(count, dtype=np.int64)
    reference = np.zeros((count, 3), dtype=np.float32)
    reference[np.arange(count), np.where(np.arange(count) < right, 0, 1)] = 1.0
    candidate = reference.copy()
    candidate[:newly_wrong] = (0.0, 1.0, 0.0)
    candidate[right : right + newly_right] = (1.0, 0.0, 0.0)
    paired: PairedDrop = paired_drop(reference, candidate, labels)
    top1 = (right - newly_wrong + newly_right) / count
    return AccuracyResult(Accuracy(top1, min(1.0, top1 + 0.1), 0.5, count), paired, None, ())


def reference(device: str = "NVIDIA H100 80GB HBM3") -> ReferenceRecord:
    """Return the record of the run that every model here comes from."""
    accuracy = Accuracy(REFERENCE_TOP1, 0.97, 0.45, PHOTOS)
    return ReferenceRecord(accuracy, (0.8, 0.9, None), device, 4.2, 4.6)


def measurement(
    precision: str = "int8", p50_ms: float = 20.0, format_name: str = "tflite", **changes: Any
) -> Measurement:
    """Return a measurement without anything to warn of."""
    made = Measurement(
        model="vit-b32",
        format=format_name,
        precision=precision,
        size_bytes={"fp32": 350_000_000, "fp16": 175_000_000}.get(precision, 89_000_000),
        model_sha256="b" * 64,
        run_name="pets",
        run_sha256=RUN_SHA256,
        reference=reference(),
        evaluation=EvaluationRecord("data/pets", DATASET_SHA256, PHOTOS, True, 0),
        accuracy=scored(newly_wrong=0, newly_right=0) if precision == "fp32" else scored(),
        latency=latency(p50_ms),
        repeats=Repeats((p50_ms, p50_ms * 1.01, p50_ms * 1.02), (60.0, 60.0)),
        placement=Placement("XNNPACK (210 of 212 ops)", {"XNNPACK": 210, "CPU kernels": 2}, 1),
    )
    return replace(made, **changes)


def row(name: str = "", threads: int = 1, device: str = "cpu", **changes: Any) -> BenchRow:
    """Return a measured row; what is not about the row is about its measurement."""
    measured = measurement(**changes)
    name = name or f"pets.{measured.format}.{measured.precision}"
    return BenchRow(name, f"exports/{name}", threads, device, measurement=measured)


def result(
    *rows: BenchRow,
    machine: Machine = PI,
    started: str = "2026-11-02T14:05:09+00:00",
    protocol: Protocol = FULL,
    **changes: Any,
) -> BenchResult:
    """Return a result; an int8 TFLite row and its fp32 export if no row is given."""
    made = BenchResult(
        started=started,
        tool="edgevit bench",
        target="cpu",
        machine=machine,
        cpu_affinity=(0, 1, 2, 3),
        versions={"edgevit": "0.1.0", "numpy": "2.1.3"},
        protocol=protocol,
        rows=rows or (row(precision="fp32", p50_ms=80.0), row()),
    )
    return replace(made, **changes)


def conditions(*new_throttling: str, seconds: int = 200) -> Conditions:
    """Return a processor that warms up and, if it throttles, slows down near the end."""
    late = 0.7 * seconds
    samples = tuple(
        ConditionSample(
            seconds=float(second),
            temperature_c=50.0 + 35.0 * (1 - 0.98**second),
            clock_mhz=1500.0 if new_throttling and second > late else 2400.0,
            throttled=(0xE0008 if second > late else 0) if new_throttling else 0,
        )
        for second in range(seconds)
    )
    return Conditions(samples, new_throttling, 0.0)


def cold_start() -> ColdStart:
    """Return five cold starts."""
    times = (90.0, 91.0, 88.0, 120.0, 89.5)
    return ColdStart(
        times, tuple(2 * t for t in times), tuple(t / 4 for t in times), "files cached"
    )


def memory() -> MemoryUse:
    """Return what a process of a TFLite model takes."""
    return MemoryUse(45_000_000, 140_000_000, 163_000_000)
