"""How a row's times are spread: a histogram with its percentiles and the medians of its repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edgevit.bench.protocol import LatencyResult, Repeats
from edgevit.pages import words
from edgevit.pages.axes import COLOURS, Axis, tick_text
from edgevit.pages.labels import text_width
from edgevit.pages.markup import Html, element

WIDTH, HEIGHT = 320.0, 136.0
_SIDE = 10.0
_LABELS_TOP, _LABEL_STEP = 11.0, 13.0
_BARS_TOP, _BARS_BOTTOM = 48.0, 96.0
_REPEATS_Y = 103.0
_TICKS_Y = 124.0
_BINS = 60
# A few stray samples must not press all others into one bar; how many lie beyond is written.
_UPPER_PERCENT = 99.5
_TICKS = 4
_NS_PER_MS = 1_000_000.0

Samples = npt.NDArray[np.float64]


def strip(latency: LatencyResult, repeats: Repeats, series: int, name: str) -> Html:
    """Draw the distribution of one row's times.

    Args:
        latency: With the kept samples; without any only the percentiles are marked.
        repeats: Their medians are dots below the bars.
        series: Decides the colour.
        name: What it shows, for those who cannot see it.
    """
    samples = np.array(latency.samples_ns, dtype=np.float64) / _NS_PER_MS
    axis = _axis(samples, latency, repeats)
    return element(
        "svg",
        element("title", name),
        *_bars(samples, axis),
        element(
            "line", class_="base", x1=_SIDE, x2=WIDTH - _SIDE, y1=_BARS_BOTTOM, y2=_BARS_BOTTOM
        ),
        *_percentiles(latency, axis),
        *_repeat_dots(repeats, axis),
        *_ticks(axis),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        class_=f"s{series % COLOURS}",
    )


def beyond_text(latency: LatencyResult) -> str:
    """Say what the histogram leaves out at its upper end, or nothing."""
    samples = np.array(latency.samples_ns, dtype=np.float64) / _NS_PER_MS
    if len(samples) == 0:
        return ""
    count = int((samples > _upper(samples, latency)).sum())
    if count == 0:
        return ""
    highest = words.milliseconds(latency.latency_ms_max)
    return f"{words.counted(count, 'sample')} beyond the right end, up to {highest} ms"


def _upper(samples: Samples, latency: LatencyResult) -> float:
    p99 = latency.latency_ms_p99 or latency.latency_ms_p95
    return max(float(np.percentile(samples, _UPPER_PERCENT)), p99)


def _axis(samples: Samples, latency: LatencyResult, repeats: Repeats) -> Axis:
    values = [value for _, value in _marks(latency)] + list(repeats.latency_ms_p50)
    if len(samples):
        values += [float(samples.min()), _upper(samples, latency)]
    low, high = min(values), max(values)
    if high - low < 1e-6 * max(1e-3, high):
        low, high = 0.95 * low, 1.05 * high + 1e-6
    return Axis(low, high, _SIDE, WIDTH - _SIDE)


def _bars(samples: Samples, axis: Axis) -> Iterator[Html]:
    if not len(samples):
        return
    counts, edges = np.histogram(samples, bins=_BINS, range=(axis.low, axis.high))
    tallest = max(1, int(counts.max()))
    width = (axis.end - axis.start) / _BINS
    for count, edge in zip(counts.tolist(), edges.tolist(), strict=False):
        if count:
            height = (_BARS_BOTTOM - _BARS_TOP) * count / tallest
            yield element(
                "rect",
                class_="bar",
                x=axis(edge),
                y=_BARS_BOTTOM - height,
                width=max(1.0, width - 0.6),
                height=height,
            )


def _marks(latency: LatencyResult) -> list[tuple[str, float]]:
    """Return the percentiles that are known."""
    percentiles = (
        ("p50", latency.latency_ms_p50),
        ("p90", latency.latency_ms_p90),
        ("p99", latency.latency_ms_p99),
    )
    return [(name, value) for name, value in percentiles if value is not None]


def _percentiles(latency: LatencyResult, axis: Axis) -> Iterator[Html]:
    for index, (name, value) in enumerate(_marks(latency)):
        # Each on a line of its own, so that close ones stay legible.
        x, y = axis(value), _LABELS_TOP + _LABEL_STEP * index
        text = f"{name} {words.milliseconds(value)}"
        fits = x + 4 + text_width(text) <= WIDTH
        yield element("line", class_=f"percentile {name}", x1=x, x2=x, y1=y - 8, y2=_BARS_BOTTOM)
        yield element(
            "text", text, class_="label" if fits else "label end", x=x + (4 if fits else -4), y=y
        )


def _repeat_dots(repeats: Repeats, axis: Axis) -> Iterator[Html]:
    if len(repeats.latency_ms_p50) > 1:
        for value in repeats.latency_ms_p50:
            yield element("circle", class_="repeat", cx=axis(value), cy=_REPEATS_Y, r=3.0)


def _ticks(axis: Axis) -> Iterator[Html]:
    for value in axis.ticks(_TICKS):
        x, text = axis(value), tick_text(value)
        half = text_width(text) / 2
        if half <= x <= WIDTH - half:
            yield element("text", text, class_="tick mid", x=x, y=_TICKS_Y)
