"""Accuracy against latency, with the Pareto front of each device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevit.bench.report.cautions import badges
from edgevit.bench.report.entries import Entry
from edgevit.pages import words
from edgevit.pages.axes import COLOURS, Axis, latency_axis, padded_axis, tick_text
from edgevit.pages.labels import FONT_PIXELS, Box, Label, place_labels, text_width
from edgevit.pages.markup import Html, element, join

_MARK_RADIUS = 5.5
# Percentage points; less is no difference worth the whole height of a chart.
_LEAST_RANGE_POINTS = 2.0
_TICK_PIXELS = 90.0
_TICK_PIXELS_UPWARDS = 56.0
# Times outside were not measured by a clock.
_MS_RANGE = (1e-6, 1e9)

_POLYGONS: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0.0, -1.15), (1.1, 0.8), (-1.1, 0.8)),
    "diamond": ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)),
    "pentagon": ((0.0, -1.15), (1.1, -0.35), (0.7, 0.95), (-0.7, 0.95), (-1.1, -0.35)),
}
_SHAPES = {"tflite": "circle", "onnx": "square", "openvino": "triangle"}
_FILLS = {"fp32": "hollow", "fp16": "light", "int8": "solid", "int8-full": "dot"}


@dataclass(frozen=True)
class Frame:
    """The size of a chart and the room around its plot, pixels.

    Attributes:
        label_length: Characters after which a label is cut.
        labels_all: Whether points that are not on a front are labelled too.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    label_length: int
    labels_all: bool

    @property
    def plot(self) -> Box:
        """Where the points lie."""
        return Box(self.left, self.top, self.width - self.right, self.height - self.bottom)


WIDE = Frame(1080, 500, left=58, right=16, top=14, bottom=48, label_length=30, labels_all=True)
NARROW = Frame(340, 420, left=42, right=8, top=12, bottom=44, label_length=24, labels_all=False)


@dataclass(frozen=True)
class Line:
    """The accuracy of a run's full-precision reference, 0–1."""

    name: str
    top1: float


def can_be_drawn(entry: Entry) -> bool:
    """Tell whether an entry has a place on the chart: it was scored and took some time."""
    low, high = _MS_RANGE
    return entry.top1 is not None and 0 <= entry.top1 <= 1 and low <= entry.latency_ms_p50 <= high


def pareto_front(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the entries that no other beats in both latency and accuracy, fastest first.

    Entries whose times are not valid, or that were not scored, are no candidates.
    """
    valid = [entry for entry in entries if entry.headline_valid and can_be_drawn(entry)]
    front: list[Entry] = []
    best = -1.0
    for entry in sorted(valid, key=lambda item: (item.latency_ms_p50, -(item.top1 or 0.0))):
        if (entry.top1 or 0.0) > best:
            front.append(entry)
            best = entry.top1 or 0.0
    return tuple(front)


def scatter(entries: Sequence[Entry], lines: Sequence[Line], frame: Frame, name: str) -> Html:
    """Draw one chart.

    Args:
        entries: At least one that can be drawn.
        lines: References to draw across.
        frame: Its size.
        name: What it shows, for those who cannot see it.
    """
    drawn = [entry for entry in entries if can_be_drawn(entry)]
    plot = frame.plot
    x_axis = latency_axis([entry.latency_ms_p50 for entry in drawn], plot.left, plot.right)
    shares = [*(entry.top1 or 0.0 for entry in drawn), *(line.top1 for line in lines)]
    y_axis = padded_axis(
        [100 * share for share in shares], plot.bottom, plot.top, least=_LEAST_RANGE_POINTS
    )
    by_device: dict[int, list[Entry]] = {}
    for entry in drawn:
        by_device.setdefault(entry.series, []).append(entry)
    fronts = {series: pareto_front(group) for series, group in by_device.items()}
    on_front = {entry.number for front in fronts.values() for entry in front}
    # The front is labelled first: it is what one chooses from.
    ordered = sorted(drawn, key=lambda entry: (entry.number not in on_front, entry.number))
    points = [(x_axis(entry.latency_ms_p50), y_axis(100 * (entry.top1 or 0))) for entry in ordered]
    line_texts = _line_labels(lines, y_axis, frame, points)
    labels = place_labels(
        points,
        [
            text if frame.labels_all or entry.number in on_front else ""
            for entry, text in zip(ordered, _label_texts(ordered, frame.label_length), strict=True)
        ],
        plot,
        radius=_MARK_RADIUS + 1,
        obstacles=[box for _, box in line_texts],
    )
    marks = [_mark(entry, x, y) for entry, (x, y) in zip(ordered, points, strict=True)]
    return element(
        "svg",
        _axes(x_axis, y_axis, frame),
        _reference_lines(lines, y_axis, frame),
        *(_front(front, by_device[series], x_axis, y_axis) for series, front in fronts.items()),
        *(_leader(label, points[label.index]) for label in labels if label.leader),
        # Those on the front lie on top.
        *reversed(marks),
        *(text for text, _ in line_texts),
        *(_label(label) for label in labels),
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        width=frame.width,
        height=frame.height,
        role="group",
        aria_label=name,
    )


def _label_texts(entries: Sequence[Entry], length: int) -> list[str]:
    several = len({entry.threads for entry in entries}) > 1
    names = words.shortened_apart([entry.name for entry in entries], length)
    return [
        name + (f" ·{entry.threads}t" if several else "")
        for name, entry in zip(names, entries, strict=True)
    ]


def _axes(x_axis: Axis, y_axis: Axis, frame: Frame) -> Html:
    plot = frame.plot
    parts: list[str] = []
    for value in x_axis.ticks(max(3, int((plot.right - plot.left) / _TICK_PIXELS))):
        x = x_axis(value)
        parts.append(element("line", class_="grid", x1=x, x2=x, y1=plot.top, y2=plot.bottom))
        text = tick_text(value)
        parts.append(element("text", text, class_="tick mid", x=x, y=plot.bottom + 16))
    for value in y_axis.ticks(max(3, int((plot.bottom - plot.top) / _TICK_PIXELS_UPWARDS))):
        y = y_axis(value)
        parts.append(element("line", class_="grid", x1=plot.left, x2=plot.right, y1=y, y2=y))
        text = tick_text(value)
        parts.append(element("text", text, class_="tick end", x=plot.left - 7, y=y + 4))
    scale = ", log scale" if x_axis.is_log else ""
    middle_x, middle_y = (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2
    latency = element(
        "text",
        f"← faster    median latency, ms{scale}",
        class_="title mid",
        x=middle_x,
        y=frame.height - 8,
    )
    accuracy = element(
        "text",
        "top-1 accuracy, %    better →",
        class_="title mid",
        transform=f"translate(12 {middle_y:g}) rotate(-90)",
    )
    return join([*parts, latency, accuracy])


def _reference_lines(lines: Sequence[Line], y_axis: Axis, frame: Frame) -> Html:
    plot = frame.plot
    return join(
        element(
            "line",
            class_="reference",
            x1=plot.left,
            x2=plot.right,
            y1=y_axis(100 * line.top1),
            y2=y_axis(100 * line.top1),
        )
        for line in lines
    )


def _line_labels(
    lines: Sequence[Line], y_axis: Axis, frame: Frame, points: Sequence[tuple[float, float]]
) -> list[tuple[Html, Box]]:
    """Write each reference's name at an end of its line, where no mark is in the way."""
    plot = frame.plot
    reach = _MARK_RADIUS + 1
    taken = [Box(x - reach, y - reach, x + reach, y + reach) for x, y in points]
    placed: list[tuple[Html, Box]] = []
    names = words.shortened_apart([line.name for line in lines], frame.label_length)
    for line, name in zip(lines, names, strict=True):
        text = f"reference of {name}"
        width = text_width(text) + 4
        y = y_axis(100 * line.top1)
        for is_right, baseline in ((True, y - 5), (False, y - 5), (True, y + 13), (False, y + 13)):
            left = plot.right - width if is_right else plot.left
            box = Box(left, baseline - FONT_PIXELS, left + width, baseline + 3)
            if plot.contains(box) and not any(box.overlaps(other) for other in taken):
                x = plot.right - 4 if is_right else plot.left + 4
                classes = "note end" if is_right else "note"
                placed.append((element("text", text, class_=classes, x=x, y=baseline), box))
                taken.append(box)
                break
    return placed


def _front(front: Sequence[Entry], device: Sequence[Entry], x_axis: Axis, y_axis: Axis) -> Html:
    """Draw stairs: what can be had at a latency is the best of what is as fast or faster."""
    if not front:
        return Html("")
    points = [(x_axis(entry.latency_ms_p50), y_axis(100 * (entry.top1 or 0))) for entry in front]
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    path += [f"H{x:.1f}V{y:.1f}" for x, y in points[1:]]
    # As far as anything of this device goes.
    path.append(f"H{x_axis(max(entry.latency_ms_p50 for entry in device)):.1f}")
    return element("path", class_=f"front s{front[0].series % COLOURS}", d="".join(path))


def _mark(entry: Entry, x: float, y: float) -> Html:
    measurement = entry.measurement
    classes = f"mark s{entry.series % COLOURS}{'' if entry.headline_valid else ' void'}"
    content = [
        element("title", _tooltip(entry)),
        shape(measurement.format, measurement.precision, x, y),
    ]
    if not entry.headline_valid:
        reach = _MARK_RADIUS + 3
        content.append(
            element(
                "path",
                class_="cross",
                d=f"M{x - reach:.1f} {y - reach:.1f}l{2 * reach} {2 * reach}"
                f"M{x + reach:.1f} {y - reach:.1f}l{-2 * reach} {2 * reach}",
            )
        )
    return element("a", element("g", *content, class_=classes), href=f"#row-{entry.number}")


def shape(format_name: str, precision: str, x: float, y: float) -> Html:
    """Draw the mark of a format, filled as the precision's; both are in the legend."""
    fill = _FILLS.get(precision, "bar")
    kind = "diamond" if format_name.startswith("keras") else _SHAPES.get(format_name, "pentagon")
    if kind == "circle":
        body = element("circle", class_=fill, cx=x, cy=y, r=_MARK_RADIUS)
    else:
        corners = " ".join(
            f"{x + _MARK_RADIUS * across:.1f},{y + _MARK_RADIUS * down:.1f}"
            for across, down in _POLYGONS[kind]
        )
        body = element("polygon", class_=fill, points=corners)
    if fill == "dot":
        return join([body, element("circle", class_="inner", cx=x, cy=y + 0.3, r=2.0)])
    if fill == "bar":
        return join([body, element("path", class_="inner-bar", d=f"M{x - 3:.1f} {y + 0.4:.1f}h6")])
    return body


def _tooltip(entry: Entry) -> str:
    measurement = entry.measurement
    lines = [
        entry.name,
        f"{entry.device}, {words.counted(entry.threads, 'thread')}",
        f"{measurement.format} {measurement.precision}",
        f"top-1 {words.percent(entry.top1)} %, median {words.milliseconds(entry.latency_ms_p50)} "
        f"ms, {words.megabytes(measurement.size_bytes)} MB",
    ]
    marks = [badge.text for badge in badges(entry)]
    return "\n".join([*lines, *([", ".join(marks)] if marks else [])])


def _leader(label: Label, point: tuple[float, float]) -> Html:
    end_x, end_y = label.leader or point
    return element("line", class_="leader", x1=point[0], y1=point[1], x2=end_x, y2=end_y)


def _label(label: Label) -> Html:
    sides = {"start": "", "middle": " mid", "end": " end"}
    classes = f"label{sides[label.anchor]}"
    return element("text", label.text, class_=classes, x=label.x, y=label.baseline)
