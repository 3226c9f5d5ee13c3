"""The one timing loop, and the rules that every latency of edgevit is measured by.

One image at a time, the next when the last has returned; real photos in a fixed order; only the
model is timed, not the reading of photos. Times come from a monotonic clock, so a change of the
time of day cannot touch them.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError
from edgevit.preprocessing import Pixels

# MLPerf Mobile v4.0 single stream: at least 1,024 queries and at least 60 s.
FULL_MIN_QUERIES = 1024
FULL_MIN_SECONDS = 60.0
# Ours, for slow devices (at 1 s a query the full rule takes 17 minutes) and for trying things.
QUICK_MIN_QUERIES = 100
QUICK_MIN_SECONDS = 10.0
# Ours; TensorFlow's benchmark_model warms up once, too little for a clock that ramps up.
WARMUP_MIN_QUERIES = 10
WARMUP_MIN_SECONDS = 2.0
# Ours: warm when the median of the last five is within 5 % of that of the five before.
WARMUP_WINDOW = 5
WARMUP_TOLERANCE = 0.05
# Ours: a machine that never settles is measured all the same, and the result says so.
WARMUP_MAX_SECONDS = 30.0
# Ours; MLPerf Mobile wants a replication within 5 %.
REPEATS = 3
MAX_REPEAT_SPREAD = 0.05
# Ours: a first start may read files that the next ones find in memory.
COLD_STARTS = 5
# Ours: the 99th percentile of fewer samples rests on under ten of them.
P99_MIN_SAMPLES = 1000
# Ours: more samples are thinned in the document, never in the statistics.
MAX_KEPT_SAMPLES = 65_536

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000.0

T = TypeVar("T")
Clock = Callable[[], int]
Invoke = Callable[[Pixels], object]


@dataclass(frozen=True)
class Protocol:
    """When to stop; every limit must be met.

    Attributes:
        comparable: True if results may be compared with those of other machines.
        min_queries: Timed inferences.
        min_seconds: Duration of the timed part.
        warmup_min_queries: Untimed inferences before.
        warmup_min_seconds: Duration of the untimed part.
        warmup_max_seconds: Where a warm-up that does not settle is given up.
        repeats: How often the timed part is done; every repeat meets the limits.
        cold_starts: Fresh processes that open the model once.
    """

    name: str
    comparable: bool
    min_queries: int
    min_seconds: float
    warmup_min_queries: int = WARMUP_MIN_QUERIES
    warmup_min_seconds: float = WARMUP_MIN_SECONDS
    warmup_max_seconds: float = WARMUP_MAX_SECONDS
    repeats: int = 1
    cold_starts: int = COLD_STARTS


FULL = Protocol("full", True, FULL_MIN_QUERIES, FULL_MIN_SECONDS, repeats=REPEATS)
# A quick one meets its limits by all repeats together.
QUICK = Protocol(
    "quick",
    False,
    math.ceil(QUICK_MIN_QUERIES / REPEATS),
    QUICK_MIN_SECONDS / REPEATS,
    repeats=REPEATS,
)

# Ours, for a first idea beside other results: as short as the reference of a training.
SHORT_MIN_QUERIES = 50
SHORT_MIN_SECONDS = 3.0
SHORT = Protocol(
    "short",
    False,
    math.ceil(SHORT_MIN_QUERIES / REPEATS),
    SHORT_MIN_SECONDS / REPEATS,
    warmup_max_seconds=10.0,
    repeats=REPEATS,
    cold_starts=0,
)


def once(protocol: Protocol) -> Protocol:
    """Return the protocol without its repeats."""
    return dataclasses.replace(protocol, repeats=1)


@dataclass(frozen=True)
class LatencyResult:
    """Time of one inference, milliseconds.

    Percentiles interpolate linearly between the two nearest samples (NumPy's default, type 7 of
    Hyndman and Fan).

    Attributes:
        latency_ms_p90: ``None`` where another program measured and does not say.
        latency_ms_p99: ``None`` below :data:`P99_MIN_SAMPLES` samples.
        latency_ms_std: Standard deviation of the samples (divided by n).
        query_count: Timed inferences.
        warmup_count: Untimed inferences before.
        warmup_settled: False if the warm-up was given up before the times were steady.
        comparable: False for the quick protocol.
        sample_stride: Every how-many-th sample was kept; 1 where all were.
        samples_ns: Kept samples in the order they were taken, nanoseconds.
    """

    latency_ms_p50: float
    latency_ms_p90: float | None
    latency_ms_p95: float
    latency_ms_p99: float | None
    latency_ms_mean: float
    latency_ms_std: float
    latency_ms_min: float
    latency_ms_max: float
    query_count: int
    warmup_count: int
    warmup_settled: bool
    comparable: bool
    sample_stride: int
    samples_ns: tuple[int, ...]


@dataclass(frozen=True)
class Repeats:
    """The same measurement, taken several times in one process.

    Attributes:
        latency_ms_p50: Median of each repeat, milliseconds, in order.
        cooldown_seconds: Waits before the second and later repeats.
    """

    latency_ms_p50: tuple[float, ...]
    cooldown_seconds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.latency_ms_p50 or min(self.latency_ms_p50) <= 0:
            raise ValueError("a measurement needs at least one repeat, of more than 0 ms")

    @property
    def spread(self) -> float:
        """Largest minus smallest median, divided by the smallest; 0 for one repeat."""
        low, high = min(self.latency_ms_p50), max(self.latency_ms_p50)
        return (high - low) / low


@dataclass(frozen=True)
class SustainedMinute:
    """One minute of a long run.

    Attributes:
        query_count: Inferences in this minute.
        latency_ms_p50: Median, milliseconds.
        latency_ms_p90: 90th percentile, milliseconds.
    """

    query_count: int
    latency_ms_p50: float
    latency_ms_p90: float


def measure_latency(
    invoke: Invoke, images: Pixels, protocol: Protocol, clock: Clock = time.perf_counter_ns
) -> LatencyResult:
    """Time one inference, once: :func:`measure_repeats` without its repeats."""
    return measure_repeats(invoke, images, once(protocol), clock)[0]


def measure_repeats(
    invoke: Invoke,
    images: Pixels,
    protocol: Protocol,
    clock: Clock = time.perf_counter_ns,
    cool_down: Callable[[], float] = lambda: 0.0,
) -> tuple[LatencyResult, Repeats]:
    """Time one inference, as often as the protocol says.

    Args:
        invoke: Takes ``uint8 [1, height, width, 3]``; returns when the answer is there.
        images: Real photos in memory, ``uint8 [n, height, width, 3]``, used in order, over and
            over.
        protocol: When to stop.
        clock: Nanoseconds, monotonic.
        cool_down: Called between two repeats; returns the seconds that it waited.

    Returns:
        The result over the samples of all repeats, and the repeats beside each other.

    Raises:
        InputError: if there are no images.
    """
    if len(images) == 0:
        raise InputError("there is no photo to time with", "Prepare a data set with test photos")
    return measure_queries(invoke, _one_by_one(images), protocol, clock, cool_down)


def measure_queries(
    work: Callable[[T], object],
    queries: Sequence[T],
    protocol: Protocol,
    clock: Clock = time.perf_counter_ns,
    cool_down: Callable[[], float] = lambda: 0.0,
) -> tuple[LatencyResult, Repeats]:
    """Time any work on one query at a time; the queries are used in order, over and over."""
    endless = itertools.cycle(queries)
    waits, parts, warmup_count, all_settled = [], [], 0, True
    for repeat in range(protocol.repeats):
        if repeat:
            waits.append(cool_down())
        with _without_garbage_collection():
            count, settled = _warm_up(work, endless, protocol, clock)
            parts.append(_timed(work, endless, protocol, clock))
        warmup_count += count
        all_settled &= settled
    latency = summarise(
        np.concatenate(parts),
        warmup_count=warmup_count,
        settled=all_settled,
        comparable=protocol.comparable,
    )
    medians = tuple(float(np.median(part)) / _NS_PER_MS for part in parts)
    return latency, Repeats(medians, tuple(waits))


def measure_sustained(
    invoke: Invoke, images: Pixels, minutes: int, clock: Clock = time.perf_counter_ns
) -> tuple[SustainedMinute, ...]:
    """Run without a pause and return each minute's times: does the device hold its speed?

    Args:
        invoke: Takes ``uint8 [1, height, width, 3]``.
        images: Real photos in memory, ``uint8 [n, height, width, 3]``.
        minutes: 0 or more.
        clock: Nanoseconds, monotonic.
    """
    endless = itertools.cycle(_one_by_one(images))
    minute = Protocol("minute", False, min_queries=1, min_seconds=60.0)
    found = []
    with _without_garbage_collection():
        for _ in range(minutes):
            milliseconds = _timed(invoke, endless, minute, clock) / _NS_PER_MS
            p50, p90 = np.percentile(milliseconds, [50, 90]).tolist()
            found.append(SustainedMinute(len(milliseconds), p50, p90))
    return tuple(found)


def _one_by_one(images: Pixels) -> list[Pixels]:
    # A memory map would be read from the disk while it is timed.
    held = np.array(images, subok=False) if isinstance(images, np.memmap) else images
    return [held[index : index + 1] for index in range(len(held))]


def summarise(
    samples_ns: npt.NDArray[np.int64], *, warmup_count: int, settled: bool, comparable: bool
) -> LatencyResult:
    """Turn ``int64 [n]`` samples, nanoseconds, into a result."""
    count = len(samples_ns)
    milliseconds = samples_ns / _NS_PER_MS
    p50, p90, p95, p99 = np.percentile(milliseconds, [50, 90, 95, 99]).tolist()
    stride = -(-count // MAX_KEPT_SAMPLES)
    return LatencyResult(
        latency_ms_p50=p50,
        latency_ms_p90=p90,
        latency_ms_p95=p95,
        latency_ms_p99=p99 if count >= P99_MIN_SAMPLES else None,
        latency_ms_mean=float(milliseconds.mean()),
        latency_ms_std=float(milliseconds.std()),
        latency_ms_min=float(milliseconds.min()),
        latency_ms_max=float(milliseconds.max()),
        query_count=count,
        warmup_count=warmup_count,
        warmup_settled=settled,
        comparable=comparable,
        sample_stride=stride,
        samples_ns=tuple(samples_ns[::stride].tolist()),
    )


def _warm_up(
    invoke: Callable[[T], object], queries: Iterator[T], protocol: Protocol, clock: Clock
) -> tuple[int, bool]:
    """Run until the times are steady; returns the number of runs and whether they became so."""
    samples: list[int] = []
    started = clock()
    while True:
        image = next(queries)
        begun = clock()
        invoke(image)
        ended = clock()
        samples.append(ended - begun)
        seconds = (ended - started) / _NS_PER_S
        if len(samples) < protocol.warmup_min_queries or seconds < protocol.warmup_min_seconds:
            continue
        settled = _is_steady(samples)
        if settled or seconds >= protocol.warmup_max_seconds:
            return len(samples), settled


def _is_steady(samples: list[int]) -> bool:
    if len(samples) < 2 * WARMUP_WINDOW:
        return False
    last = statistics.median(samples[-WARMUP_WINDOW:])
    before = statistics.median(samples[-2 * WARMUP_WINDOW : -WARMUP_WINDOW])
    return abs(last - before) <= WARMUP_TOLERANCE * before


def _timed(
    invoke: Callable[[T], object], queries: Iterator[T], protocol: Protocol, clock: Clock
) -> npt.NDArray[np.int64]:
    """Run and time until both limits are met; returns ``int64 [n]`` nanoseconds."""
    samples = np.empty(max(protocol.min_queries, FULL_MIN_QUERIES), dtype=np.int64)
    min_queries, min_ns = protocol.min_queries, int(protocol.min_seconds * _NS_PER_S)
    count, elapsed_ns = 0, 0
    started = clock()
    while count < min_queries or elapsed_ns < min_ns:
        if count == len(samples):
            # Doubling is rare and lies between two queries, outside their times.
            samples = np.concatenate([samples, np.empty_like(samples)])
        image = next(queries)
        begun = clock()
        invoke(image)
        ended = clock()
        samples[count] = ended - begun
        count += 1
        elapsed_ns = ended - started
    return samples[:count]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
