"""The summary of a report as GitHub-flavoured Markdown."""

from __future__ import annotations

from edgevit.bench.report.cautions import HEADINGS, Caution, badges, cautions, claims
from edgevit.bench.report.devices import protocol_text
from edgevit.bench.report.entries import Entry, Report
from edgevit.bench.table import drop_text
from edgevit.pages import words
from edgevit.pages.markdown import escape, table
from edgevit.run import ReferenceRecord

_COLUMNS = (
    ("Model", False),
    ("Device", False),
    ("Precision", False),
    ("Threads", True),
    ("Top-1, %", True),
    ("Drop, points (95 %)", True),
    ("Agreement, %", True),
    ("p50, ms", True),
    ("p90, ms", True),
    ("Size, MB", True),
    ("Notes", False),
)


def build_markdown(report: Report) -> str:
    """Return the summary table and its notes. The same report gives the same text."""
    blocks: list[str] = []
    if report.entries:
        blocks.append(table(_COLUMNS, _rows(report)))
        blocks.append(
            "A drop is what the full-precision reference gets right and the model loses, photo by "
            "photo: + is worse. Times are of the model alone, one photo at a time."
        )
    if found := cautions(report):
        blocks.append(
            "\n".join(f"- **{HEADINGS[item.severity]}:** {_said(item)}" for item in found)
        )
    if shown := claims(report):
        blocks.append("\n".join(["What the photos show:", "", *(f"- {_said(i)}" for i in shown)]))
    blocks.append("\n".join(["Devices:", "", *_devices(report)]))
    return "\n\n".join(blocks) + "\n"


def _rows(report: Report) -> list[list[str]]:
    rows: list[list[str]] = []
    for chain in report.chains:
        entries = [e for e in report.entries if e.measurement.run_sha256 == chain.run_sha256]
        rows.append(_reference_row(chain.run_name, entries[0].measurement.reference))
        rows += [_row(entry) for entry in entries]
    return rows


def _reference_row(run_name: str, reference: ReferenceRecord) -> list[str]:
    return [
        f"{escape(run_name)} (reference)",
        escape(reference.device),
        "full (keras)",
        words.NOTHING,
        words.percent(reference.accuracy.top1),
        words.NOTHING,
        words.NOTHING,
        words.milliseconds(reference.latency_ms_p50),
        words.milliseconds(reference.latency_ms_p90),
        words.NOTHING,
        "from training",
    ]


def _row(entry: Entry) -> list[str]:
    measurement, latency = entry.measurement, entry.measurement.latency
    accuracy = measurement.accuracy
    paired = None if accuracy is None else accuracy.paired
    times = [
        words.milliseconds(value) for value in (latency.latency_ms_p50, latency.latency_ms_p90)
    ]
    if not entry.headline_valid:
        times = [f"~~{text}~~" for text in times]
    return [
        escape(entry.name),
        escape(entry.device),
        escape(f"{measurement.precision} ({measurement.format})"),
        str(entry.threads),
        words.percent(entry.top1),
        words.NOTHING if accuracy is None else drop_text(accuracy),
        words.percent(None if paired is None else paired.agreement),
        *times,
        words.megabytes(measurement.size_bytes),
        ", ".join(badge.text for badge in badges(entry)),
    ]


def _said(caution: Caution) -> str:
    rows = f" ({escape('; '.join(caution.rows))})" if caution.rows else ""
    return escape(caution.text) + rows


def _devices(report: Report) -> list[str]:
    lines = []
    for result, name in zip(report.results, report.machines, strict=True):
        facts = [result.machine.system, result.machine.cpu.model, words.minute(result.started)]
        text = f"{name}: {', '.join(facts)}. {protocol_text(result.protocol)}"
        lines.append(f"- {escape(text)}")
    return lines
