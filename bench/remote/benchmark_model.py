"""Google's ``benchmark_model``: how it is called, and what its output says.

It times one input over and over and keeps no samples: count, smallest, largest, mean, deviation
and, in newer versions, the 5th, 50th and 95th percentiles, which are samples (no interpolation).
What it does not print is unknown here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgevit.bench.protocol import Protocol
from edgevit.bench.result import MemoryUse
from edgevit.errors import InputError
from edgevit.runtimes.base import Placement

# Of one run. Its own default of 150 s would end a slow model's run before enough inferences.
MAX_SECONDS = 7200.0
# Inferences of the run that memory is watched in; its times are not used.
MEMORY_RUNS = 5

_BYTES_PER_MIB = 1 << 20
_US_PER_MS = 1000.0

# ELF class (1: 32-bit, 2: 64-bit) and machine, by Android's name for the pair.
_ELF_MAGIC = b"\x7fELF"
_ELF_HEAD_BYTES = 20
_ABIS = {
    (2, 183): "arm64-v8a",
    (1, 40): "armeabi-v7a",
    (2, 62): "x86_64",
    (1, 3): "x86",
    (2, 243): "riscv64",
}

_NUMBER = r"(\d[\d.]*(?:e[+-]?\d+)?)"
_COUNT_LINE = re.compile(r"(?:^|\s)count=\d+ .*$", re.MULTILINE)
_FIELD = re.compile(rf"(\w+)={_NUMBER}")
_SUMMARY = re.compile(rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}")
_DELTA = re.compile(rf"Memory footprint delta from .*init={_NUMBER} overall={_NUMBER}")
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")
_DELEGATED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\).* yielding (\d+) partition"
)
_DELEGATE_NAMES = {"TfLiteXNNPackDelegate": "XNNPACK"}


@dataclass(frozen=True)
class Statistics:
    """Of one kind of inference, milliseconds; ``None`` where the tool does not say.

    Attributes:
        p90_ms: Known only where all times were the same.
    """

    count: int
    min_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class ModelRun:
    """One process of ``benchmark_model``.

    Attributes:
        init_ms: Reading the model and making it ready.
        memory: ``None`` where it was not watched or cannot be told.
    """

    init_ms: float
    first_inference_ms: float
    warmup: Statistics
    timed: Statistics
    placement: Placement
    memory: MemoryUse | None


def abi_of(binary: Path) -> str:
    """Return Android's name for what an ELF file runs on.

    Raises:
        InputError: if the file is missing or no such file.
    """
    remedy = "Give the benchmark_model that is built for Android"
    if not binary.is_file():
        raise InputError(f"there is no benchmark_model at {binary}", remedy)
    with binary.open("rb") as file:
        head = file.read(_ELF_HEAD_BYTES)
    if len(head) < _ELF_HEAD_BYTES or not head.startswith(_ELF_MAGIC):
        raise InputError(f"{binary} is no program for Android (no ELF file)", remedy)
    machine = int.from_bytes(head[18:20], "little")
    abi = _ABIS.get((head[4], machine))
    if abi is None:
        raise InputError(f"{binary} is built for a processor (ELF {machine}) of no phone", remedy)
    return abi


def timing_options(protocol: Protocol) -> list[str]:
    """Return the options that make one repeat follow the protocol."""
    return [
        f"--num_runs={protocol.min_queries}",
        f"--min_secs={protocol.min_seconds:g}",
        f"--max_secs={MAX_SECONDS:g}",
        f"--warmup_runs={protocol.warmup_min_queries}",
        f"--warmup_min_secs={protocol.warmup_min_seconds:g}",
    ]


def memory_options() -> list[str]:
    """Return the options of a short run that memory is watched in, which disturbs times."""
    return [
        f"--num_runs={MEMORY_RUNS}",
        "--min_secs=0",
        "--warmup_runs=1",
        "--warmup_min_secs=0",
        "--report_peak_memory_footprint=true",
    ]


def model_options(
    model: str, photo: str, shape: tuple[int, ...], input_name: str, threads: int
) -> list[str]:
    """Return the options that name the model and its input.

    Args:
        model: Path there.
        photo: Path there of the raw bytes of the input tensor.
        shape: Of the input, with the batch dimension.
        input_name: The tensor's name; newer versions only warn if it is another.
        threads: Of the model.
    """
    # Commas and colons separate things here.
    name = input_name if re.fullmatch(r"[\w./-]+", input_name) else "input"
    return [
        f"--graph={model}",
        f"--num_threads={threads}",
        f"--input_layer={name}",
        f"--input_layer_shape={','.join(map(str, shape))}",
        f"--input_layer_value_files={name}:{photo}",
    ]


def parse_run(output: str) -> ModelRun:
    """Read what a run printed.

    Raises:
        InputError: if the times are not there.
    """
    lines = [match[0] for match in _COUNT_LINE.finditer(output)]
    summary = _SUMMARY.search(output)
    if len(lines) < 2 or summary is None:
        raise InputError("benchmark_model printed no times")
    # The warm-up comes first.
    warmup, timed = lines[-2:]
    return ModelRun(
        init_ms=float(summary[1]) / _US_PER_MS,
        first_inference_ms=float(summary[2]) / _US_PER_MS,
        warmup=_statistics(warmup),
        timed=_statistics(timed),
        placement=_placement(output),
        memory=_memory(output),
    )


def _statistics(line: str) -> Statistics:
    fields = {name: float(number) for name, number in _FIELD.findall(line)}
    count = int(fields["count"])

    def milliseconds(name: str) -> float | None:
        return fields[name] / _US_PER_MS if name in fields else None

    last, smallest = milliseconds("curr"), milliseconds("min")
    if smallest is None:
        # Shortened, where all times are the same: `count=3 curr=12 (all same)`.
        if last is None or (count > 1 and "all same" not in line):
            raise InputError(f"benchmark_model printed {line.strip()!r}, which says no times")
        return Statistics(count, last, last, last, 0.0, last, last, last)
    return Statistics(
        count=count,
        min_ms=smallest,
        max_ms=fields["max"] / _US_PER_MS,
        mean_ms=fields["avg"] / _US_PER_MS,
        std_ms=fields["std"] / _US_PER_MS,
        p50_ms=milliseconds("median"),
        p90_ms=milliseconds("p90"),
        p95_ms=milliseconds("p95"),
    )


def _placement(output: str) -> Placement:
    found = _DELEGATED.search(output)
    if found is None:
        return Placement("unknown: benchmark_model does not say", {}, 0)
    inside, every, partitions = int(found[1]), int(found[2]), int(found[4])
    name = _DELEGATE_NAMES.get(found[3], found[3])
    plural = "partition" if partitions == 1 else "partitions"
    summary = f"{name}: {inside} of {every} ops, {partitions} {plural}"
    return Placement(summary, {name: inside, "CPU kernels": every - inside}, partitions)


def _memory(output: str) -> MemoryUse | None:
    """Read the memory, all from the largest resident size of the process until then."""
    delta, peak = _DELTA.search(output), _PEAK.search(output)
    if delta is None or peak is None:
        return None
    largest = float(peak[1])
    baseline = max(largest - float(delta[2]), 0.0)
    sizes = (baseline, baseline + float(delta[1]), largest)
    return MemoryUse(*(round(size * _BYTES_PER_MIB) for size in sizes))
