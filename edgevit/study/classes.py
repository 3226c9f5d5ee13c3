"""How well each model recognises each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.metrics import top_k
from edgevit.pages import words
from edgevit.pages.axes import Axis, tick_text
from edgevit.pages.legend import key
from edgevit.pages.markup import Html, element, escape, join
from edgevit.pages.tables import Cell, Column, Row, table
from edgevit.study.counts import NARROW, WIDE, Frame
from edgevit.study.marks import colour, mark, meter, swatch
from edgevit.study.overview import MAX_BARS, named
from edgevit.study.study import Study

# Below this many test photos, one photo changes a class's accuracy by over ten points.
_FEW_PHOTOS = 10
_METER_PIXELS = 64.0
_TOP, _BOTTOM = 8.0, 36.0
_MARK_RADIUS = 3.5


@dataclass(frozen=True)
class ClassAccuracy:
    """A class and the models' accuracies on it.

    Attributes:
        label: Index of the class.
        name: Of the class.
        photo_count: Its test photos.
        top1: Of each model, 0–1; ``None`` without a test photo.
    """

    label: int
    name: str
    photo_count: int
    top1: tuple[float | None, ...]

    @property
    def known(self) -> tuple[float, ...]:
        """The accuracies that are known: all or none."""
        return tuple(share for share in self.top1 if share is not None)

    @property
    def spread(self) -> float | None:
        """Best minus worst model, 0–1; ``None`` without a test photo or with one model."""
        return max(self.known) - min(self.known) if len(self.known) > 1 else None


def class_accuracies(study: Study) -> tuple[ClassAccuracy, ...]:
    """Return the top-1 accuracy of each model on the test photos of each class."""
    right = [top_k(model.probabilities, 1)[:, 0] == study.labels for model in study.models]
    found = []
    for label, name in enumerate(study.dataset.classes):
        own = study.labels == label
        count = int(own.sum())
        shares = tuple(float(item[own].mean()) if count else None for item in right)
        found.append(ClassAccuracy(label, name, count, shares))
    return tuple(found)


def class_table(study: Study) -> Html:
    """Return per-class top-1 of all models, as dots for up to 40 classes and as a sortable table.

    With more classes the dots are of the 40 that the models differ on the most, or, with one
    model, of the 40 that it knows the least; of equal ones the first.
    """
    accuracies = class_accuracies(study)
    parts = [element("p", text) for text in _sentences(accuracies)]
    tested = [item for item in accuracies if item.photo_count]
    if tested and study.models:
        parts.append(_figure(study, tested))
    made = _table(study, accuracies)
    summary = element("summary", f"All {len(accuracies):,} classes")
    parts.append(element("details", summary, made, open=len(accuracies) <= MAX_BARS))
    return element("div", *parts)


def _sentences(accuracies: Sequence[ClassAccuracy]) -> Iterator[Html]:
    untested = [item.name for item in accuracies if not item.photo_count]
    if untested:
        verb = "class has" if len(untested) == 1 else "classes have"
        text = f"{len(untested):,} {verb} no test photo and no accuracy: "
        yield join([text, named(untested), "."])
    median = float(np.median([item.photo_count for item in accuracies]))
    if 0 < median < _FEW_PHOTOS:
        photos = "photo" if median == 1 else "photos"
        yield escape(
            f"The median class has {median:g} test {photos}, of which one alone is worth "
            f"{100 / median:.0f} percentage points: differences between single classes mean "
            "little here."
        )


def _figure(study: Study, tested: Sequence[ClassAccuracy]) -> Html:
    shown, chosen = list(tested), "Each line is a class, the easiest first."
    if len(tested) > MAX_BARS:
        several = len(study.models) > 1
        # Sorting keeps the order of equal ones.
        shown = sorted(tested, key=lambda item: (-(item.spread or 0.0), sum(item.known)))
        shown = [item for item in shown if item.spread or not several][:MAX_BARS]
        most = " the most" if len(shown) == MAX_BARS else ""
        what = f"on which the models differ{most}" if several else "known the least"
        chosen = f"The {len(shown)} of {len(tested):,} classes {what}, the easiest first."
    if not shown:
        return element("p", "No class tells the models apart: each has one accuracy for all.")
    shown = sorted(shown, key=lambda item: -sum(item.known))
    names = [model.name for model in study.models]
    items = [(swatch(series), name) for series, name in enumerate(names)]
    drawings = [
        element("div", _dots(shown, names, frame), class_=style)
        for frame, style in ((WIDE, "wide"), (NARROW, "narrow"))
    ]
    legend = element("div", key("Model", items), class_="legend")
    return element(
        "figure", legend, *drawings, element("figcaption", chosen, class_="soft"), class_="plot"
    )


def _dots(shown: Sequence[ClassAccuracy], names: Sequence[str], frame: Frame) -> Html:
    # Equal accuracies are common: each model has a height of its own within a class's line.
    step = max(3.5, min(7.0, 24.0 / len(names)))
    row = 12.0 + step * (len(names) - 1)
    height = _TOP + row * len(shown) + _BOTTOM
    lowest = 100 * min(share for item in shown for share in item.known)
    axis = Axis(min(90.0, 10 * (lowest // 10)), 100.0, frame.left, frame.width - 14)
    texts = words.shortened_apart([item.name for item in shown], frame.name_length)
    parts = []
    for place, (item, text) in enumerate(zip(shown, texts, strict=True)):
        y = _TOP + row * (place + 0.5)
        parts.append(_name(item, text, frame.left - 10, y + 4))
        parts += _marks(item, names, y, step, axis)
    middle = (axis.start + axis.end) / 2
    return element(
        "svg",
        element("title", "Top-1 accuracy of each model on each class; the table has the numbers"),
        *_grid(axis, height - _BOTTOM),
        *parts,
        element("text", "top-1 accuracy, %", class_="title mid", x=middle, y=height - 4),
        viewBox=f"0 0 {frame.width:g} {height:g}",
        width=frame.width,
        height=height,
        role="img",
    )


def _grid(axis: Axis, bottom: float) -> Iterator[Html]:
    for value in axis.ticks(5):
        x = axis(value)
        yield element("line", class_="grid", x1=x, x2=x, y1=_TOP, y2=bottom)
        yield element("text", tick_text(value), class_="tick mid", x=x, y=bottom + 15)


def _name(item: ClassAccuracy, text: str, x: float, y: float) -> Html:
    title = f"{item.name}, {words.counted(item.photo_count, 'test photo')}"
    return element("text", element("title", title), text, class_="end", x=x, y=y)


def _marks(
    item: ClassAccuracy, names: Sequence[str], y: float, step: float, axis: Axis
) -> Iterator[Html]:
    low, high = (axis(100 * share) for share in (min(item.known), max(item.known)))
    yield element("line", class_="range", x1=axis.start, x2=axis.end, y1=y, y2=y)
    if high > low:
        yield element("line", class_="span", x1=low, x2=high, y1=y, y2=y)
    for series, (name, share) in enumerate(zip(names, item.known, strict=True)):
        shift = step * (series - (len(names) - 1) / 2)
        said = f"{item.name}, {name}: {words.percent(share)} %"
        yield mark(series, axis(100 * share), y + shift, said, radius=_MARK_RADIUS)


def _table(study: Study, accuracies: Sequence[ClassAccuracy]) -> Html:
    several = len(study.models) > 1
    rows = [Row(list(_cells(item, several))) for item in accuracies]
    names = words.shortened_apart([model.name for model in study.models], 24)
    columns = [
        Column("Class", is_numeric=False),
        Column("Test photos"),
        *(Column(name, "top-1, %") for name in names),
    ]
    if several:
        columns.append(Column("Spread", "points"))
    return table(columns, [rows], "Top-1 accuracy on each class", is_sortable=True)


def _cells(item: ClassAccuracy, several: bool) -> Iterator[Cell]:
    yield Cell(item.name, item.name)
    yield Cell(f"{item.photo_count:,}", item.photo_count)
    for series, share in enumerate(item.top1):
        if share is None:
            yield Cell(words.NOTHING)
        else:
            bar = meter(share, _METER_PIXELS, colour(series))
            yield Cell(join([f"{100 * share:.1f}", bar]), share)
    if several:
        spread = item.spread
        yield Cell(words.NOTHING if spread is None else f"{100 * spread:.1f}", spread)
