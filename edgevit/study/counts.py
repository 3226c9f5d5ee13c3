"""Charts of how many photos the classes have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.metrics import Labels
from edgevit.pages import words
from edgevit.pages.axes import Axis, tick_text
from edgevit.pages.legend import icon, key
from edgevit.pages.markup import Html, element

# CSS classes of the parts of a bar, from left to right.
_PARTS = (("train", "training"), ("val", "validation"), ("test", "test"))
_ROW = 18.0
_BAR = 12.0
_TOP = 6.0
# Room for a number behind the longest bar.
_RIGHT = 46.0
_MOST_BINS = 24
_HISTOGRAM_HEIGHT = 190.0


@dataclass(frozen=True)
class Frame:
    """A drawing with a line for each class.

    Attributes:
        width: Of the drawing, pixels.
        left: Room for the names, pixels.
        name_length: Characters after which a name is cut.
    """

    width: float
    left: float
    name_length: int


WIDE = Frame(1080, 240, 34)
NARROW = Frame(340, 132, 17)


def split_legend() -> Html:
    """Return what the parts of a bar are."""
    items = [
        (icon(element("rect", class_=f"part {style}", x=3, y=3, width=12, height=12)), text)
        for style, text in _PARTS
    ]
    return element("div", key("Photos", items), class_="legend")


def class_bars(classes: Sequence[str], counts: Labels) -> list[Html]:
    """Draw a bar for each class, its splits stacked; wide and narrow.

    Args:
        classes: Names.
        counts: ``int64 [classes, splits]``.
    """
    return [
        element("div", _bars(classes, counts, frame), class_=style)
        for frame, style in ((WIDE, "wide"), (NARROW, "narrow"))
    ]


def count_histogram(totals: Labels) -> list[Html]:
    """Draw how many classes have how many photos; wide and narrow.

    Args:
        totals: Photos of each class, ``int64 [classes]``.
    """
    return [
        element("div", _histogram(totals, frame), class_=style)
        for frame, style in ((WIDE, "wide"), (NARROW, "narrow"))
    ]


def _bars(classes: Sequence[str], counts: Labels, frame: Frame) -> Html:
    axis = Axis(0.0, max(1.0, float(counts.sum(axis=1).max())), frame.left, frame.width - _RIGHT)
    height = _TOP + _ROW * len(classes) + 20
    texts = words.shortened_apart(classes, frame.name_length)
    rows = [
        part
        for row, (name, text, parts) in enumerate(zip(classes, texts, counts.tolist(), strict=True))
        for part in _bar(name, text, parts, _TOP + _ROW * row, axis, frame)
    ]
    return element(
        "svg",
        element("title", "Photos of each class, by split"),
        *_grid(axis, height - 20, frame),
        *rows,
        viewBox=f"0 0 {frame.width:g} {height:g}",
        width=frame.width,
        height=height,
        role="img",
    )


def _bar(
    name: str, text: str, parts: Sequence[int], y: float, axis: Axis, frame: Frame
) -> Iterator[Html]:
    baseline = y + _ROW / 2 + 4
    yield element("text", element("title", name), text, class_="end", x=frame.left - 8, y=baseline)
    begun = 0
    for (style, spoken), count in zip(_PARTS, parts, strict=True):
        if count:
            left, right = axis(begun), axis(begun + count)
            yield element(
                "rect",
                element("title", f"{name}: {count:,} {spoken}"),
                class_=f"part {style}",
                x=left,
                y=y + (_ROW - _BAR) / 2,
                width=max(0.5, right - left),
                height=_BAR,
            )
        begun += count
    yield element("text", f"{begun:,}", class_="tick", x=axis(begun) + 6, y=baseline)


def _grid(axis: Axis, bottom: float, frame: Frame) -> Iterator[Html]:
    for value in _whole(axis.ticks(6 if frame is WIDE else 3)):
        x = axis(value)
        yield element("line", class_="grid", x1=x, x2=x, y1=_TOP, y2=bottom)
        yield element("text", tick_text(value), class_="tick mid", x=x, y=bottom + 14)


def _histogram(totals: Labels, frame: Frame) -> Html:
    low, high = int(totals.min()), int(totals.max())
    # Whole numbers of photos a bin.
    step = max(1, -(-(high - low + 1) // _MOST_BINS))
    edges = np.arange(low, high + step + 1, step)
    heights = np.histogram(totals, bins=edges)[0].tolist()
    bottom = _HISTOGRAM_HEIGHT - 38
    x_axis = Axis(float(edges[0]), float(edges[-1]), 46.0, frame.width - 12)
    y_axis = Axis(0.0, 1.05 * max(heights), bottom, 24.0)
    parts: list[Html] = []
    for value in _whole(y_axis.ticks(4)):
        y = y_axis(value)
        parts.append(element("line", class_="grid", x1=46, x2=frame.width - 12, y1=y, y2=y))
        parts.append(element("text", tick_text(value), class_="tick end", x=40, y=y + 4))
    shown = -(-len(heights) // (12 if frame is WIDE else 6))
    for index, (edge, count) in enumerate(zip(edges.tolist(), heights, strict=False)):
        left, right, y = x_axis(edge), x_axis(edge + step), y_axis(count)
        photos = f"{edge:,}" if step == 1 else f"{edge:,}–{edge + step - 1:,}"
        title = f"{photos} photos: {count:,} {'class' if count == 1 else 'classes'}"
        parts.append(
            element(
                "rect",
                element("title", title),
                class_="part train",
                x=left + 1,
                y=y,
                width=max(1.0, right - left - 2),
                height=bottom - y,
            )
        )
        if index % shown == 0:
            middle = (left + right) / 2
            parts.append(element("text", photos, class_="tick mid", x=middle, y=bottom + 15))
    middle = (46 + frame.width - 12) / 2
    return element(
        "svg",
        element("title", "How many classes have how many photos"),
        *parts,
        element("line", class_="base", x1=46, x2=frame.width - 12, y1=bottom, y2=bottom),
        element("text", "classes", class_="title", x=2, y=12),
        element("text", "photos of a class", class_="title mid", x=middle, y=_HISTOGRAM_HEIGHT - 4),
        viewBox=f"0 0 {frame.width:g} {_HISTOGRAM_HEIGHT:g}",
        width=frame.width,
        height=_HISTOGRAM_HEIGHT,
        role="img",
    )


def _whole(values: Sequence[float]) -> list[float]:
    return [value for value in values if value == int(value)]
