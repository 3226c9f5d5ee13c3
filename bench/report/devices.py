"""What each device is and in what state it was while it was measured."""

from __future__ import annotations

from collections.abc import Sequence

from edgevit.bench.protocol import Protocol
from edgevit.bench.report import lines
from edgevit.bench.report.entries import Entry, Report
from edgevit.bench.result import BenchResult, Conditions
from edgevit.machine import Cpu
from edgevit.pages import words
from edgevit.pages.markup import Html, element, join
from edgevit.pages.tables import Cell, Column, Row, table

_CONDITIONS = (
    Column("Row", is_numeric=False),
    Column("Threads"),
    Column("Temperature", "°C, first – highest"),
    Column("Clock", "MHz, lowest – highest"),
    Column("New throttling", is_numeric=False),
    Column("Watched", "s"),
)


def device_card(report: Report, index: int) -> Html:
    """Return everything known about the machine of one result."""
    result = report.results[index]
    entries = [entry for entry in report.entries if entry.result_index == index]
    facts = [
        element("div", element("dt", name), element("dd", content))
        for name, content in _facts(result)
    ]
    notes = [element("p", note, class_="soft") for note in result.notes]
    return element(
        "article",
        element("h3", report.machines[index]),
        element("dl", *facts, class_="facts"),
        *notes,
        *_conditions(report.machines[index], entries),
        class_="device",
    )


def protocol_text(rules: Protocol) -> str:
    """Say in a sentence how a result was timed."""
    repeats = "" if rules.repeats == 1 else f", {rules.repeats} times"
    text = (
        f"Protocol “{rules.name}”: at least {words.counted(rules.min_queries, 'inference')} and "
        f"{rules.min_seconds:.3g} s{repeats}, each after a warm-up of at least "
        f"{words.counted(rules.warmup_min_queries, 'inference')} and "
        f"{rules.warmup_min_seconds:g} s until the times are steady"
    )
    return f"{text}." if rules.comparable else f"{text}. Not comparable with other results."


def _facts(result: BenchResult) -> list[tuple[str, str]]:
    machine, cpu = result.machine, result.machine.cpu
    affinity = words.listed([str(core) for core in result.cpu_affinity])
    seen = [f"{item.name} ({item.kind})" for item in machine.accelerators]
    versions = ", ".join(f"{name} {text}" for name, text in result.versions.items())
    facts = [
        ("Board", machine.board or ""),
        ("Processor", cpu.model),
        ("Cores", _cores(cpu)),
        ("CPU features", _features(cpu)),
        ("Governor", cpu.governor or "not known"),
        ("Memory", f"{machine.memory_bytes / 2**30:.1f} GiB"),
        ("Beside the CPU", ", ".join(seen) or "nothing seen"),
        ("System", f"{machine.system}, {machine.architecture}"),
        ("Python", machine.python),
        ("Versions", versions),
        ("Measured by", f"{result.tool}, target {result.target}"),
        ("Started", words.minute(result.started)),
        ("Cores it might use", affinity or "not known"),
        ("Timing", protocol_text(result.protocol)),
    ]
    return [(name, content) for name, content in facts if content]


def _cores(cpu: Cpu) -> str:
    logical = words.counted(cpu.logical_cores, "hardware thread")
    if cpu.physical_cores is None:
        return logical
    return f"{words.counted(cpu.physical_cores, 'core')}, {logical}"


def _features(cpu: Cpu) -> Html:
    if not cpu.features:
        return Html("not known")
    return join(
        element(
            "span",
            element("span", "" if present else "no ", class_="unseen"),
            name,
            class_="feature" if present else "feature absent",
        )
        for name, present in cpu.features.items()
    )


def _conditions(machine: str, entries: Sequence[Entry]) -> list[Html]:
    watched = [(entry, entry.measurement.conditions) for entry in entries]
    known = [(entry, state) for entry, state in watched if state is not None and state.samples]
    if not known:
        return [element("p", "Temperature and clock were not watched.", class_="soft")]
    rows = [Row(_condition_cells(entry, state)) for entry, state in known]
    panels = lines.condition_panels(
        [state.samples for _, state in known], known[0][0].series, f"{machine} while measured"
    )
    charts = [element("figure", lines.draw(panel)) for panel in panels]
    caption = (
        "All rows one after the other; thin vertical lines part them, shaded is where it throttled."
    )
    return [
        table(_CONDITIONS, [rows], f"{machine} while it was measured"),
        *([element("div", *charts, class_="charts")] if charts else []),
        *([element("p", caption, class_="soft")] if charts else []),
    ]


def _condition_cells(entry: Entry, state: Conditions) -> list[Cell]:
    temperatures = [s.temperature_c for s in state.samples if s.temperature_c is not None]
    clocks = [s.clock_mhz for s in state.samples if s.clock_mhz is not None]
    heat = f"{temperatures[0]:.1f} – {max(temperatures):.1f}" if temperatures else words.NOTHING
    pace = f"{min(clocks):,.0f} – {max(clocks):,.0f}" if clocks else words.NOTHING
    new = words.listed(state.new_throttling) if state.new_throttling else "none"
    return [
        Cell(entry.name),
        Cell(str(entry.threads)),
        Cell(heat),
        Cell(pace),
        Cell(element("strong", new, class_="bad") if state.new_throttling else new),
        Cell(f"{state.samples[-1].seconds:,.0f}"),
    ]
