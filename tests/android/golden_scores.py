"""Golden cases about numbers: quantisation, best labels, percentiles, labels."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from edgevit.bench.protocol import summarise
from edgevit.bundle import render_labels
from edgevit.errors import InputError
from edgevit.metrics import top_k
from edgevit.runtimes.tflite import _input_table
from tests.android.golden import Files, Table, noise

_INPUTS = [
    ("uint8", 1.0, 0),
    ("int8", 1.0, -128),
    ("int8", 254.6 / 255, -128),
    ("uint8", 1.0039216, 0),
    ("uint8", 2.0, 0),  # every odd pixel lies half-way between two stored values
    ("int8", 2.0, -100),
    ("int8", 1.4, -60),
    ("uint8", 0.5, 0),  # holds 127.5 at most
    ("int8", 1 / 255, -128),  # holds 0 to 1: a model of normalised pixels
    ("int8", 1.0, 0),  # holds -128 to 127
]
_OUTPUTS = [
    ("uint8", 1 / 256, 0),
    ("int8", 1 / 256, -128),
    ("int8", 0.0371, 17),
    ("int16", 1 / 32768, 0),
]


def write_quantisation(files: Files) -> None:
    """Stored values of all pixels, and real values of stored scores."""
    table = Table(files, "quantise", ("case", "type", "scale", "zero_point", "result"))
    for number, (dtype, exact, zero_point) in enumerate(_INPUTS):
        scale = float(np.float32(exact))
        details = {"dtype": np.dtype(dtype).type, "quantization": (scale, zero_point)}
        case = f"{number}-{dtype}"
        try:
            stored = _input_table(details, "the model")
        except InputError:
            table.add(case, dtype, scale, zero_point, "refused")
            continue
        values = np.arange(256, dtype=np.uint8) if stored is None else stored
        table.add(case, dtype, scale, zero_point, table.keep(values.tobytes()))
    table.close()
    table = Table(files, "dequantise", ("case", "type", "scale", "zero_point", "stored", "result"))
    for number, (dtype, exact, zero_point) in enumerate(_OUTPUTS):
        limits = np.iinfo(dtype)
        stored = np.linspace(limits.min, limits.max, 256).astype(dtype)
        # As edgevit.runtimes.tflite turns an output into scores.
        scores = np.float32(exact) * (stored.astype(np.float32) - zero_point)
        table.add(
            f"{number}-{dtype}",
            dtype,
            float(np.float32(exact)),
            zero_point,
            table.keep(stored.astype(f"<{np.dtype(dtype).str[1:]}").tobytes()),
            table.keep(scores.astype("<f4").tobytes()),
        )
    table.close()


def write_top_k(files: Files) -> None:
    """Best labels: ties, signed zeros, more wanted than there are."""
    random = noise(40, 50).astype(np.float32) / 255
    cases: dict[str, tuple[list[float], int]] = {
        "plain": ([0.1, 0.7, 0.2], 2),
        "tie": ([0.2, 0.4, 0.4], 2),
        "all-equal": ([0.25] * 4, 3),
        "late-tie": ([0.5, 0.1, 0.2, 0.1, 0.1], 4),
        "zeros": ([-0.0, 0.0, -0.0], 3),
        "more-than-there-are": ([0.3, 0.7], 5),
        "one": ([1.0], 1),
        "tiny": ([1e-45, 0.0, 1.2e-38], 3),
        "infinite": ([1.0, float("inf"), 2.0], 2),
        "noise": (random.tolist(), 5),
        "nothing-wanted": ([0.3, 0.7], 0),
    }
    table = Table(files, "top_k", ("case", "k", "scores", "result"))
    for case, (scores, k) in cases.items():
        best = top_k(np.array([scores], dtype=np.float32), k)[0].tolist()
        written = ",".join(repr(float(np.float32(score))) for score in scores)
        table.add(case, k, written.replace("inf", "Infinity"), ",".join(map(str, best)) or "none")
    table.add("nan", 2, "0.5,NaN,0.2", "refused")
    table.close()


def write_statistics(files: Files) -> None:
    """Latencies: one sample, two, and around the least number for the 99th percentile."""
    names = ("p50", "p90", "p95", "p99", "mean", "std", "min", "max")
    table = Table(files, "statistics", ("case", "count", "samples_ns", *names))
    for count in (1, 2, 3, 5, 10, 999, 1000, 1001):
        high, low = noise(count, 60).astype(np.int64), noise(count, 61).astype(np.int64)
        samples = 10_000_000 + 40_000 * high + low
        result = summarise(samples, warmup_count=0, settled=True, comparable=True)
        values = [getattr(result, f"latency_ms_{name}") for name in names]
        # The last digits may differ from processor to processor.
        written = ["none" if value is None else f"{value:.12g}" for value in values]
        cell = table.keep(samples.astype("<i8").tobytes())
        table.add(f"{count}-samples", count, cell, *written)
    table.close()


def write_labels(files: Files) -> None:
    """Label files and the number of scores that they are held against."""
    cases: dict[str, tuple[bytes, int]] = {
        "plain": (render_labels(("cat", "dog", "fox")), 3),
        "unicode": (render_labels(("Käuzchen", "犬", "🦊 fox", " = : # ")), 4),
        "one": (render_labels(("only",)), 1),
        "no-last-line-break": (b"cat\ndog", 2),
        "too-few": (render_labels(("cat", "dog")), 3),
        "too-many": (render_labels(("cat", "dog", "background")), 2),
        "empty": (b"", 2),
    }
    table = Table(files, "labels", ("case", "file", "scores", "result"))
    for case, (data, scores) in cases.items():
        names = data.decode().removesuffix("\n").split("\n")
        is_right = bool(data) and len(names) == scores
        result = json.dumps(names) if is_right else "refused"
        table.add(case, table.keep(data), scores, result)
    table.close()


WRITERS: tuple[Callable[[Files], None], ...] = (
    write_quantisation,
    write_top_k,
    write_statistics,
    write_labels,
)
