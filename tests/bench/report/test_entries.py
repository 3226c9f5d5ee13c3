from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.bench.report.entries import merge, read_report
from edgevit.bench.report.markdown import build_markdown
from edgevit.bench.result import write_result
from edgevit.errors import InputError
from tests.bench.results import (
    result,
)


def test_read_report_counts_a_result_once_when_it_is_given_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_result(tmp_path / f"{name}.json", result())
    report = read_report([tmp_path / "a.json", tmp_path / "b.json"])
    assert len(report.results) == 1
    assert report.notes == (
        f"{tmp_path / 'b.json'} holds the same result as {tmp_path / 'a.json'} and was counted "
        "once",
    )


def test_read_report_refuses_when_there_is_no_path() -> None:
    with pytest.raises(InputError, match="no result is named"):
        read_report([])


def test_report_tells_results_apart_by_date_when_they_are_of_one_machine() -> None:
    report = merge([result(), result(started="2026-11-09T08:00:00+00:00")])
    text = build_markdown(report)
    assert "Raspberry Pi 5 Model B, 2026-11-02" in text
    assert "Raspberry Pi 5 Model B, 2026-11-09" in text
