"""The photos of a study: how many of each class there are, and what they look like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from edgevit.data.dataset import SPLITS, Dataset, SplitName
from edgevit.metrics import Labels
from edgevit.pages import words
from edgevit.pages.gallery import Gallery
from edgevit.pages.markup import Html, element, join
from edgevit.pages.tables import Cell, Column, Row, table
from edgevit.study.counts import class_bars, count_histogram, split_legend

# More classes than this are counted in a histogram.
MAX_BARS = 40
_MAX_ROWS = 12
_PHOTOS_PER_ROW = 5
_MAX_SAMPLES = 60
_MAX_NAMED = 10
SPLIT_NAMES: dict[SplitName, str] = {"train": "Training", "val": "Validation", "test": "Test"}
_DETAIL = re.compile(r" \(.*|: .*", re.DOTALL)


def overview(dataset: Dataset, gallery_of: Callable[[SplitName], Gallery]) -> Html:
    """Return counts of classes and photos, what was left out, and a grid of training photos."""
    counts = _counts(dataset)
    return element(
        "div",
        *_warnings(dataset, counts),
        _facts(dataset, counts),
        element("h3", "Photos per split"),
        _split_table(counts),
        element("h3", "Photos per class"),
        *_class_counts(dataset, counts),
        element("h3", "Training photos"),
        *_samples(dataset, gallery_of("train")),
    )


def named(names: Sequence[str]) -> Html:
    """List class names, at most ten of them; their directions do not mix."""
    parts: list[str] = []
    for index, name in enumerate(names[:_MAX_NAMED]):
        divider = " and " if index == len(names) - 1 else ", "
        parts += [divider] * (index > 0) + [isolated(name)]
    if len(names) > _MAX_NAMED:
        parts.append(f" and {len(names) - _MAX_NAMED:,} more")
    return join(parts)


def isolated(name: str) -> Html:
    """Return a class name for use within a sentence, whatever its script and length."""
    return element("bdi", words.shortened(name, 60))


def evenly(count: int, wanted: int) -> list[int]:
    """Return at most ``wanted`` of the indices below ``count``, evenly spread, in order."""
    wanted = min(count, wanted)
    return [index * count // wanted for index in range(wanted)]


def _counts(dataset: Dataset) -> Labels:
    """Return photos per class and split, ``int64 [classes, splits]``."""
    size = len(dataset.classes)
    columns = [np.bincount(dataset.split(name).labels(), minlength=size) for name in SPLITS]
    return np.stack(columns, axis=1).astype(np.int64)


def _warnings(dataset: Dataset, counts: Labels) -> list[Html]:
    effects: dict[SplitName, str] = {
        "train": "which no model can learn",
        "test": "of which no accuracy is known",
    }
    items = []
    for split, effect in effects.items():
        column = counts[:, SPLITS.index(split)]
        names = [dataset.classes[label] for label in np.flatnonzero(column == 0)]
        if names:
            classes = "1 class" if len(names) == 1 else f"{len(names):,} classes"
            text = f"{classes} without a {SPLIT_NAMES[split].lower()} photo, {effect}: "
            items.append(element("li", text, named(names), "."))
    if not items:
        return []
    return [element("div", element("ul", *items), class_="caution warning")]


def _facts(dataset: Dataset, counts: Labels) -> Html:
    totals = counts.sum(axis=1)
    low, high = int(totals.argmin()), int(totals.argmax())
    text = [f"{words.counted(int(totals.sum()), 'photo')} of {len(totals):,} classes. "]
    if totals[low] == totals[high]:
        text.append(f"Every class has {words.counted(int(totals[low]), 'photo')}.")
    else:
        smallest, largest = _sized(dataset, totals, low), _sized(dataset, totals, high)
        text += ["Smallest class: ", smallest, "; largest: ", largest, "."]
    rule = f"Split: {dataset.record.split_rule}; seed {dataset.record.seed}."
    parts = [element("p", *text), element("p", rule)]
    if dataset.record.skipped:
        reasons = Counter(_kind(item.reason) for item in dataset.record.skipped)
        items = [
            element("li", f"{words.counted(count, 'file')}: {kind}")
            for kind, count in reasons.most_common()
        ]
        left = words.counted(len(dataset.record.skipped), "file")
        parts += [element("p", f"{left} left out:"), element("ul", *items)]
    else:
        parts.append(element("p", "No file was left out."))
    return element("div", *parts)


def _sized(dataset: Dataset, totals: Labels, label: int) -> Html:
    alike = int(np.sum(totals == totals[label])) - 1
    others = f" (and {words.counted(alike, 'other')})" if alike else ""
    size = words.counted(int(totals[label]), "photo")
    return join([isolated(dataset.classes[label]), f"{others}, {size}"])


def _kind(reason: str) -> str:
    """Return a reason without what it says of one file alone: its twin, a size, Pillow's words."""
    head, identical, twin = reason.partition("is identical to ")
    if identical:
        other_class = " of another class" if ", which is in the class " in twin else ""
        return f"{head}{identical}another file{other_class}"
    return _DETAIL.sub("", reason)


def _split_table(counts: Labels) -> Html:
    total = int(counts.sum())
    rows = []
    for index, split in enumerate(SPLITS):
        column = counts[:, index]
        rows.append(
            Row(
                [
                    Cell(SPLIT_NAMES[split]),
                    Cell(f"{int(column.sum()):,}"),
                    Cell(words.percent(int(column.sum()) / total if total else None)),
                    Cell(f"{int(np.sum(column > 0)):,}"),
                    Cell(f"{int(column.min()):,}"),
                    Cell(f"{float(np.median(column)):g}"),
                    Cell(f"{int(column.max()):,}"),
                ]
            )
        )
    columns = (
        Column("Split", is_numeric=False),
        Column("Photos"),
        Column("Share", "%"),
        Column("Classes with a photo"),
        Column("Fewest per class"),
        Column("Median per class"),
        Column("Most per class"),
    )
    return table(columns, [rows], "Photos of each split", is_stacked=True)


def _class_counts(dataset: Dataset, counts: Labels) -> list[Html]:
    if len(dataset.classes) <= MAX_BARS:
        chart = class_bars(dataset.classes, counts)
        return [element("figure", split_legend(), *chart, class_="plot")]
    rows = [
        Row(
            [
                Cell(name, name),
                *(Cell(f"{count:,}", count) for count in (*row, sum(row))),
            ]
        )
        for name, row in zip(dataset.classes, counts.tolist(), strict=True)
    ]
    columns = (
        Column("Class", is_numeric=False),
        *(Column(SPLIT_NAMES[split]) for split in SPLITS),
        Column("All"),
    )
    chart = count_histogram(counts.sum(axis=1))
    listing = table(columns, [rows], "Photos of each class", is_sortable=True)
    return [
        element("figure", *chart, class_="plot"),
        element("details", element("summary", f"All {len(rows):,} classes"), listing),
    ]


def _samples(dataset: Dataset, gallery: Gallery) -> list[Html]:
    by_label: dict[int, list[int]] = {}
    for index, photo in enumerate(gallery.photos):
        by_label.setdefault(photo.label, []).append(index)
    labels = sorted(by_label)
    if not labels:
        return [element("p", "There is no training photo.", class_="soft")]
    if len(labels) <= _MAX_ROWS:
        return [
            element("div", *(_row(dataset, gallery, label, by_label[label]) for label in labels))
        ]
    chosen = [labels[index] for index in evenly(len(labels), _MAX_SAMPLES)]
    cards = [_card(dataset, gallery, label, by_label[label][0]) for label in chosen]
    text = f"One photo of each of {len(chosen):,} classes"
    if len(chosen) < len(labels):
        text += f", evenly chosen from {len(labels):,}"
    return [element("p", f"{text}.", class_="soft"), element("div", *cards, class_="shots")]


def _row(dataset: Dataset, gallery: Gallery, label: int, photos: Sequence[int]) -> Html:
    name = dataset.classes[label]
    shown = [photos[index] for index in evenly(len(photos), _PHOTOS_PER_ROW)]
    pictures = [gallery.thumbnail(index, f"A training photo of {name}") for index in shown]
    heading = element("h4", words.shortened(name, 60), title=name)
    return element("div", heading, element("div", *pictures, class_="strip"), class_="sample")


def _card(dataset: Dataset, gallery: Gallery, label: int, index: int) -> Html:
    name = dataset.classes[label]
    caption = element("figcaption", words.shortened(name, 40), title=name)
    return element("figure", gallery.thumbnail(index, f"A training photo of {name}"), caption)
