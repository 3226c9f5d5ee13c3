from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import numpy as np

from edgevit.bench.report.entries import merge
from edgevit.bench.report.page import build_page
from edgevit.bench.report.scatter import pareto_front
from edgevit.bench.result import BenchRow
from edgevit.pages.labels import Box, place_labels
from tests.bench.results import (
    conditions,
    measurement,
    result,
    row,
    scored,
)


def test_front_is_what_nothing_beats_when_rows_compete() -> None:
    def rated(name: str, p50_ms: float, wrong: int, **changes: object) -> BenchRow:
        return row(name, p50_ms=p50_ms, accuracy=scored(newly_wrong=wrong), **changes)

    rows = [
        rated("fast", 10.0, 60),
        rated("beaten", 30.0, 70),
        rated("middle", 20.0, 30),
        rated("as good but slower", 25.0, 30),
        rated("slow", 90.0, 0),
        rated("throttled", 5.0, 0, conditions=conditions("hot")),
        row("unscored", p50_ms=1.0, accuracy=None),
    ]
    front = pareto_front(merge([result(*rows)]).entries)
    assert [entry.name for entry in front] == ["fast", "middle", "slow"]


def test_labels_cover_nothing_when_points_are_crowded() -> None:
    random = np.random.default_rng(5)
    points = [(float(x), float(y)) for x, y in random.uniform(60, 560, (40, 2))]
    bounds = Box(0, 0, 620, 620)
    labels = place_labels(points, ["a-model.tflite.int8"] * 40, bounds, radius=6)
    assert len(labels) > 15
    assert all(bounds.contains(label.box) for label in labels)
    assert not any(one.box.overlaps(two.box) for one, two in combinations(labels, 2))
    for label in labels:
        assert not any(label.box.holds(*point) for point in points)


def test_charts_are_apart_when_rows_were_scored_on_other_photos() -> None:
    elsewhere = replace(measurement().evaluation, source="data/dogs", dataset_sha256="1" * 64)
    report = merge([result(row("a"), row("b", evaluation=elsewhere))])
    page = build_page(report)
    assert page.count('<figure class="scatter">') == 2
    assert "On the photos of data/dogs" in page


def test_labels_differ_when_names_differ_in_their_middle() -> None:
    names = [f"{20 * 'a'}-{middle}-{20 * 'b'}" for middle in ("one", "two")]
    rows = [
        row(name, p50_ms=p50_ms, accuracy=scored(newly_wrong=wrong))
        for name, p50_ms, wrong in zip(names, (10.0, 90.0), (60, 0), strict=True)
    ]
    page = build_page(merge([result(*rows)]))
    labels = re.findall(r'<text class="label[^>]*>(….*?)</text>', page)
    # Wide and narrow.
    assert sorted({label[:4] for label in labels}) == ["…one", "…two"]
    assert len(labels) == len(set(labels)) == 4
