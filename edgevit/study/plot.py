"""A chart of one quantity over the training of several models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from edgevit.pages import words
from edgevit.pages.axes import LOG_FROM_RATIO, Axis, padded_axis, tick_text
from edgevit.pages.labels import Box, place_labels, text_width
from edgevit.pages.markup import Html, element
from edgevit.study.marks import RADIUS, colour, mark
from edgevit.training.history import EpochRow, best_row

# More points than pixels would only make the page larger.
_MAX_POINTS = 240
# A first loss this many times all later ones is cut off, so that the others keep their height.
_CUT_FROM_RATIO = 3.0
# Lowest losses this many times apart are drawn on a logarithmic axis.
_LOG_LOSS_FROM_RATIO = 10.0
_LOG_EPOCHS_FROM_RATIO = 20.0
_LEAST_RANGE_POINTS = 10.0
# A curve keeps labels away by a point every so many pixels.
_OBSTACLE_PIXELS = 6.0

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Frame:
    """The size of a drawing, and the room for names at its right, pixels."""

    width: float
    height: float
    right: float
    label_length: int
    left: float = 46.0
    top: float = 22.0
    bottom: float = 36.0

    @property
    def plot(self) -> Box:
        """Where the curves lie."""
        return Box(self.left, self.top, self.width - self.right, self.height - self.bottom)


WIDE = Frame(590, 320, right=112, label_length=20)
NARROW = Frame(340, 270, right=70, label_length=12)


@dataclass(frozen=True)
class Quantity:
    """What is drawn upwards."""

    heading: str
    field: str
    scale: float


LOSS = Quantity("cross-entropy, nats", "loss", 1.0)
ACCURACY = Quantity("top-1 accuracy, %", "accuracy", 100.0)


@dataclass(frozen=True)
class Clock:
    """What is drawn to the right: epochs where ``unit_seconds`` is ``None``, else time."""

    heading: str
    unit_seconds: float | None

    def times(self, rows: Sequence[EpochRow]) -> list[float]:
        """Return where each epoch ends."""
        if self.unit_seconds is None:
            return [float(row.epoch) for row in rows]
        ends: list[float] = []
        for row in rows:
            ends.append((ends[-1] if ends else 0.0) + row.seconds / self.unit_seconds)
        return ends


@dataclass(frozen=True)
class Trace:
    """A model's curves in one chart.

    Attributes:
        kept: Where the weights were kept, on the validation curve or, without, the other.
    """

    series: int
    name: str
    training: Points
    validation: Points
    kept: tuple[float, float]

    @property
    def judged(self) -> Points:
        """What the kept epoch was chosen by."""
        return self.validation or self.training


def trace_of(
    series: int, name: str, rows: Sequence[EpochRow], quantity: Quantity, clock: Clock
) -> Trace:
    """Return a model's curves in one chart.

    Args:
        series: Place of the model in the study.
        name: Of the model.
        rows: Of its epochs; at least one.
        quantity: What is drawn upwards.
        clock: What is drawn to the right.
    """
    times = clock.times(rows)
    kept_row = best_row(rows) or rows[-1]

    def points(field: str) -> Points:
        values = [getattr(row, field) for row in rows]
        return tuple(
            (x, quantity.scale * y) for x, y in zip(times, values, strict=True) if y is not None
        )

    training, validation = points(quantity.field), points(f"val_{quantity.field}")
    kept_x = times[rows.index(kept_row)]
    kept = next((p for p in validation or training if p[0] == kept_x), training[-1])
    return Trace(series, name, training, validation, kept)


def loss_axis(traces: Sequence[Trace]) -> Axis:
    """Return an axis for losses, from 0 to 1: linear, or logarithmic where models lie far apart.

    A single huge first loss is left beyond its upper end.
    """
    values = [y for trace in traces for _, y in (*trace.training, *trace.validation)]
    positive = [y for y in values if y > 0]
    lowest = [y for y in (min(y for _, y in trace.judged) for trace in traces) if y > 0]
    if lowest and max(lowest) / min(lowest) >= _LOG_LOSS_FROM_RATIO:
        return Axis(0.8 * min(positive), 1.25 * max(positive), 0.0, 1.0, is_log=True)
    later = [
        y
        for trace in traces
        for curve in (trace.training, trace.validation)
        for _, y in curve[1:] or curve
    ]
    highest = max(values)
    if highest > _CUT_FROM_RATIO * max(later):
        highest = max(later)
    return Axis(0.0, 1.05 * highest or 1.0, 0.0, 1.0)


def accuracy_axis(traces: Sequence[Trace]) -> Axis:
    """Return an axis for accuracies in percent, from 0 to 1, within 0–100."""
    values = [y for trace in traces for _, y in (*trace.training, *trace.validation)]
    padded = padded_axis(values, 0.0, 1.0, least=_LEAST_RANGE_POINTS, padding=0.05)
    return Axis(max(0.0, padded.low), min(100.0, padded.high), 0.0, 1.0)


def _x_axis(traces: Sequence[Trace], clock: Clock, plot: Box) -> Axis:
    ends = [trace.training[-1][0] for trace in traces]
    first = min(trace.training[0][0] for trace in traces)
    last = max(ends)
    is_time = clock.unit_seconds is not None
    from_ratio = LOG_FROM_RATIO if is_time else _LOG_EPOCHS_FROM_RATIO
    if min(ends) > 0 and first > 0 and last / min(ends) >= from_ratio:
        margin = (last / first) ** 0.03
        return Axis(first / margin, last * margin, plot.left, plot.right, is_log=True)
    if is_time:
        return Axis(0.0, 1.02 * last or 1.0, plot.left, plot.right)
    margin = 0.03 * (last - first) or 0.5
    return Axis(first - margin, last + margin, plot.left, plot.right)


def chart(
    traces: Sequence[Trace],
    quantity: Quantity,
    clock: Clock,
    scale: Axis,
    frame: Frame,
    name: str,
) -> Html:
    """Draw one chart.

    Args:
        traces: Of each model; at least one.
        quantity: What is drawn upwards.
        clock: What is drawn to the right.
        scale: Of the quantity, from 0 to 1.
        frame: Size of the drawing.
        name: What it shows, for those who cannot see it.
    """
    texts = words.shortened_apart([trace.name for trace in traces], frame.label_length)
    frame = replace(frame, right=min(frame.right, 14 + max(map(text_width, texts))))
    plot = frame.plot
    x_axis = _x_axis(traces, clock, plot)
    y_axis = replace(scale, start=plot.bottom, end=plot.top)
    return element(
        "svg",
        element("title", name),
        *_grid(quantity, clock, x_axis, y_axis, frame),
        *(_path(trace.training, "thin", trace.series, x_axis, y_axis) for trace in traces),
        *(_path(trace.validation, "thick", trace.series, x_axis, y_axis) for trace in traces),
        *(_kept(trace, quantity, clock, x_axis, y_axis) for trace in traces),
        *_end_labels(traces, x_axis, y_axis, frame, texts),
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        width=frame.width,
        height=frame.height,
        role="img",
    )


def _grid(
    quantity: Quantity, clock: Clock, x_axis: Axis, y_axis: Axis, frame: Frame
) -> Iterator[Html]:
    plot = frame.plot
    for value in y_axis.ticks(5):
        y = y_axis(value)
        yield element("line", class_="grid", x1=plot.left, x2=plot.right, y1=y, y2=y)
        yield element("text", tick_text(value), class_="tick end", x=plot.left - 6, y=y + 4)
    # More where they can be had: on a logarithmic axis the next choice is decades alone.
    ticks = x_axis.ticks(int((plot.right - plot.left) / (36 if x_axis.is_log else 64)))
    if clock.unit_seconds is None:
        ticks = tuple(value for value in ticks if value == int(value) >= 1)
    for value in ticks:
        x = x_axis(value)
        yield element("line", class_="grid", x1=x, x2=x, y1=plot.top, y2=plot.bottom)
        yield element("text", tick_text(value), class_="tick mid", x=x, y=plot.bottom + 15)
    yield element(
        "line", class_="base", x1=plot.left, x2=plot.right, y1=plot.bottom, y2=plot.bottom
    )
    scales = [", log scale" if axis.is_log else "" for axis in (y_axis, x_axis)]
    middle = (plot.left + plot.right) / 2
    yield element("text", quantity.heading + scales[0], class_="title", x=2, y=12)
    yield element(
        "text", clock.heading + scales[1], class_="title mid", x=middle, y=frame.height - 4
    )


def _path(points: Points, style: str, series: int, x_axis: Axis, y_axis: Axis) -> Html:
    if len(points) == 1 and style == "thin":
        # A line of one point would not be seen; that of validation bears the mark of the kept one.
        x, y = points[0]
        return element("circle", class_=f"lone {colour(series)}", cx=x_axis(x), cy=y_axis(y), r=3.0)
    drawn = [f"{x_axis(x):.1f} {y_axis(y):.1f}" for x, y in _thinned(points)]
    if not drawn:
        return Html("")
    return element("path", class_=f"curve {style} {colour(series)}", d="M" + "L".join(drawn))


def _thinned(points: Points) -> Points:
    """Keep the lowest and the highest point of each stretch, and the last of all."""
    if len(points) <= _MAX_POINTS:
        return points
    length = -(-2 * len(points) // _MAX_POINTS)
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), length):
        stretch = points[start : start + length]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return (*kept, points[-1])


def _kept(trace: Trace, quantity: Quantity, clock: Clock, x_axis: Axis, y_axis: Axis) -> Html:
    x, y = trace.kept
    title = (
        f"{trace.name}, weights kept\n{clock.heading} {tick_text(round(x, 2))}\n"
        f"{quantity.heading} {tick_text(round(y, 3))}"
    )
    return mark(trace.series, x_axis(x), y_axis(y), title)


def _end_labels(
    traces: Sequence[Trace], x_axis: Axis, y_axis: Axis, frame: Frame, texts: Sequence[str]
) -> Iterator[Html]:
    """Write each model's name at the end of its line, where there is room for it."""
    ends = [(x_axis(trace.judged[-1][0]), y_axis(trace.judged[-1][1])) for trace in traces]
    bounds = Box(frame.left, frame.top - 6, frame.width, frame.height - frame.bottom)
    obstacles = [box for trace in traces for box in _obstacles(trace.judged, x_axis, y_axis)]
    for label in place_labels(ends, texts, bounds, radius=RADIUS, obstacles=obstacles):
        series = traces[label.index].series
        side = {"start": "", "middle": " mid", "end": " end"}[label.anchor]
        if label.leader is not None:
            (x1, y1), (x2, y2) = ends[label.index], label.leader
            yield element("line", class_="leader", x1=x1, y1=y1, x2=x2, y2=y2)
        yield element(
            "text",
            element("title", traces[label.index].name),
            label.text,
            class_=f"name {colour(series)}{side}",
            x=label.x,
            y=label.baseline,
        )


def _obstacles(points: Points, x_axis: Axis, y_axis: Axis) -> Iterator[Box]:
    """Yield small boxes along a curve that no label may cover, but for its very end."""
    places = [(x_axis(x), y_axis(y)) for x, y in points]
    for (x1, y1), (x2, y2) in pairwise(places):
        steps = max(1, int(max(abs(x2 - x1), abs(y2 - y1)) / _OBSTACLE_PIXELS))
        for step in range(steps):
            x, y = x1 + (x2 - x1) * step / steps, y1 + (y2 - y1) * step / steps
            yield Box(x - 1, y - 1, x + 1, y + 1)
