"""What edgevit's exports are compared with, and how fast they have to be: a table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from timing import Comparison

OURS, OBVIOUS = "edgevit", "obvious"
FORMATS = {"tflite": "TFLite", "onnx": "ONNX", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Goal:
    """A ratio of latencies: the slowest of some candidates over the fastest of others.

    Attributes:
        model: The architecture.
        what: The candidates above the line, in words.
        against: The candidates below the line, in words.
        above: Names of the candidates above; usually one.
        below: Names of the candidates below.
        at_most: The ratio to reach; ``None`` where it is only shown.
    """

    model: str
    what: str
    against: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    at_most: float | None


@dataclass(frozen=True)
class Verdict:
    """A goal and what was measured.

    Attributes:
        ratio: Of a round's medians, the median over the rounds: each compares what ran within
            seconds. ``None`` where a candidate is missing.
        ratio_low: The smallest ratio of a single round.
        ratio_high: The largest ratio of a single round.
        ratio_of_minima: What would remain on a machine that nobody else uses.
        missing: Names of the candidates that were not timed.
    """

    goal: Goal
    threads: int
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    ratio_of_minima: float | None
    missing: tuple[str, ...]

    @property
    def met(self) -> bool | None:
        """Whether the ratio, as it is printed, was reached; ``None`` where that cannot be said."""
        if self.ratio is None or self.goal.at_most is None:
            return None
        return round(self.ratio, 2) <= self.goal.at_most


def ours(file: str) -> str:
    """Return the name of a bundle's candidate, such as ``edgevit tflite.int8``."""
    return f"{OURS} {file}"


def obvious(peer: str) -> str:
    """Return the name of a peer's candidate, such as ``obvious tflite-int8``."""
    return f"{OBVIOUS} {peer}"


def _pair(model: str, file: str, what: str, peer: str, against: str, at_most: float | None) -> Goal:
    return Goal(model, what, against, (ours(file),), (obvious(peer),), at_most)


_FULL_INT8 = "TFLiteConverter, full int8"
_STATIC = "ONNX Runtime's quantize_static on tf2onnx's graph"
_NNCF = "NNCF on the converted SavedModel"
_INT8 = tuple(ours(f"{name}.int8") for name in FORMATS)
_FP32_WAYS = {"tflite": "TFLiteConverter", "onnx": "tf2onnx", "openvino": "convert_model"}

GOALS: tuple[Goal, ...] = (
    _pair("vit-b32", "tflite.int8", "TFLite int8", "tflite-int8", _FULL_INT8, 0.45),
    _pair("vit-b32", "tflite.int8-full", "TFLite int8-full", "tflite-int8", _FULL_INT8, 0.75),
    _pair(
        "vit-b32", "tflite.int8", "TFLite int8", "tflite-dynamic", "TFLiteConverter, dynamic", None
    ),
    _pair("vit-b32", "onnx.int8", "ONNX int8", "onnx-static", _STATIC, 0.22),
    _pair(
        "vit-b32", "onnx.int8", "ONNX int8", "onnx-static-u8", "the same, uint8 activations", None
    ),
    Goal(
        "vit-b32",
        "ONNX int8",
        "edgevit's own ONNX fp32",
        (ours("onnx.int8"),),
        (ours("onnx.fp32"),),
        0.25,
    ),
    _pair("vit-b32", "openvino.int8", "OpenVINO int8", "openvino-int8", _NNCF, 0.95),
    Goal("vit-b32", "slowest of the three int8", "fastest of the three", _INT8, _INT8, 1.25),
    _pair("vgg16", "tflite.int8", "TFLite int8", "tflite-int8", _FULL_INT8, 1.0),
    _pair("vgg16", "onnx.int8", "ONNX int8", "onnx-static", _STATIC, 0.6),
    _pair("vgg16", "openvino.int8", "OpenVINO int8", "openvino-int8", _NNCF, 1.0),
    *(
        _pair(model, f"{name}.fp32", f"{title} fp32", f"{name}-fp32", _FP32_WAYS[name], 1.0)
        for model in ("vit-b32", "vgg16")
        for name, title in FORMATS.items()
    ),
)


def judge(goal: Goal, comparison: Comparison) -> Verdict:
    """Compute a goal's ratio from one comparison."""
    timings = {timing.name: timing for timing in comparison.timings}
    names = dict.fromkeys((*goal.above, *goal.below))
    if missing := tuple(name for name in names if name not in timings):
        return Verdict(goal, comparison.threads, None, None, None, None, missing)
    above = [timings[name] for name in goal.above]
    below = [timings[name] for name in goal.below]
    slow = zip(*(timing.round_medians_ms for timing in above), strict=True)
    fast = zip(*(timing.round_medians_ms for timing in below), strict=True)
    rounds = [max(over) / min(under) for over, under in zip(slow, fast, strict=True)]
    return Verdict(
        goal=goal,
        threads=comparison.threads,
        ratio=statistics.median(rounds),
        ratio_low=min(rounds),
        ratio_high=max(rounds),
        ratio_of_minima=max(t.min_ms for t in above) / min(t.min_ms for t in below),
        missing=(),
    )
