"""Times many models side by side in one process, in turns.

A machine's speed drifts while a benchmark runs. So the candidates take turns of about half a
second, over many rounds, and a ratio compares what ran within seconds of each other.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgevit.bundle import BUNDLE_FILE
from edgevit.data.dataset import Dataset
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import Run
from edgevit.runtimes.classifier import open_classifier

# Untimed at the start of every turn: the other candidates have emptied the caches.
_TURN_WARMUP = 2
_MIN_TURN_QUERIES = 3
_FIRST_WARMUP = 5
_PHOTOS = 16
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000.0

Query = Callable[[], object]


class Opened(NamedTuple):
    """A model in its runtime.

    Attributes:
        prepare: From ``uint8 [1, height, width, 3]`` to what :attr:`invoke` takes; not timed.
        invoke: One inference, from the input's copy to the output's.
        read: From what :attr:`invoke` gives to ``float32 [1, classes]``; not timed.
    """

    prepare: Callable[[Pixels], Any]
    invoke: Callable[[Any], Any]
    read: Callable[[Any], Scores] = np.asarray


@dataclass(frozen=True)
class Candidate:
    """A model to be timed.

    Attributes:
        name: In the tables.
        path: A bundle's folder, or a file whose ending says which runtime opens it.
        config: What the runtime is told beside the number of threads.
    """

    name: str
    path: str
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """Times of one inference, milliseconds, over all rounds.

    Attributes:
        round_medians_ms: Median of each round: what ratios' spread is computed from.
    """

    name: str
    median_ms: float
    min_ms: float
    p90_ms: float
    count: int
    round_medians_ms: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """What one process measured: timings, and why the others could not be opened, by name."""

    threads: int
    timings: tuple[Timing, ...]
    failures: dict[str, str]


@dataclass(frozen=True)
class Turns:
    """How long to measure.

    Attributes:
        threads: Of each model; one comparison for each number.
        rounds: Turns of each candidate.
        turn_seconds: Of one turn, at least.
    """

    threads: tuple[int, ...]
    rounds: int
    turn_seconds: float


def compare(
    candidates: Sequence[Candidate], run_root: Path, threads: int, turns: Turns
) -> Comparison:
    """Open every candidate and time them in turns.

    Args:
        candidates: One that cannot be opened or run does not stop the others.
        run_root: The run that all of them come from, whose test photos they are fed.
        threads: For each model.
        turns: How long.
    """
    images = _photos(Run.load(run_root))
    opened = {candidate.name: _try_open(candidate, threads, images) for candidate in candidates}
    queries = {name: query for name, query in opened.items() if not isinstance(query, str)}
    failures = {name: reason for name, reason in opened.items() if isinstance(reason, str)}
    gc.collect()
    gc.disable()
    samples: dict[str, list[list[int]]] = {name: [] for name in queries}
    shuffled = np.random.default_rng(0)
    for _ in range(turns.rounds):
        # In another order each time: nobody shall always follow the same neighbour.
        for name in shuffled.permutation(list(queries)).tolist():
            samples[name].append(_turn(queries[name], turns.turn_seconds))
    timings = tuple(_summary(name, turns_ns) for name, turns_ns in samples.items())
    return Comparison(threads, timings, failures)


def _photos(run: Run) -> list[Pixels]:
    """Return some test photos, each ``uint8 [1, height, width, 3]``."""
    dataset = Dataset.load(Path(run.record.dataset.path))
    pixels = dataset.pixels("test", run.record.spec.preprocessing)
    return [np.array(pixels[i : i + 1]) for i in range(min(len(pixels), _PHOTOS))]


def _try_open(candidate: Candidate, threads: int, images: Sequence[Pixels]) -> Query | str:
    """Return one inference as a call, warm, on the next photo each time; or why there is none."""
    try:
        opened = open_model(candidate, threads)
        inputs = itertools.cycle([opened.prepare(image) for image in images])

        def query() -> object:
            return opened.invoke(next(inputs))

        for _ in range(_FIRST_WARMUP):
            query()
    except Exception as error:
        # A runtime may raise anything; the reason is printed.
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return query


def _turn(query: Query, seconds: float) -> list[int]:
    for _ in range(_TURN_WARMUP):
        query()
    samples: list[int] = []
    ends = time.perf_counter_ns() + int(seconds * _NS_PER_S)
    while len(samples) < _MIN_TURN_QUERIES or time.perf_counter_ns() < ends:
        begun = time.perf_counter_ns()
        query()
        samples.append(time.perf_counter_ns() - begun)
    return samples


def _summary(name: str, samples_ns: list[list[int]]) -> Timing:
    rounds = [np.array(turn) / _NS_PER_MS for turn in samples_ns]
    everything = np.concatenate(rounds)
    median, p90 = np.percentile(everything, [50, 90]).tolist()
    return Timing(
        name=name,
        median_ms=median,
        min_ms=float(everything.min()),
        p90_ms=p90,
        count=len(everything),
        round_medians_ms=tuple(float(np.median(turn)) for turn in rounds),
    )


def open_model(candidate: Candidate, threads: int) -> Opened:
    """Open a bundle as edgevit does, or a file with its runtime's own defaults for latency."""
    path = Path(candidate.path)
    if (path / BUNDLE_FILE).is_file():
        return Opened(lambda pixels: pixels, open_classifier(path, threads).session.invoke)
    return _OPENERS[path.suffix](path, threads, candidate.config)


def _open_tflite(path: Path, threads: int, _: Mapping[str, str]) -> Opened:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def invoke(image: Any) -> Any:
        interpreter.set_tensor(taken["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    step, zero_point = given["quantization"]

    def read(answer: Any) -> Scores:
        scores: Scores = answer.astype(np.float32)
        return np.float32(step) * (scores - zero_point) if step else scores

    return Opened(lambda pixels: _stored(pixels, taken), invoke, read)


def _stored(pixels: Pixels, taken: Mapping[str, Any]) -> Any:
    """Return pixels as an input tensor stores them: by its scale and zero point, if it has any."""
    scale, zero_point = taken["quantization"]
    if not scale:
        return pixels.astype(taken["dtype"])
    limits = np.iinfo(taken["dtype"])
    return np.clip(np.rint(pixels / scale) + zero_point, limits.min, limits.max).astype(
        taken["dtype"]
    )


def _open_onnx(path: Path, threads: int, _: Mapping[str, str]) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Opened(
        lambda pixels: pixels.astype(np.float32),
        lambda image: session.run(None, {name: image}),
        lambda answers: np.asarray(answers[0]),
    )


def _open_openvino(path: Path, threads: int, config: Mapping[str, str]) -> Opened:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **config}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()
    return Opened(lambda pixels: pixels.astype(np.float32), lambda image: request.infer([image])[0])


_OPENERS = {".tflite": _open_tflite, ".onnx": _open_onnx, ".xml": _open_openvino}
