"""Small line charts: a long run minute by minute, and the state of a device second by second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgevit.bench.protocol import SustainedMinute
from edgevit.bench.result import ConditionSample
from edgevit.pages.axes import COLOURS, Axis, padded_axis, tick_text
from edgevit.pages.markup import Html, element, join

# More points than pixels would only make the page larger.
_MAX_POINTS = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 18.0, 30.0
# vcgencmd get_throttled: what is happening now; bits 16–19 say what has happened since the start.
_NOW_BITS = 0xF
_SECONDS_PER_MINUTE = 60.0

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A line of a chart.

    Attributes:
        style: CSS class.
        points: x and y; ``None`` for y where nothing is known, which interrupts the line.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Panel:
    """A chart of one quantity over time.

    Attributes:
        heading: Quantity and unit.
        least: Smallest range of the y axis, in that unit.
        spans: Times (from, to) that are shaded.
        marks: Times that are ruled off.
        name: What it shows, for those who cannot see it.
    """

    heading: str
    time_heading: str
    curves: Sequence[Curve]
    least: float
    name: str
    series: int = 0
    spans: Points = ()
    marks: Sequence[float] = ()
    width: float = 320.0
    height: float = 150.0


def sustained_panel(minutes: Sequence[SustainedMinute], series: int, name: str) -> Panel:
    """Return the chart of a long run: median and 90th percentile of each minute."""
    p50 = [(index + 1.0, minute.latency_ms_p50) for index, minute in enumerate(minutes)]
    p90 = [(index + 1.0, minute.latency_ms_p90) for index, minute in enumerate(minutes)]
    highest = max(value for _, value in (*p50, *p90))
    return Panel(
        heading="latency, ms",
        time_heading="minute",
        curves=(Curve("p90", "thin", p90), Curve("p50", "thick", p50)),
        # Less than a tenth is no trend worth the whole height.
        least=0.1 * highest or 1.0,
        name=name,
        series=series,
    )


def condition_panels(
    rows: Sequence[Sequence[ConditionSample]], series: int, name: str
) -> tuple[Panel, ...]:
    """Return temperature and clock over the rows of a device, one after the other.

    Args:
        rows: Each row's samples, in the order they were measured.
        series: Decides the colour.
        name: What they show, for those who cannot see them.
    """
    samples, ends = _one_after_the_other(rows)
    temperatures = [(minute, sample.temperature_c) for minute, sample in samples]
    clocks = [(minute, sample.clock_mhz) for minute, sample in samples]
    panels = []
    for heading, least, values in (
        ("temperature, °C", 5.0, temperatures),
        ("clock, MHz", 200.0, clocks),
    ):
        if sum(value is not None for _, value in values) > 1:
            curve = Curve("", "thick", values)
            panels.append(
                Panel(
                    heading=heading,
                    time_heading="minutes",
                    curves=(curve,),
                    least=least,
                    name=f"{name}: {heading}",
                    series=series,
                    spans=_throttled_spans(samples),
                    marks=ends[:-1],
                )
            )
    return tuple(panels)


def draw(panel: Panel) -> Html:
    """Draw a chart with at least one known value."""
    curves = [_thinned(curve) for curve in panel.curves]
    known = [(x, y) for curve in curves for x, y in curve.points if y is not None]
    right, bottom = panel.width - _RIGHT, panel.height - _BOTTOM
    times = [x for x, _ in known]
    x_axis = padded_axis(times, _LEFT, right, least=1e-3, padding=0.0)
    y_axis = padded_axis([y for _, y in known], bottom, _TOP, least=panel.least)
    return element(
        "svg",
        element("title", panel.name),
        *_spans(panel.spans, x_axis, bottom),
        *_grid(panel, x_axis, y_axis, bottom),
        *(
            element("line", class_="row-end", x1=x_axis(x), x2=x_axis(x), y1=_TOP, y2=bottom)
            for x in panel.marks
        ),
        *(_curve(curve, x_axis, y_axis) for curve in curves),
        viewBox=f"0 0 {panel.width:g} {panel.height:g}",
        width=panel.width,
        height=panel.height,
        role="img",
        class_=f"s{panel.series % COLOURS}",
    )


def _one_after_the_other(
    rows: Sequence[Sequence[ConditionSample]],
) -> tuple[list[tuple[float, ConditionSample]], list[float]]:
    """Return samples with their minute since the first row began, and where each row ends."""
    samples: list[tuple[float, ConditionSample]] = []
    ends: list[float] = []
    started = 0.0
    for row in rows:
        samples += [(started + item.seconds / _SECONDS_PER_MINUTE, item) for item in row]
        started = samples[-1][0] if samples else 0.0
        ends.append(started)
    return samples, ends


def _throttled_spans(samples: Sequence[tuple[float, ConditionSample]]) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    begun: float | None = None
    for minute, sample in samples:
        throttled = sample.throttled is not None and bool(sample.throttled & _NOW_BITS)
        if throttled and begun is None:
            begun = minute
        elif not throttled and begun is not None:
            spans.append((begun, minute))
            begun = None
    if begun is not None:
        spans.append((begun, samples[-1][0]))
    return spans


def _thinned(curve: Curve) -> Curve:
    """Keep the highest and the lowest value of each stretch, so that no peak is lost."""
    points = curve.points
    if len(points) <= _MAX_POINTS:
        return curve
    length = -(-2 * len(points) // _MAX_POINTS)
    kept: list[tuple[float, float | None]] = []
    for start in range(0, len(points), length):
        stretch = points[start : start + length]
        known = [(x, y) for x, y in stretch if y is not None]
        if not known:
            kept.append(stretch[0])
            continue
        extremes = {min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])}
        kept += sorted(extremes)
    return Curve(curve.name, curve.style, kept)


def _spans(spans: Points, x_axis: Axis, bottom: float) -> Iterator[Html]:
    for begun, ended in spans:
        left, right = x_axis(begun), x_axis(ended)
        yield element(
            "rect",
            element("title", "throttled"),
            class_="throttled",
            x=left,
            y=_TOP,
            width=max(1.5, right - left),
            height=bottom - _TOP,
        )


def _grid(panel: Panel, x_axis: Axis, y_axis: Axis, bottom: float) -> Iterator[Html]:
    for value in y_axis.ticks(3):
        y = y_axis(value)
        yield element("line", class_="grid", x1=_LEFT, x2=panel.width - _RIGHT, y1=y, y2=y)
        yield element("text", tick_text(value), class_="tick end", x=_LEFT - 6, y=y + 4)
    for value in x_axis.ticks(5):
        x = x_axis(value)
        yield element("text", tick_text(value), class_="tick mid", x=x, y=bottom + 14)
    yield element("text", panel.heading, class_="title", x=2, y=11)
    yield element(
        "text", panel.time_heading, class_="title end", x=panel.width - 2, y=panel.height - 3
    )


def _curve(curve: Curve, x_axis: Axis, y_axis: Axis) -> Html:
    commands: list[str] = []
    pen_down = False
    for x, y in curve.points:
        if y is None:
            pen_down = False
            continue
        commands.append(f"{'L' if pen_down else 'M'}{x_axis(x):.1f} {y_axis(y):.1f}")
        pen_down = True
    line = element("path", class_=f"curve {curve.style}", d="".join(commands))
    last = next((point for point in reversed(curve.points) if point[1] is not None), None)
    if not curve.name or last is None or last[1] is None:
        return line
    x, y = x_axis(last[0]), y_axis(last[1])
    # Above the higher line, below the lower one.
    y += -6 if curve.style == "thin" else 13
    return join([line, element("text", curve.name, class_="label end", x=x, y=y)])
