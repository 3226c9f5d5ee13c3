"""Axes of charts: where a value lies, and which values are written beside the axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A range of times wider than this is drawn on a logarithmic axis.
LOG_FROM_RATIO = 6.0
# Series have this many colours, s0 to s5 of page.css; more share them and are told apart by labels.
COLOURS = 6
_LOG_STEPS = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Axis:
    """A mapping of values to pixels.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``, above ``low``.
        start: Pixel.
        end: Pixel; below ``start`` where the axis points upwards.
        is_log: Equal distances are equal ratios; ``low`` is then above 0.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value lies, at most at the ends."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int) -> tuple[float, ...]:
        """Return round values on the axis, about ``count`` of them."""
        return _log_ticks(self, count) if self.is_log else _linear_ticks(self, count)


def latency_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis for times above 0, logarithmic where they span a wide range."""
    low, high = min(values), max(values)
    if high / low >= LOG_FROM_RATIO:
        margin = (high / low) ** 0.06
        return Axis(low / margin, high * margin, start, end, is_log=True)
    margin = 0.08 * (high - low) or 0.1 * high
    return Axis(max(0.0, low - margin), high + margin, start, end)


def padded_axis(
    values: Sequence[float], start: float, end: float, *, least: float, padding: float = 0.1
) -> Axis:
    """Return a linear axis with room around the values.

    Args:
        values: At least one.
        start: Pixel of the low end.
        end: Pixel of the high end.
        least: The smallest range, so that noise is not blown up to the full height.
        padding: Room at each end, as a share of the range.
    """
    low, high = min(values), max(values)
    if (missing := least - (high - low)) > 0:
        low, high = low - missing / 2, high + missing / 2
    margin = padding * (high - low)
    return Axis(low - margin, high + margin, start, end)


def tick_text(value: float) -> str:
    """Write a tick's value without needless digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}".replace("-", "−")


def _linear_ticks(axis: Axis, count: int) -> tuple[float, ...]:
    raw = (axis.high - axis.low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= raw * 0.999)
    first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
    # Rounding takes off the noise of the multiplication.
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def _log_ticks(axis: Axis, count: int) -> tuple[float, ...]:
    decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    every = [step * 10.0**decade for decade in decades for step in _LOG_STEPS]
    inside = [round(value, 12) for value in every if axis.low <= value <= axis.high]
    if len(inside) > count:
        tens = [value for value in inside if math.isclose(math.log10(value) % 1, 0, abs_tol=1e-9)]
        return tuple(tens if len(tens) > 1 else inside[:: math.ceil(len(inside) / count)])
    return tuple(inside)
