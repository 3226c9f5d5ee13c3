"""What must be known before the numbers of a report are used, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgevit.bench.chain import place_name
from edgevit.bench.protocol import MAX_REPEAT_SPREAD
from edgevit.bench.report.entries import Entry, Missing, Report, repeats_differ, spread_of
from edgevit.bench.result import Measurement
from edgevit.bench.table import claim_text
from edgevit.bench.targets.agreement import MIN_SHARE
from edgevit.bench.warnings import warnings_of
from edgevit.pages import words
from edgevit.runtimes.base import AcceleratorUse

# A sound accelerator, in float16 or bfloat16, gives the CPU's label for 98 % of photos and more.
# One that keeps it for less than MIN_AGREEMENT was not timed at all.
LEAST_AGREEMENT = 0.97

Severity = Literal["invalid", "failed", "warning", "absent"]
_ORDER: tuple[Severity, ...] = ("invalid", "failed", "warning", "absent")
HEADINGS: dict[Severity, str] = {
    "invalid": "Not valid",
    "failed": "Failed",
    "warning": "Warning",
    "absent": "Absent",
}


@dataclass(frozen=True)
class Caution:
    """A sentence and the rows that it is about.

    Attributes:
        text: A sentence with its full stop.
        rows: Names with their devices; empty if it is about everything.
    """

    severity: Severity
    text: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Badge:
    """A caution in a word or two, to stand beside a number."""

    severity: Severity
    text: str


def cautions(report: Report) -> tuple[Caution, ...]:
    """Return every caution; one that several rows share is said once, with their names."""
    found: dict[tuple[Severity, str], list[str]] = {}
    for severity, text, row in _all(report):
        rows = found.setdefault((severity, text), [])
        if row and row not in rows:
            rows.append(row)
    ordered = sorted(found.items(), key=lambda item: _ORDER.index(item[0][0]))
    return tuple(Caution(severity, text, tuple(rows)) for (severity, text), rows in ordered)


def badges(entry: Entry) -> tuple[Badge, ...]:
    """Return what must stand beside an entry's numbers."""
    measurement = entry.measurement
    marks: list[Badge] = []
    if not entry.headline_valid:
        marks.append(Badge("invalid", "throttled"))
    if not entry.comparable:
        marks.append(Badge("warning", entry.protocol))
    if measurement.evaluation.calibrated_count:
        marks.append(Badge("warning", "photos seen"))
    if not measurement.evaluation.same_photos:
        marks.append(Badge("warning", "other photos"))
    if not measurement.latency.warmup_settled:
        marks.append(Badge("warning", "not settled"))
    if repeats_differ(measurement):
        spread = spread_of(measurement.repeats) or 0.0
        marks.append(Badge("warning", f"spread {100 * spread:.0f} %"))
    if measurement.accelerator is not None and list(_of_accelerator(measurement.accelerator)):
        marks.append(Badge("warning", "accelerator"))
    return tuple(marks)


def row_name(row: Entry | Missing) -> str:
    """Name a row on a page with several devices."""
    threads = f", {words.counted(row.threads, 'thread')}" if row.threads else ""
    return f"{row.name} on {row.device}{threads}"


def claims(report: Report) -> tuple[Caution, ...]:
    """Return what the photos show about each drop, said once for the rows that share it.

    What differs from row to row, such as how far an interval reaches, stands beside the row.
    """
    details: dict[str, dict[str, str]] = {}
    for entry in report.entries:
        accuracy = entry.measurement.accuracy
        if accuracy is not None and (text := claim_text(accuracy)) is not None:
            verdict, _, detail = text.partition(": ")
            details.setdefault(verdict, {})[row_name(entry)] = detail
    found = []
    for verdict, by_row in details.items():
        different = set(by_row.values())
        if len(different) == 1:
            text = ": ".join(filter(None, (verdict, *different)))
            found.append(Caution("warning", sentence(text), tuple(by_row)))
        else:
            rows = tuple(_with_detail(row, detail) for row, detail in by_row.items())
            found.append(Caution("warning", sentence(verdict), rows))
    return tuple(found)


def sentence(text: str) -> str:
    """Return a text as a sentence: a capital first, a full stop last; file names keep theirs."""
    text = text.strip() or "no reason was recorded"
    if text.split(maxsplit=1)[0].isalpha():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _with_detail(row: str, detail: str) -> str:
    return f"{row}: {detail}" if detail else row


def _all(report: Report) -> Iterator[tuple[Severity, str, str]]:
    """Yield severity, sentence, and the row that it is about."""
    if not report.entries:
        yield "failed", "Nothing was measured.", ""
    for entry in report.entries:
        for severity, text, detail in _of_entry(entry):
            yield severity, text, _with_detail(row_name(entry), detail)
    for row in report.missing:
        yield "absent" if row.is_absent else "failed", sentence(row.reason), row_name(row)
    for chain in report.chains:
        for branch in chain.branches:
            place = place_name(branch.machine, branch.device)
            threads = words.counted(branch.threads, "thread")
            where = f"{chain.run_name} as {branch.format} on {place}, {threads}"
            for note in branch.notes:
                text, _, detail = note.partition(": ")
                yield "warning", sentence(text), _with_detail(where, detail)
    for note in report.notes:
        yield "warning", sentence(note), ""


def _of_entry(entry: Entry) -> Iterator[tuple[Severity, str, str]]:
    """Yield severity, sentence, and what differs from row to row."""
    measurement = entry.measurement
    conditions, evaluation = measurement.conditions, measurement.evaluation
    if conditions is not None and conditions.new_throttling:
        text = "The device throttled meanwhile: these times are not its own."
        yield "invalid", text, words.listed(conditions.new_throttling)
    if not entry.comparable:
        text = f"Timed with the {entry.protocol} protocol: not comparable with other results."
        yield "warning", text, ""
    if evaluation.calibrated_count:
        yield (
            "warning",
            "The model was calibrated on photos that it was scored on: its accuracy looks better "
            "than it is.",
            f"{evaluation.calibrated_count:,} of {evaluation.image_count:,}",
        )
    if not evaluation.same_photos:
        text = "Measured on other photos than the test photos of its run."
        yield "warning", text, evaluation.source
    if conditions is not None and conditions.clock_jump_seconds:
        text = "The time of day was set meanwhile; the times do not depend on it."
        yield "warning", text, f"by {conditions.clock_jump_seconds:+g} s"
    if measurement.accelerator is not None:
        yield from (("warning", *item) for item in _of_accelerator(measurement.accelerator))
    yield from (("warning", *item) for item in _of_times(measurement))
    notes = () if measurement.accuracy is None else measurement.accuracy.notes
    # What a bench writes down for all to read is said above, shared by its rows.
    others = [text for text in measurement.warnings if text not in warnings_of(measurement)]
    yield from (("warning", sentence(text), "") for text in (*notes, *others))


def _of_times(measurement: Measurement) -> Iterator[tuple[str, str]]:
    if not measurement.latency.warmup_settled:
        yield "The times were not steady after the longest warm-up: is the machine busy?", ""
    if repeats_differ(measurement):
        most = f"{100 * MAX_REPEAT_SPREAD:g} %"
        spread = f"{100 * (spread_of(measurement.repeats) or 0.0):.1f} %"
        yield f"The repeats differ by more than {most}: measure when nothing else runs.", spread


def _of_accelerator(use: AcceleratorUse) -> Iterator[tuple[str, str]]:
    if use.agreement < LEAST_AGREEMENT:
        text = f"The answers of {use.device} differ from the CPU's: it may compute something else."
        share = f"{100 * use.agreement:.1f} % of {use.compared_count:,} photos agree"
        yield text, share
    shares = (("ops", use.ops_share), ("time", use.time_share))
    parts = [f"{100 * share:.0f} % of the {name}" for name, share in shares if share is not None]
    if any(share is not None and share < MIN_SHARE for _, share in shares):
        text = f"Much of the model fell back from {use.device} to the CPU."
        yield text, f"{words.listed(parts)} on {use.device}"
