from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from edgevit.bench.report.axes import latency_axis, padded_axis
from edgevit.bench.report.entries import merge
from edgevit.bench.report.labels import Box, place_labels
from edgevit.bench.report.page import build_page
from edgevit.bench.report.scatter import pareto_front
from edgevit.bench.result import BenchRow
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


@pytest.mark.parametrize(("highest", "is_log"), [(30.0, False), (900.0, True)])
def test_latency_axis_is_logarithmic_when_the_range_is_wide(highest: float, is_log: bool) -> None:
    axis = latency_axis([10.0, highest], 0, 100)
    assert axis.is_log is is_log
    ticks = axis.ticks(8)
    assert 2 <= len(ticks) <= 9
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert 0 < axis(10.0) < axis(highest) < 100


def test_padded_axis_keeps_its_least_range_when_values_hardly_differ() -> None:
    axis = padded_axis([86.0, 86.01], 100, 0, least=2.0, padding=0.0)
    assert axis.high - axis.low == pytest.approx(2.0)


def test_charts_are_apart_when_rows_were_scored_on_other_photos() -> None:
    elsewhere = replace(measurement().evaluation, source="data/dogs", dataset_sha256="1" * 64)
    report = merge([result(row("a"), row("b", evaluation=elsewhere))])
    page = build_page(report)
    assert page.count('<figure class="scatter">') == 2
    assert "On the photos of data/dogs" in page
