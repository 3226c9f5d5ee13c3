"""Whether a board's benchmark is what it should be, beside the same files on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from answers import Answers, ModelAnswers
from boards import Board

from edgevit.bench.result import BenchResult, BenchRow, Measurement

# Kernels for Arm and x86 add in another order: a photo between two labels may fall to either.
MIN_AGREEMENT = 0.99
# The same sums in float32 leave at most the one that happens to lie there.
MAX_FP32_PHOTOS = 1
_FULL_PRECISION = "fp32"
# Where the pack was for a while.
_UNPACKED = re.compile(r"/\S*?(?=exports/)")
# An emulator is never steady.
_EXPECTED_WARNINGS = re.compile(r"^the times were not steady|^the medians of \d+ repeats differ")


@dataclass(frozen=True)
class Line:
    """One model in the table.

    Attributes:
        agreement: Share of photos with this machine's label, 0–1; ``None`` if it was not run.
        top1: Share of photos that the board gets right, 0–1.
        top1_here: The same on this machine.
        latency_ms: Median in the emulator, milliseconds: how long the check takes, no more.
        remark: Where it ran, or what the board said instead.
    """

    name: str
    agreement: float | None = None
    top1: float | None = None
    top1_here: float | None = None
    latency_ms: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Comparison:
    """A board's table and everything that is wrong."""

    lines: tuple[Line, ...]
    problems: tuple[str, ...]


def compare(board: Board, result: BenchResult, there: Answers, here: Answers) -> Comparison:
    """Compare a board with this machine.

    Args:
        board: What was emulated.
        result: Its benchmark of a pack.
        there: Its answers to the pack's photos.
        here: This machine's.
    """
    problems = _problems_of_the_machine(board, result)
    if there.truth != here.truth:
        problems.append("the board and this machine saw other photos")
    rows = {row.name: row for row in result.rows}
    if unknown := sorted(rows.keys() - here.models.keys()):
        problems.append(f"{unknown[0]} was measured and is not in the pack")
    lines = []
    for name in here.models:
        line, wrong = _compare_model(name, board, rows.get(name), there, here)
        lines.append(line)
        problems += [f"{name}: {problem}" for problem in wrong]
    return Comparison(tuple(lines), tuple(problems))


def _problems_of_the_machine(board: Board, result: BenchResult) -> list[str]:
    seen = {
        "target": (result.target, "pi"),
        "board": (result.machine.board, board.model),
        "architecture": (result.machine.architecture, board.machine),
        "emulated": (result.machine.emulated, True),
    }
    return [
        f"the result's {what} is {found!r}, {expected!r} was expected"
        for what, (found, expected) in seen.items()
        if found != expected
    ]


def _compare_model(
    name: str, board: Board, row: BenchRow | None, there: Answers, here: Answers
) -> tuple[Line, list[str]]:
    mine, theirs, truth = here.models[name], there.models.get(name), here.truth
    if row is None or theirs is None:
        return Line(name, remark="missing"), ["it is not in the board's result"]
    if not mine.labels:
        return Line(name, remark="not run"), [f"it does not run on this machine: {mine.error}"]
    top1_here = _share(mine.labels, truth)
    if row.measurement is None:
        reason = _UNPACKED.sub("", row.error or row.absent or "")
        line = Line(name, top1_here=top1_here, remark=reason)
        return line, _problems_of_the_failure(board, reason, theirs)
    agreement, top1 = _share(theirs.labels, mine.labels), _share(theirs.labels, truth)
    problems = _problems_of_the_row(row.measurement, top1, len(truth))
    if agreement < MIN_AGREEMENT:
        problems.append(
            f"it gives this machine's label to {agreement:.1%} of {len(truth)} photos, "
            f"{MIN_AGREEMENT:.0%} are needed"
        )
    off = abs(round((top1 - top1_here) * len(truth)))
    if mine.precision == _FULL_PRECISION and off > MAX_FP32_PHOTOS:
        problems.append(
            f"it gets {off} photos more or less right than here, {MAX_FP32_PHOTOS} may differ"
        )
    latency_ms = row.measurement.latency.latency_ms_p50
    remark = row.measurement.placement.summary
    return Line(name, agreement, top1, top1_here, latency_ms, remark), problems


def _problems_of_the_failure(board: Board, reason: str, theirs: ModelAnswers) -> list[str]:
    known = board.may_fail.get((theirs.format, theirs.precision))
    if known is None or known not in reason:
        return [f"it was not measured: {reason}"]
    if theirs.labels:
        return ["the benchmark refuses it, and yet it runs"]
    return []


def _problems_of_the_row(measured: Measurement, top1: float, photo_count: int) -> list[str]:
    problems = [
        f"an unexpected warning: {warning}"
        for warning in measured.warnings
        if not _EXPECTED_WARNINGS.search(warning)
    ]
    if measured.accuracy is None:
        return [*problems, "its accuracy was not measured"]
    recorded = measured.accuracy.accuracy
    if recorded.image_count != photo_count:
        problems.append(f"{recorded.image_count} photos were scored, the pack has {photo_count}")
    elif abs(recorded.top1 - top1) * photo_count > 0.5:
        problems.append(f"the benchmark says {recorded.top1:.2%} top-1, its answers are {top1:.2%}")
    if measured.accuracy.paired is None:
        problems.append(f"it has no paired drop ({'; '.join(measured.accuracy.notes)})")
    return problems


def _share(labels: Sequence[int], others: Sequence[int]) -> float:
    """Return the share of places where both are the same, 0–1; 0 where one has nothing."""
    if len(labels) != len(others):
        return 0.0
    return sum(a == b for a, b in zip(labels, others, strict=True)) / len(others)
