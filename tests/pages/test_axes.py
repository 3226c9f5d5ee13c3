from __future__ import annotations

import pytest

from edgevit.pages.axes import latency_axis, padded_axis


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
