"""A benchmark as a table for people, with the notes that keep it honest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.chain import build_chains
from edgevit.bench.result import BenchResult, BenchRow, Measurement
from edgevit.metrics import CLAIM_POINTS, claim, unpaired_half_width_points
from edgevit.pages import words
from edgevit.run import ReferenceRecord

_BYTES_PER_MB = 1_000_000
_NOTHING = "–"
_ENDLESS = 10_000
# (heading, alignment); | is where the table breaks the heading.
_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("model", "left"),
    ("precision", "left"),
    ("threads", "right"),
    ("top-1|%", "right"),
    ("drop in points|(95 % interval)", "right"),
    ("photos", "right"),
    ("agreement|%", "right"),
    ("p50|ms", "right"),
    ("p90|ms", "right"),
    ("size|MB", "right"),
    ("where it ran", "left"),
)


def print_result(result: BenchResult, console: Console | None = None) -> None:
    """Print the table and its notes; nothing is cut, however narrow the output is.

    Args:
        result: With at least one row.
        console: Standard output if none is given.
    """
    console = Console() if console is None else console
    table, lines = build_table(result), notes(result)
    if not console.is_terminal:
        console.width = max(console.width, _width_of(table, console))
    elif _width_of(table, console) > console.width:
        table = build_table(result, with_place=False)
        lines += _place_notes(result)
    if _width_of(table, console) <= console.width:
        console.print(table)
    else:
        lines = [*_blocks(result), *notes(result)]
    for line in lines:
        console.print(Text(line), soft_wrap=not console.is_terminal)


def build_table(result: BenchResult, *, with_place: bool = True) -> Table:
    """Return the table: each run's full-precision reference, then the models made from it.

    Args:
        result: With at least one row.
        with_place: Whether to say where each model ran, the widest column.
    """
    columns = _COLUMNS if with_place else _COLUMNS[:-1]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading, alignment in columns:
        table.add_column(heading.replace("|", "\n"), justify=alignment, no_wrap=True)
    for cells in _all_cells(result):
        table.add_row(*map(Text, cells[: len(columns)]))
    return table


def _width_of(table: Table, console: Console) -> int:
    # Measuring stops at the options' width, so give it room.
    return console.measure(table, options=console.options.update(width=_ENDLESS)).maximum


def _blocks(result: BenchResult) -> list[str]:
    """Return the table's cells as lines, for a terminal too narrow for the table."""
    headings = [heading.replace("|", " ") for heading, _ in _COLUMNS[1:]]
    width = max(map(len, headings))
    lines: list[str] = []
    for name, *cells in _all_cells(result):
        lines.append(name)
        pairs = zip(headings, cells, strict=True)
        lines += [f"  {heading:<{width}}  {cell}" for heading, cell in pairs if cell != _NOTHING]
        lines.append("")
    return lines


def _all_cells(result: BenchResult) -> list[list[str]]:
    cells: list[list[str]] = []
    for group in _by_run(result.rows):
        first = group[0].measurement
        if first is not None:
            cells.append(_reference_cells(first.run_name, first.reference))
        for row in group:
            measurement = row.measurement
            cells.append(
                _unmeasured_cells(row) if measurement is None else _cells(row, measurement)
            )
    return cells


def _by_run(rows: Iterable[BenchRow]) -> list[list[BenchRow]]:
    """Group the rows by the run they come from; failed rows form the last group."""
    groups: dict[str, list[BenchRow]] = {}
    failed: list[BenchRow] = []
    for row in rows:
        if row.measurement is None:
            failed.append(row)
        else:
            groups.setdefault(row.measurement.run_sha256, []).append(row)
    return [*groups.values(), *([failed] if failed else [])]


def _reference_cells(run_name: str, reference: ReferenceRecord) -> list[str]:
    return [
        f"{run_name} (reference)",
        "fp32",
        _NOTHING,
        f"{100 * reference.accuracy.top1:.2f}",
        _NOTHING,
        f"{reference.accuracy.image_count:,}",
        _NOTHING,
        _milliseconds(reference.latency_ms_p50),
        _milliseconds(reference.latency_ms_p90),
        _NOTHING,
        f"Keras, {reference.device}",
    ]


def _cells(row: BenchRow, measurement: Measurement) -> list[str]:
    result, latency = measurement.accuracy, measurement.latency
    # Times of a device that throttled are shown, but never as if they were its own.
    mark = "" if measurement.headline_valid else "!"
    p90 = latency.latency_ms_p90
    return [
        row.name,
        measurement.precision,
        str(row.threads),
        _NOTHING if result is None else f"{100 * result.accuracy.top1:.2f}",
        drop_text(result),
        _NOTHING if result is None else f"{result.accuracy.image_count:,}",
        _NOTHING
        if result is None or result.paired is None
        else f"{100 * result.paired.agreement:.2f}",
        mark + _milliseconds(latency.latency_ms_p50),
        _NOTHING if p90 is None else mark + _milliseconds(p90),
        f"{measurement.size_bytes / _BYTES_PER_MB:.2f}",
        measurement.placement.summary,
    ]


def _unmeasured_cells(row: BenchRow) -> list[str]:
    outcome = "failed" if row.absent is None else "absent"
    return [row.name, outcome, str(row.threads), *[_NOTHING] * (len(_COLUMNS) - 4), "see below"]


def drop_text(result: AccuracyResult | None) -> str:
    """Return a drop in points with its interval, such as ``+0.21 (−0.40 to +0.81)``."""
    if result is None:
        return _NOTHING
    if (paired := result.paired) is not None:
        interval = words.interval(paired.drop_points_low, paired.drop_points_high)
        return f"{words.points(paired.drop_points)} {interval}"
    if result.unpaired_drop_points is not None:
        return f"{words.points(result.unpaired_drop_points)} (unpaired)"
    return _NOTHING


def _milliseconds(value: float) -> str:
    # Three significant digits: below 1 ms two decimals would hide what was measured.
    return f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def claim_text(result: AccuracyResult) -> str | None:
    """Say what the photos show about the drop, without a full stop; ``None`` without a drop."""
    if result.paired is not None:
        return claim(result.paired, CLAIM_POINTS)
    if result.unpaired_drop_points is None:
        return None
    top1, count = result.accuracy.top1, result.accuracy.image_count
    points = unpaired_half_width_points(top1 + result.unpaired_drop_points / 100, top1, count)
    return f"a drop smaller than ±{points:.2f} points cannot be claimed with {count:,} photos"


def notes(result: BenchResult) -> list[str]:
    """Return what must be known to read the table."""
    machine = result.machine
    measured = [row for row in result.rows if row.measurement is not None]
    lines = [
        f"Measured on {machine.board or machine.cpu.model}, one photo at a time, model only.",
        _protocol_note(result),
        *map(_sentence, result.notes),
    ]
    if measured:
        lines.append("The reference's times are from the machine that it was trained on.")
        lines.append("A drop is what the reference gets right and the model loses: + is worse.")
    return lines + _chain_notes(result) + _shared_row_notes(result)


def _chain_notes(result: BenchResult) -> list[str]:
    """Return what the steps from full precision to each row do not show, each once."""
    branches = (branch for chain in build_chains([result]) for branch in chain.branches)
    found = (note for branch in branches for note in branch.notes)
    return [_sentence(note) for note in dict.fromkeys(found)]


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


def _shared_row_notes(result: BenchResult) -> list[str]:
    """Return each row's notes; one that several rows share is said once, with their names."""
    rows_by_note: dict[str, list[str]] = {}
    for row in result.rows:
        for note in _row_notes(row):
            names = rows_by_note.setdefault(note, [])
            if row.name not in names:
                names.append(row.name)
    return [f"{', '.join(names)}: {note}" for note, names in rows_by_note.items()]


def _place_notes(result: BenchResult) -> list[str]:
    measured = [(row.name, row.measurement) for row in result.rows if row.measurement is not None]
    return [f"{name} ran on {measurement.placement.summary}." for name, measurement in measured]


def _protocol_note(result: BenchResult) -> str:
    rules = result.protocol
    times = "" if rules.repeats == 1 else f"{rules.repeats} times "
    text = (
        f"Protocol {rules.name}: {times}at least {rules.min_queries:,} inferences and "
        f"{rules.min_seconds:.3g} s each, after a warm-up"
    )
    return f"{text}." if rules.comparable else f"{text}. Not comparable with other results."


def _row_notes(row: BenchRow) -> list[str]:
    if row.absent is not None:
        return [f"absent: {row.absent}."]
    if row.measurement is None:
        return [f"failed: {row.error}."]
    lines = [w if w.endswith("?") else f"{w}." for w in row.measurement.warnings]
    result = row.measurement.accuracy
    if result is None:
        return lines
    lines += [f"{note}." for note in result.notes]
    if (text := claim_text(result)) is not None:
        lines.append(f"{text}.")
    return lines
