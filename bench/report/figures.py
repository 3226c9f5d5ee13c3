"""The charts of the page with what belongs beside them: headings, legends and captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgevit.bench.chain import RunChain, place_name
from edgevit.bench.report import lines, strips
from edgevit.bench.report.cautions import badges
from edgevit.bench.report.entries import Entry, Report, spread_of
from edgevit.bench.report.scatter import (
    NARROW,
    WIDE,
    Line,
    can_be_drawn,
    scatter,
    shape,
)
from edgevit.bench.table import drop_text
from edgevit.metrics import unpaired_half_width_points
from edgevit.pages import words
from edgevit.pages.axes import COLOURS
from edgevit.pages.legend import ICON_PIXELS, icon, key
from edgevit.pages.markup import Html, element, join

_CENTRE = ICON_PIXELS / 2
# More strips than this are folded away until they are asked for.
_MANY_STRIPS = 8


def fastest(report: Report) -> Html:
    """Return a card for each device: the fastest row whose times are valid."""
    speed_ups = _speed_ups(report.chains)
    cards = []
    for series, device in enumerate(report.devices):
        valid = [e for e in report.entries if e.series == series and e.headline_valid]
        if not valid:
            text = element("p", "No valid times: it throttled.", class_="bad")
            cards.append(element("div", element("h4", device), text, class_="tile"))
            continue
        entry = min(valid, key=lambda item: (item.latency_ms_p50, item.number))
        cards.append(_tile(entry, speed_ups.get((entry.device, entry.name, entry.threads))))
    return element("div", *cards, class_="tiles")


def scatters(report: Report) -> Iterator[Html]:
    """Yield a chart for each set of photos: accuracies on different photos are no one axis."""
    drawn = [entry for entry in report.entries if can_be_drawn(entry)]
    if not drawn:
        yield element("p", "No row has both an accuracy and a latency.", class_="soft")
        return
    by_photos: dict[str, list[Entry]] = {}
    for entry in drawn:
        by_photos.setdefault(entry.measurement.evaluation.dataset_sha256, []).append(entry)
    for entries in by_photos.values():
        if len(by_photos) > 1:
            yield element("h3", f"On the photos of {entries[0].measurement.evaluation.source}")
        yield _one_scatter(report, entries)


def distributions(report: Report) -> Html:
    """Return a strip for each row, device by device."""
    groups = []
    for series, device in enumerate(report.devices):
        entries = [entry for entry in report.entries if entry.series == series]
        cards = [_strip_card(entry) for entry in entries]
        groups.append(
            element(
                "details",
                element(
                    "summary", element("span", device), f" · {words.counted(len(cards), 'row')}"
                ),
                element("div", *cards, class_="cards"),
                open=len(cards) <= _MANY_STRIPS,
            )
        )
    return join(groups)


def sustained_runs(entries: Iterable[Entry]) -> Html:
    """Return a card for each long run: latency by the minute, and the temperature meanwhile."""
    return element(
        "div", *(_sustained(e) for e in entries if e.measurement.sustained), class_="cards large"
    )


def _speed_ups(chains: Sequence[RunChain]) -> dict[tuple[str, str, int], float]:
    return {
        (place_name(branch.machine, branch.device), step.name, branch.threads): step.speed_up
        for chain in chains
        for branch in chain.branches
        for step in branch.steps
        if step.speed_up is not None
    }


def _tile(entry: Entry, speed_up: float | None) -> Html:
    measurement = entry.measurement
    facts = [f"{entry.name}, {words.counted(entry.threads, 'thread')}"]
    if entry.top1 is not None and measurement.accuracy is not None:
        facts.append(f"top-1 {words.percent(entry.top1)} %")
        facts.append(f"drop {drop_text(measurement.accuracy)} points")
    if speed_up is not None:
        facts.append(f"{words.times(speed_up)} the speed of fp32 there")
    marks = [element("span", mark.text, class_=f"badge {mark.severity}") for mark in badges(entry)]
    median = words.milliseconds(entry.latency_ms_p50)
    return element(
        "div",
        element("h4", entry.device),
        element("p", element("b", median), " ms median", class_="figure"),
        *(element("p", fact, class_="soft") for fact in facts),
        *([element("p", *marks)] if marks else []),
        class_=f"tile s{entry.series % COLOURS}",
    )


def _one_scatter(report: Report, entries: Sequence[Entry]) -> Html:
    references = {
        entry.measurement.run_sha256: Line(
            entry.measurement.run_name, entry.measurement.reference.accuracy.top1
        )
        for entry in entries
        if entry.measurement.evaluation.same_photos
    }
    reference_lines = list(references.values())
    name = "Scatter chart of top-1 accuracy against median latency; the summary has the numbers"
    wide = scatter(entries, reference_lines, WIDE, name)
    narrow = scatter(entries, reference_lines, NARROW, name)
    return element(
        "figure",
        _legend(report, entries, reference_lines),
        element("div", wide, class_="wide"),
        element("div", narrow, class_="narrow"),
        element("figcaption", _scatter_caption(report, entries), class_="soft"),
        class_="scatter",
    )


def _legend(report: Report, entries: Sequence[Entry], references: Sequence[Line]) -> Html:
    series = sorted({entry.series for entry in entries})
    formats = list(dict.fromkeys(entry.measurement.format for entry in entries))
    precisions = sorted({entry.measurement.precision for entry in entries}, key=_by_width)
    return element(
        "div",
        key("Device", [(_swatch("tflite", "int8", i), report.devices[i]) for i in series]),
        key("Format", [(_swatch(name, "int8", None), name) for name in formats]),
        key("Precision", [(_swatch("tflite", name, None), name) for name in precisions]),
        key("Full precision", [(_dots(), _line_text(line)) for line in references]),
        class_="legend",
    )


def _line_text(line: Line) -> str:
    return f"{line.name}, {words.percent(line.top1)} %"


def _by_width(precision: str) -> tuple[int, str]:
    order = ("fp32", "fp16", "int8")
    return (order.index(precision) if precision in order else len(order), precision)


def _swatch(format_name: str, precision: str, series: int | None) -> Html:
    colour = "neutral" if series is None else f"s{series % COLOURS}"
    return icon(
        element("g", shape(format_name, precision, _CENTRE, _CENTRE), class_=f"mark {colour}")
    )


def _dots() -> Html:
    line = element("line", class_="reference", x1=1, x2=ICON_PIXELS - 1, y1=_CENTRE, y2=_CENTRE)
    return icon(line)


def _scatter_caption(report: Report, entries: Sequence[Entry]) -> str:
    parts = [
        "Each line is the Pareto front of a device: nothing measured on it is both faster and more "
        "accurate. A mark leads to its row in the summary.",
    ]
    if not all(entry.headline_valid for entry in entries):
        parts.append("Crossed-out marks throttled and are on no front.")
    if not all(entry.comparable for entry in entries):
        parts.append("Some were timed with a shorter protocol and are not comparable.")
    if unscored := sum(entry.top1 is None for entry in report.entries):
        parts.append(f"{words.counted(unscored, 'row')} without an accuracy are not drawn.")
    accuracies = [e.measurement.accuracy for e in entries if e.measurement.accuracy is not None]
    smallest = min((item.accuracy for item in accuracies), key=lambda item: item.image_count)
    half = unpaired_half_width_points(smallest.top1, smallest.top1, smallest.image_count)
    parts.append(
        f"The accuracy axis does not start at 0: with {smallest.image_count:,} photos two models "
        f"closer than ±{half:.2f} points cannot be told apart unless they are compared photo by "
        "photo, as the drops are."
    )
    return " ".join(parts)


def _strip_card(entry: Entry) -> Html:
    measurement, latency = entry.measurement, entry.measurement.latency
    repeats = measurement.repeats
    texts = [f"{latency.query_count:,} inferences after {latency.warmup_count:,} to warm up"]
    if latency.sample_stride > 1:
        texts.append(f"one sample in {latency.sample_stride} is drawn")
    texts.append(strips.beyond_text(latency) if latency.samples_ns else "no samples were kept")
    spread = spread_of(repeats)
    if spread is not None:
        medians = ", ".join(map(words.milliseconds, repeats.latency_ms_p50))
        texts.append(f"repeats: {medians} ms, spread {100 * spread:.1f}\u00a0%")
    if measurement.end_to_end is not None:
        p50, p90 = measurement.end_to_end.latency_ms_p50, measurement.end_to_end.latency_ms_p90
        texts.append(
            f"end to end, photo file to label: p50 {words.milliseconds(p50)}, "
            f"p90 {words.milliseconds(p90)} ms"
        )
    name = f"Latency of {entry.name} on {entry.device}, ms"
    return element(
        "article",
        element("h4", entry.name, class_=None if entry.headline_valid else "void"),
        element("p", f"{words.counted(entry.threads, 'thread')}, ms", class_="soft"),
        *([] if entry.headline_valid else [element("p", "Not valid: it throttled", class_="bad")]),
        strips.strip(latency, repeats, entry.series, name),
        *(element("p", text, class_="soft") for text in texts if text),
        class_="card",
    )


def _sustained(entry: Entry) -> Html:
    minutes = entry.measurement.sustained
    where = f"{entry.device}, {words.counted(entry.threads, 'thread')}"
    name = f"Sustained run of {entry.name} on {where}"
    charts = [lines.draw(lines.sustained_panel(minutes, entry.series, name))]
    conditions = entry.measurement.conditions
    samples = () if conditions is None else conditions.samples
    charts += [
        lines.draw(panel)
        for panel in lines.condition_panels([samples], entry.series, name)
        if panel.heading.startswith("temperature")
    ]
    first, last = minutes[0].latency_ms_p50, minutes[-1].latency_ms_p50
    texts = [words.counted(len(minutes), "minute")]
    if first > 0:
        change = f"{100 * (last / first - 1):+.1f} %".replace("-", "−")
        texts.append(
            f"median {words.milliseconds(first)} ms in the first, {words.milliseconds(last)} ms "
            f"in the last ({change})"
        )
    if len(charts) > 1:
        texts.append("the temperature is that of the whole row, the timed part before included")
    return element(
        "article",
        element("h4", entry.name),
        element("p", where, class_="soft"),
        *charts,
        element("p", "; ".join(texts), class_="soft"),
        class_="card",
    )
