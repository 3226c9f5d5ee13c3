"""A benchmark's result: one document, and the Markdown that people read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from builds import BuildRecord, ExportRecord
from goals import FORMATS, Verdict
from timing import Comparison

from edgevit.machine import Machine

KIND = "edgevit.benchmark"
SCHEMA_VERSION = 1

# Of `edgevit export --format all --quantize int8`, by model: seconds and gigabytes.
EXPORT_LIMITS = {"vit-b32": (90.0, 6.0)}
SIZE_RATIO_LIMIT = 0.26

_BYTES_PER_GB = 1e9
_BYTES_PER_MB = 1e6
_NOTHING = "–"
_MARKS = {True: "✓", False: "✗ missed", None: ""}


@dataclass(frozen=True)
class ModelResult:
    """Everything about one model.

    Attributes:
        trained: False for random weights.
        builds: Of the peers' files.
        export: ``None`` if the bundles were there already.
        bundle_bytes: Size of each bundle's model by ``FORMAT.PRECISION``.
        comparisons: One per number of threads.
        verdicts: Every goal of the model for every number of threads.
    """

    model: str
    run_sha256: str
    trained: bool
    builds: tuple[BuildRecord, ...]
    export: ExportRecord | None
    bundle_bytes: dict[str, int]
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Result:
    """The body of the document.

    Attributes:
        rounds: Turns of each candidate.
        turn_seconds: Least duration of a turn.
    """

    started: str
    machine: Machine
    cpu_affinity: tuple[int, ...]
    versions: dict[str, str]
    rounds: int
    turn_seconds: float
    models: tuple[ModelResult, ...]


def render(result: Result) -> str:
    """Return the Markdown."""
    cpu = result.machine.cpu
    features = ", ".join(name for name, present in cpu.features.items() if present)
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    parts = [
        f"{cpu.model} ({features}), {cpu.logical_cores} logical cores. {versions}.",
        f"One image at a time, model only, {result.rounds} rounds in turns of "
        f"{result.turn_seconds:g} s or more. What is measured is the ratio of a round's medians: "
        "the median over the rounds, and the smallest and the largest; beside it the ratio of the "
        "fastest inferences.",
        "## Ratios",
        table(
            ("model", "threads", "", "against", "to reach", "measured", "", "rounds", "minima"),
            (_verdict_row(verdict) for model in result.models for verdict in model.verdicts),
        ),
    ]
    for model in result.models:
        parts += [f"## {model.model}", *_model_parts(model)]
    return "\n\n".join(parts) + "\n"


def _verdict_row(verdict: Verdict) -> Sequence[str]:
    goal = verdict.goal
    absent = f"absent: {', '.join(verdict.missing)}"
    return (
        goal.model,
        str(verdict.threads),
        goal.what,
        goal.against,
        _NOTHING if goal.at_most is None else f"≤ {goal.at_most:g}",
        absent if verdict.ratio is None else f"**{verdict.ratio:.2f}**",
        _MARKS[verdict.met],
        f"{_ratio(verdict.ratio_low)} to {_ratio(verdict.ratio_high)}",
        _ratio(verdict.ratio_of_minima),
    )


def _ratio(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _model_parts(result: ModelResult) -> list[str]:
    weights = "trained" if result.trained else "random"
    parts = [f"Run {result.run_sha256[:12]}…, {weights} weights."]
    parts += [_latencies(comparison) for comparison in result.comparisons]
    parts.append(table(("file sizes and the export", "to reach", "measured", ""), _costs(result)))
    rows = (
        (
            build.peer,
            f"{build.seconds:.0f}",
            f"{build.peak_bytes / _BYTES_PER_GB:.1f}",
            build.error or "",
        )
        for build in result.builds
    )
    parts.append(table(("how the peer was made", "s", "peak GB", "failed"), rows))
    return parts


def _latencies(comparison: Comparison) -> str:
    rows = [
        (
            timing.name,
            f"{timing.median_ms:.2f}",
            f"{timing.min_ms:.2f}",
            f"{timing.p90_ms:.2f}",
            str(timing.count),
        )
        for timing in comparison.timings
    ]
    rows += [
        (name, "failed", _NOTHING, _NOTHING, error) for name, error in comparison.failures.items()
    ]
    heading = f"ms, threads: {comparison.threads}"
    return table((heading, "median", "min", "p90", "inferences"), rows)


def _costs(result: ModelResult) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    if (export := result.export) is not None:
        seconds, gigabytes = EXPORT_LIMITS.get(result.model, (None, None))
        what = "export --format all --quantize int8"
        failed = f" ({export.error})" if export.error else ""
        rows.append(_cost(f"{what}, s{failed}", export.seconds, seconds))
        peak = export.peak_bytes / _BYTES_PER_GB
        rows.append(_cost(f"{what}, peak GB{failed}", peak, gigabytes))
    sizes = result.bundle_bytes
    for name, title in FORMATS.items():
        int8, fp32 = sizes.get(f"{name}.int8"), sizes.get(f"{name}.fp32")
        if int8 and fp32:
            rows.append(_cost(f"{title} int8 / fp32 file", int8 / fp32, SIZE_RATIO_LIMIT))
    rows += [
        (f"{name}, MB", _NOTHING, f"{size / _BYTES_PER_MB:.1f}", "") for name, size in sizes.items()
    ]
    return rows


def _cost(what: str, value: float, at_most: float | None) -> Sequence[str]:
    if at_most is None:
        return (what, _NOTHING, f"{value:.3g}", "")
    return (what, f"≤ {at_most:g}", f"{value:.3g}", _MARKS[value <= at_most])


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
