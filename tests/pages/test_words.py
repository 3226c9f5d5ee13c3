from __future__ import annotations

import pytest

from edgevit.pages.words import duration, p_value


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "1"),
        (0.0352, "0.035"),
        (0.0499, "0.0499"),
        (0.0501, "0.05"),
        (0.05, "0.05"),
        (0.00012, "0.00012"),
        (0.00009, "< 0.0001"),
        (0.0, "< 0.0001"),
    ],
)
def test_p_shows_on_which_side_of_the_limit_it_is_when_it_is_written(p: float, text: str) -> None:
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (12000, "3 h 20 min")],
)
def test_duration_is_spoken_when_short_or_long(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
