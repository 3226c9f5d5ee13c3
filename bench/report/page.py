"""The page of a report: its sections, from warnings to devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgevit.bench.report import devices, tables
from edgevit.bench.report.cautions import HEADINGS, Caution, Severity, cautions, claims
from edgevit.bench.report.entries import Report
from edgevit.bench.report.figures import distributions, fastest, scatters, sustained_runs
from edgevit.pages import words
from edgevit.pages.document import Section, build_document, resource
from edgevit.pages.markup import Html, element

_MANY_ROWS = 4


def build_page(report: Report) -> str:
    """Return the whole page, ``<!doctype html>`` first. The same report gives the same text."""
    return build_document(
        _subject(report),
        "edgevit report",
        _lead(report),
        list(_sections(report)),
        _footer(report),
        style=resource("edgevit.bench.report", "report.css"),
    )


def _subject(report: Report) -> str:
    names = words.shortened(words.listed(report.run_names), 60) if report.chains else "No model"
    count = len(report.devices)
    where = report.devices[0] if count == 1 else words.counted(count, "device")
    return f"{names} on {where}" if count else f"{names} measured"


def _lead(report: Report) -> str:
    dates = sorted({result.started[: len("2026-01-31")] for result in report.results})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    counts = f"{words.counted(len(report.entries), 'row')} measured {when}"
    if report.missing:
        counts += f", {len(report.missing):,} without a measurement"
    return f"{counts}. One photo at a time, batch 1."


def _headings(report: Report) -> dict[str, str]:
    """Return the sections that this report has, by their anchors."""
    if not report.entries:
        return {"warnings": "Warnings", "devices": "Devices"}
    headings = {
        "warnings": "Warnings",
        "summary": "Summary",
        "chart": "Accuracy against latency",
        "chain": "Step by step",
        "times": "Latency",
        "cold": "Cold start and memory",
        "placement": "Placement",
        "sustained": "Sustained",
        "devices": "Devices",
    }
    measurements = [entry.measurement for entry in report.entries]
    has = {
        "warnings": bool(cautions(report)),
        "cold": any(item.cold_start or item.memory for item in measurements),
        "sustained": any(item.sustained for item in measurements),
    }
    return {anchor: text for anchor, text in headings.items() if has.get(anchor, True)}


def _sections(report: Report) -> Iterable[Section]:
    headings = _headings(report)
    content: dict[str, Callable[[Report], Sequence[Html | None]]] = {
        "warnings": warning_cards,
        "summary": _summary,
        "chart": _chart,
        "chain": _chain,
        "times": _times,
        "cold": _cold,
        "placement": _placement,
        "sustained": lambda given: [sustained_runs(given.entries)],
        "devices": _devices,
    }
    for anchor, heading in headings.items():
        parts = [part for part in content[anchor](report) if part is not None]
        yield Section(anchor, heading, parts)


def warning_cards(report: Report) -> list[Html]:
    """Return what must be known before the numbers are used, the worst first."""
    by_severity: dict[Severity, list[Caution]] = {}
    for caution in cautions(report):
        by_severity.setdefault(caution.severity, []).append(caution)
    return [
        element(
            "div",
            element("h3", f"{HEADINGS[severity]} ({len(found)})"),
            element("ul", *(element("li", c.text, _rows(c.rows)) for c in found)),
            class_=f"caution {severity}",
        )
        for severity, found in by_severity.items()
    ]


def _rows(rows: Sequence[str]) -> Html:
    if not rows:
        return Html("")
    if len(rows) <= _MANY_ROWS:
        return element("p", "; ".join(rows), class_="rows")
    items = element("ul", *(element("li", row) for row in rows))
    return element("details", element("summary", words.counted(len(rows), "row")), items)


def _summary(report: Report) -> list[Html]:
    return [
        element("h3", "Fastest on each device"),
        fastest(report),
        element("h3", "Every row"),
        element(
            "p",
            "A drop is what the full-precision reference gets right and the model loses, photo by "
            "photo: + is worse. Times are of the model alone unless they say end to end; those of "
            "a reference are from the machine that it was trained on.",
            class_="soft",
        ),
        tables.summary(report),
        *_claims(report),
    ]


def _claims(report: Report) -> list[Html]:
    items = [element("li", item.text, _rows(item.rows)) for item in claims(report)]
    if not items:
        return []
    return [element("h3", "What the photos show"), element("ul", *items, class_="claims")]


def _chart(report: Report) -> list[Html]:
    return list(scatters(report))


def _chain(report: Report) -> list[Html]:
    parts = [
        element(
            "p",
            "One change at a time, so that device, runtime and precision are never mixed up. "
            "Drops are against the run’s own full-precision answers; speed-ups are against the "
            "fp32 export of the same device, format and threads.",
            class_="soft",
        )
    ]
    for chain in report.chains:
        parts.append(element("h3", f"{chain.run_name} ({chain.model})"))
        parts.append(tables.chain_table(chain))
        notes = [
            f"{branch.machine}, {branch.format}, {words.counted(branch.threads, 'thread')}: {note}."
            for branch in chain.branches
            for note in branch.notes
        ]
        if notes:
            parts.append(element("ul", *(element("li", note) for note in notes), class_="notes"))
        parts.append(element("p", f"run.json sha256 {chain.run_sha256}", class_="soft hash"))
    return parts


def _times(report: Report) -> list[Html]:
    text = (
        "The height of a bar is the share of samples; each strip has its own axis. Dots below are "
        "the medians of the repeats."
    )
    return [element("p", text, class_="soft"), distributions(report)]


def _cold(report: Report) -> list[Html | None]:
    states = dict.fromkeys(
        entry.measurement.cold_start.cache_state
        for entry in report.entries
        if entry.measurement.cold_start
    )
    note = "Medians over fresh processes; memory is resident, from a pass that was not timed."
    caches = f" In memory before: {words.listed(list(states))}." if states else ""
    return [element("p", note + caches, class_="soft"), tables.cold_start(report.entries)]


def _placement(report: Report) -> list[Html | None]:
    accelerators = tables.accelerators(report.entries)
    heading = None if accelerators is None else element("h3", "Accelerators")
    return [tables.placement(report.entries), heading, accelerators]


def _devices(report: Report) -> list[Html]:
    return [devices.device_card(report, index) for index in range(len(report.results))]


def _footer(report: Report) -> str:
    versions = dict.fromkeys(result.versions.get("edgevit", "") for result in report.results)
    made = words.listed([version for version in versions if version])
    return f"Measured with edgevit {made}." if made else "Measured with edgevit."
