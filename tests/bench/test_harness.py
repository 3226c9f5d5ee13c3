from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgevit.bench import harness, table
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import BenchResult, BenchRow, read_result
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.machine import logical_cores
from edgevit.run import Run
from tests.bench.standin import make_bundle


def damage(bundle: Path) -> None:
    data = bytearray((bundle / "model.tflite").read_bytes())
    data[-20] ^= 1
    (bundle / "model.tflite").write_bytes(data)


def text_of(result: BenchResult) -> str:
    stream = io.StringIO()
    table.print_result(result, Console(file=stream))
    return stream.getvalue()


@pytest.fixture
def result(tmp_path: Path, run: Run, bundle: Path, tiny: Protocol) -> BenchResult:
    broken = make_bundle(tmp_path / "exports" / "broken", run)
    damage(broken)
    out = tmp_path / "results" / "mine.json"
    return harness.run_bench([broken, bundle], data=None, threads=1, protocol=tiny, out=out)


def test_run_bench_measures_the_next_row_when_one_fails(result: BenchResult) -> None:
    failed, measured = result.rows
    assert failed.measurement is None
    assert failed.error is not None
    assert "sha256" in failed.error
    assert measured.error is None
    assert measured.measurement is not None
    assert measured.measurement.latency.query_count == 20
    assert measured.measurement.accuracy.paired is not None
    assert measured.measurement.placement.partitions == 1
    assert result.failed_count == 1


def test_run_bench_writes_what_it_returns_when_finished(
    tmp_path: Path, result: BenchResult
) -> None:
    assert read_result(tmp_path / "results" / "mine.json") == result


def test_run_bench_keeps_the_finished_rows_when_interrupted(
    tmp_path: Path, bundle: Path, tiny: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(path: Path, *_: object) -> BenchRow:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return BenchRow("first", str(path), None, "not measured")

    monkeypatch.setattr(harness, "_measured_row", interrupted)
    out = tmp_path / "out.json"
    with pytest.raises(KeyboardInterrupt):
        harness.run_bench([bundle, bundle], data=None, threads=1, protocol=tiny, out=out)
    assert [row.name for row in read_result(out).rows] == ["first"]


def test_run_bench_fails_the_row_when_a_runtime_raises_anything(
    tmp_path: Path, bundle: Path, tiny: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("inside the runtime")

    monkeypatch.setattr(harness, "open_classifier", explode)
    out = tmp_path / "out.json"
    result = harness.run_bench([bundle], data=None, threads=1, protocol=tiny, out=out)
    assert result.rows[0].error == "ZeroDivisionError: inside the runtime"


def test_run_bench_refuses_when_there_are_more_threads_than_cores(
    tmp_path: Path, bundle: Path, tiny: Protocol
) -> None:
    threads = logical_cores() + 1
    with pytest.raises(InputError, match=f"{threads} threads on a machine of"):
        harness.run_bench(
            [bundle], data=None, threads=threads, protocol=tiny, out=tmp_path / "out.json"
        )


def test_run_bench_names_the_option_when_the_photos_are_not_here(
    tmp_path: Path, dataset: Dataset, bundle: Path, tiny: Protocol
) -> None:
    dataset.root.rename(tmp_path / "elsewhere")
    out = tmp_path / "out.json"
    result = harness.run_bench([bundle], data=None, threads=1, protocol=tiny, out=out)
    assert "--data DIR" in str(result.rows[0].error)
    given = tmp_path / "elsewhere"
    result = harness.run_bench([bundle], data=given, threads=1, protocol=tiny, out=out)
    assert result.rows[0].error is None


def test_run_bench_says_other_photos_when_the_data_set_differs(
    tmp_path: Path, dataset: Dataset, bundle: Path, tiny: Protocol
) -> None:
    record = dataset.root / "dataset.json"
    body = json.loads(record.read_text())
    record.write_text(json.dumps({**body, "source": "elsewhere"}))
    out = tmp_path / "out.json"
    result = harness.run_bench([bundle], data=None, threads=1, protocol=tiny, out=out)
    assert "measured on other photos" in text_of(result)


def test_print_result_cuts_nothing_when_the_output_is_no_terminal(result: BenchResult) -> None:
    name = "a-very-long-bundle-name-" * 12
    result = replace(result, rows=(replace(result.rows[1], name=name),))
    text = text_of(result)
    assert name in text
    assert "…" not in text
    assert "a training machine" in text
    assert "−8.33 (" in text


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_print_result_cuts_nothing_when_the_terminal_is_narrow(
    result: BenchResult, width: int
) -> None:
    stream = io.StringIO()
    table.print_result(result, Console(file=stream, force_terminal=True, width=width))
    text = " ".join(stream.getvalue().split())
    measurement = result.rows[1].measurement
    assert measurement is not None
    assert "colours.tflite.fp32" in text
    assert table.drop_text(measurement.accuracy) in text
    assert measurement.placement.summary in text


def test_print_result_gives_the_reference_first_and_the_failure_last(result: BenchResult) -> None:
    lines = [line for line in text_of(result).splitlines() if line.strip()]
    # Two lines of headings and a rule stand above.
    names = [line.split()[0] for line in lines[3:6]]
    assert names == ["colours", "colours.tflite.fp32", "broken"]
    assert "(reference)" in lines[3]


def test_notes_are_honest_when_the_protocol_is_quick(result: BenchResult) -> None:
    text = "\n".join(table.notes(result))
    assert "Not comparable" in text
    assert "1 thread, one photo at a time" in text
    assert (
        "colours.tflite.fp32: 12 images cannot show that the drop is at most 0.3 points: even "
        "without a single flip the interval would reach +14.00; 652 images could."
    ) in text
    assert "broken: failed: " in text


def test_claim_is_said_once_when_rows_have_it_in_common(result: BenchResult) -> None:
    row = result.rows[1]
    rows = tuple(replace(row, name=name) for name in ("first", "second"))
    lines = table.notes(replace(result, rows=rows))
    assert len([line for line in lines if line.startswith("first, second: 12 images")]) == 1


def test_claim_is_without_pairs_when_the_runs_answers_are_away(result: BenchResult) -> None:
    measurement = result.rows[1].measurement
    assert measurement is not None
    unpaired = replace(measurement.accuracy, paired=None, unpaired_drop_points=0.0)
    # All answers are right, and still 12 photos show little.
    assert table.claim_text(unpaired) == (
        "a drop smaller than ±19.08 points cannot be claimed with 12 photos"
    )
    assert table.claim_text(replace(unpaired, unpaired_drop_points=None)) is None
