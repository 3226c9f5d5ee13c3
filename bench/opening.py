"""What it costs to open a model: time from nothing to the first answer, and memory.

Both are measured in processes of their own, apart from the timing: looking at memory disturbs it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from edgevit import run as run_files
from edgevit.bench.jobs import RowJob, run_in_process
from edgevit.bench.result import ColdStart, MemoryUse
from edgevit.bundle import BUNDLE_FILE, KIND, SCHEMA_VERSION, BundleRecord
from edgevit.documents import read
from edgevit.preprocessing import Pixels
from edgevit.run import RunRecord
from edgevit.runtimes.base import Runtime
from edgevit.runtimes.classifier import find_kind
from edgevit.runtimes.registry import RUNTIMES
from edgevit.spec import ModelSpec

# Enough for a runtime to take all the memory that it will.
_INFERENCES = 5
_NS_PER_MS = 1_000_000.0


@dataclass(frozen=True)
class Start:
    """One cold start, milliseconds."""

    import_ms: float
    load_ms: float
    first_inference_ms: float


def cold_starts(job: RowJob) -> ColdStart | None:
    """Open a bundle in fresh processes, one after the other; ``None`` if the protocol wants none.

    Raises:
        CheckFailedError: if a process failed.
    """
    starts = [run_in_process("cold-start", job, Start) for _ in range(job.protocol.cold_starts)]
    if not starts:
        return None
    return ColdStart(
        import_ms=tuple(start.import_ms for start in starts),
        load_ms=tuple(start.load_ms for start in starts),
        first_inference_ms=tuple(start.first_inference_ms for start in starts),
        cache_state="fresh processes; the files were in the system's page cache",
    )


def memory_use(job: RowJob) -> MemoryUse:
    """Open and run a bundle in a fresh process and look at its memory.

    Raises:
        CheckFailedError: if the process failed.
    """
    return run_in_process("memory", job, MemoryUse)


def measure_cold_start(job: RowJob) -> Start:
    """Import the runtime, open the model, run it once; in this process, which must be fresh."""
    runtime, model, pixels = _prepared(job)
    times = [time.perf_counter_ns()]
    runtime.preload()
    times.append(time.perf_counter_ns())
    session = runtime.open(model, job.threads, job.device)
    times.append(time.perf_counter_ns())
    session.invoke(pixels)
    times.append(time.perf_counter_ns())
    return Start(*(float(step) for step in np.diff(times) / _NS_PER_MS))


def measure_memory(job: RowJob) -> MemoryUse:
    """Read this process's resident memory before and after opening the model, and its peak."""
    runtime, model, pixels = _prepared(job)
    runtime.preload()
    process = psutil.Process()
    baseline = process.memory_info().rss
    session = runtime.open(model, job.threads, job.device)
    loaded = process.memory_info().rss
    for _ in range(_INFERENCES):
        session.invoke(pixels)
    return MemoryUse(baseline, loaded, max(_peak_bytes(), process.memory_info().rss))


def _peak_bytes() -> int:
    """Return the most memory that this process ever held; 0 where the system does not say.

    Not ``getrusage``: its maximum goes back to the parent's memory before ``exec``.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _prepared(job: RowJob) -> tuple[Runtime, Path, Pixels]:
    """Return the runtime, what it opens, and black pixels."""
    folder = Path(job.path)
    if find_kind(folder) == "run":
        run = read(folder / run_files.RUN_FILE, run_files.KIND, run_files.SCHEMA_VERSION, RunRecord)
        return RUNTIMES.get("keras"), folder, _black(run.spec)
    record = read(folder / BUNDLE_FILE, KIND, SCHEMA_VERSION, BundleRecord)
    return RUNTIMES.get(record.format), folder / record.model_file, _black(record.spec)


def _black(spec: ModelSpec) -> Pixels:
    return np.zeros((1, *spec.input_shape), dtype=np.uint8)
