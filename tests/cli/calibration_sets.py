"""What the tests of `edgevit calibrate` and of `edgevit export --calibration` share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edgevit.data.dataset import Dataset

Captured = pytest.CaptureFixture[str]


@contextmanager
def away(dataset: Dataset) -> Iterator[None]:
    """Move the prepared photos away, as on a device that has only the run and the set."""
    moved = dataset.root.rename(dataset.root.with_name("moved"))
    try:
        yield
    finally:
        moved.rename(dataset.root)


def assert_one_line(capsys: Captured, *words: str) -> None:
    """Check that there is one error, of one line, beside progress (``…: 0.1 s``) and notes."""
    lines = capsys.readouterr().err.splitlines()
    (error,) = (line for line in lines if not line.endswith((" s", "are held out")))
    assert error.startswith("edgevit: error: ")
    for word in words:
        assert word in error
