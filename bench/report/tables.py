"""The tables of the page: the summary, the chain, cold start and memory, placement."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.chain import RunChain, Step, place_name
from edgevit.bench.report.cautions import badges
from edgevit.bench.report.entries import Entry, Report
from edgevit.bench.table import drop_text
from edgevit.pages import words
from edgevit.pages.markup import Html, element, join
from edgevit.pages.tables import Cell, Column, Row, table
from edgevit.run import ReferenceRecord
from edgevit.runtimes.base import AcceleratorUse

_MODEL = Column("Model", is_numeric=False)
_DEVICE = Column("Device", is_numeric=False)
_SUMMARY = (
    _MODEL,
    _DEVICE,
    Column("Precision", is_numeric=False),
    Column("Threads"),
    Column("Top-1", "%"),
    Column("Drop", "points (95 %)"),
    Column("Agreement", "%"),
    Column("p50", "ms"),
    Column("p90", "ms"),
    Column("End to end", "p50, ms"),
    Column("Size", "MB"),
)
_CHAIN = (
    Column("Step", is_numeric=False),
    Column("What changed", is_numeric=False),
    Column("Top-1", "%"),
    Column("Drop", "points (95 %)"),
    Column("Agreement", "%"),
    Column("p50", "ms"),
    Column("Speed-up", "of fp32 here"),
    Column("Size", "MB"),
)
_COLD = (
    _MODEL,
    _DEVICE,
    Column("Threads"),
    Column("Import", "ms"),
    Column("Load", "ms"),
    Column("First answer", "ms"),
    Column("All three", "ms"),
    Column("Before", "MB"),
    Column("Loaded", "MB"),
    Column("Peak", "MB"),
)
_PLACEMENT = (
    _MODEL,
    _DEVICE,
    Column("Where it ran", is_numeric=False),
    Column("Ops", is_numeric=False),
    Column("Partitions"),
)
_ACCELERATORS = (
    _MODEL,
    _DEVICE,
    Column("Ops on it", "%"),
    Column("Time on it", "%"),
    Column("The CPU’s answer", "% of the photos compared"),
    Column("Largest difference", "of a probability"),
    Column("What ran where", is_numeric=False),
)


def summary(report: Report) -> Html:
    """Return every measured row with its run's reference; sortable."""
    rows: list[Row] = []
    for chain in report.chains:
        reference = _reference_of(report, chain)
        rows.append(Row(_reference_cells(chain.run_name, reference), style="reference-row"))
        entries = (e for e in report.entries if e.measurement.run_sha256 == chain.run_sha256)
        rows += [Row(_summary_cells(entry), anchor=f"row-{entry.number}") for entry in entries]
    return table(_SUMMARY, [rows], "Every model on every device", is_sortable=True)


def chain_table(chain: RunChain) -> Html:
    """Return the steps of one run: its references, then a group for each branch."""
    groups = [[Row(_step_cells(step)) for step in chain.references]]
    headings = ["Full precision"]
    for branch in chain.branches:
        place = place_name(branch.machine, branch.device)
        headings.append(f"{place}, {branch.format}, {words.counted(branch.threads, 'thread')}")
        groups.append([Row(_step_cells(step)) for step in branch.steps])
    return table(
        _CHAIN, groups, f"{chain.run_name}, step by step", is_stacked=True, headings=headings
    )


def cold_start(entries: Iterable[Entry]) -> Html | None:
    """Return cold starts and memory, or ``None`` where neither was measured."""
    rows = [
        Row([*_names(entry), Cell(str(entry.threads), entry.threads), *_cold_cells(entry)])
        for entry in entries
        if entry.measurement.cold_start or entry.measurement.memory
    ]
    return table(_COLD, [rows], "Cold start and memory", is_sortable=True) if rows else None


def placement(entries: Iterable[Entry]) -> Html:
    """Return where each model's ops ran; what threads cannot change is said once."""
    rows: dict[tuple[str, str, str], Row] = {}
    for entry in entries:
        key = (entry.name, entry.device, entry.measurement.placement.summary)
        rows.setdefault(key, Row([*_names(entry), *_placement_cells(entry)]))
    return table(_PLACEMENT, [list(rows.values())], "Where the ops ran", is_sortable=True)


def accelerators(entries: Iterable[Entry]) -> Html | None:
    """Return how much each accelerator computed and whether it was right; ``None`` without any."""
    rows = [
        Row([*_names(entry), *_accelerator_cells(entry.measurement.accelerator)])
        for entry in entries
        if entry.measurement.accelerator is not None
    ]
    return table(_ACCELERATORS, [rows], "Accelerators", is_sortable=True) if rows else None


def _names(entry: Entry) -> list[Cell]:
    return [Cell(entry.name, entry.name), Cell(entry.device, entry.device)]


def _reference_of(report: Report, chain: RunChain) -> ReferenceRecord:
    return next(
        entry.measurement.reference
        for entry in report.entries
        if entry.measurement.run_sha256 == chain.run_sha256
    )


def _reference_cells(run_name: str, reference: ReferenceRecord) -> list[Cell]:
    name = join([run_name, element("span", "reference of the run", class_="badge")])
    return [
        Cell(name, run_name),
        Cell(reference.device, reference.device),
        Cell("full (keras)", "full"),
        Cell(words.NOTHING),
        _percent_cell(reference.accuracy.top1),
        Cell(words.NOTHING),
        Cell(words.NOTHING),
        _ms_cell(reference.latency_ms_p50),
        _ms_cell(reference.latency_ms_p90),
        Cell(words.NOTHING),
        Cell(words.NOTHING),
    ]


def _summary_cells(entry: Entry) -> list[Cell]:
    measurement, latency = entry.measurement, entry.measurement.latency
    accuracy, is_valid = measurement.accuracy, entry.headline_valid
    paired = None if accuracy is None else accuracy.paired
    drop: float | None = None
    if accuracy is not None:
        drop = accuracy.unpaired_drop_points if paired is None else paired.drop_points
    end_to_end = measurement.end_to_end
    marks = [element("span", mark.text, class_=f"badge {mark.severity}") for mark in badges(entry)]
    return [
        Cell(join([entry.name, *marks]), entry.name),
        Cell(entry.device, entry.device),
        Cell(f"{measurement.precision} ({measurement.format})", measurement.precision),
        Cell(str(entry.threads), entry.threads),
        _percent_cell(entry.top1),
        Cell(_drop(accuracy), drop),
        _percent_cell(None if paired is None else paired.agreement),
        _ms_cell(latency.latency_ms_p50, is_valid=is_valid),
        _ms_cell(latency.latency_ms_p90, is_valid=is_valid),
        _ms_cell(None if end_to_end is None else end_to_end.latency_ms_p50, is_valid=is_valid),
        Cell(words.megabytes(measurement.size_bytes), measurement.size_bytes),
    ]


def _step_cells(step: Step) -> list[Cell]:
    where = f"{step.device}, {step.runtime} {step.precision}"
    name = {
        "training": "Reference, from training",
        "reference": "Reference, measured",
        "fp32 export": "fp32 export",
        "lower precision": f"{step.precision} export",
    }[step.kind]
    detail = where if step.kind in ("training", "reference") else step.name
    changes = [element("span", text, class_="change") for text in step.changed]
    return [
        Cell(join([name, element("span", detail, class_="detail")])),
        Cell(join(changes) if changes else words.NOTHING),
        _percent_cell(step.top1),
        Cell(_drop(step.accuracy)),
        _percent_cell(step.agreement),
        _ms_cell(step.latency_ms_p50, is_valid=step.headline_valid),
        Cell(words.times(step.speed_up)),
        Cell(words.megabytes(step.size_bytes)),
    ]


def _cold_cells(entry: Entry) -> list[Cell]:
    cold, memory = entry.measurement.cold_start, entry.measurement.memory
    cells: list[Cell] = []
    if cold is None:
        cells += [Cell(words.NOTHING)] * 4
    else:
        parts = (cold.import_ms, cold.load_ms, cold.first_inference_ms)
        totals = tuple(map(sum, zip(*parts, strict=False)))
        cells += [_median_cell(values) for values in (*parts, totals)]
    if memory is None:
        return [*cells, *[Cell(words.NOTHING)] * 3]
    sizes = (memory.baseline_bytes, memory.loaded_bytes, memory.peak_bytes)
    return [*cells, *(Cell(words.megabytes(size), size) for size in sizes)]


def _placement_cells(entry: Entry) -> list[Cell]:
    place = entry.measurement.placement
    ops = ", ".join(f"{count:,} × {name}" for name, count in place.ops.items())
    partitions = str(place.partitions) if place.partitions else words.NOTHING
    return [
        Cell(place.summary, place.summary),
        Cell(ops or words.NOTHING, sum(place.ops.values()) or None),
        Cell(partitions, place.partitions or None),
    ]


def _accelerator_cells(use: AcceleratorUse) -> list[Cell]:
    agreement = f"{words.percent(use.agreement)} of {use.compared_count:,}"
    return [
        _percent_cell(use.ops_share),
        _percent_cell(use.time_share),
        Cell(agreement, use.agreement),
        Cell(f"{use.max_abs_difference:.2g}", use.max_abs_difference),
        Cell(use.detail, use.detail),
    ]


def _drop(accuracy: AccuracyResult | None) -> str:
    """Return a drop with its interval below it."""
    if accuracy is None:
        return words.NOTHING
    points, _, interval = drop_text(accuracy).partition(" ")
    return join([points, element("span", interval, class_="detail")]) if interval else points


def _percent_cell(share: float | None) -> Cell:
    return Cell(words.percent(share), share)


def _ms_cell(value: float | None, *, is_valid: bool = True) -> Cell:
    if value is None:
        return Cell(words.NOTHING)
    text = words.milliseconds(value)
    if is_valid:
        return Cell(text, value)
    # Said aloud too: a line through a number is not read out.
    mark = element("span", "not valid: ", class_="unseen")
    return Cell(join([mark, element("s", text)]), value)


def _median_cell(values: Sequence[float]) -> Cell:
    if not values:
        return Cell(words.NOTHING)
    middle = statistics.median(values)
    return Cell(words.milliseconds(middle), middle)
