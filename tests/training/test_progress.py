from __future__ import annotations

import io
import re
import sys

import pytest

from edgevit.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    """Return the lines of a bar halfway through a long training."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with Progress(100, 1234) as progress:
        progress.step(9, 1, 3.5, 0.1)
        progress.step(9, 1120, 3.4375, 0.125)
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()))


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_bar_shows_every_number_when_the_terminal_is_narrow_or_wide(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    lines = shown(monkeypatch, columns)

    text = re.sub(r"\s+", " ", " ".join(lines))
    for part in ("epoch 10/100", "1120/1234", "loss 3.438", "12.5 %", "left"):
        assert part in text
    assert "…" not in text
    assert max(map(len, lines)) <= columns
    assert ("━" in text) == (columns >= 80)
