from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgevit.bench import harness, jobs, table
from edgevit.bench.harness import Plan, run_bench
from edgevit.bench.jobs import RowJob, Task
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import BenchResult, read_result, write_result
from edgevit.bench.targets.registry import TARGETS
from edgevit.bundle import Bundle, write_bundle
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
def plan(bundle: Path, tiny: Protocol) -> Plan:
    return Plan(paths=(bundle,), target=TARGETS.get("cpu"), threads=(1,), protocol=tiny)


@pytest.fixture
def result(tmp_path: Path, run: Run, bundle: Path, plan: Plan) -> BenchResult:
    broken = make_bundle(tmp_path / "exports" / "broken", run)
    damage(broken)
    return run_bench(replace(plan, paths=(broken, bundle)), tmp_path / "results" / "mine.json")


def test_run_bench_measures_the_next_row_when_one_fails(
    tmp_path: Path, result: BenchResult
) -> None:
    failed, measured = result.rows
    assert failed.measurement is None
    assert failed.error is not None
    assert "sha256" in failed.error
    assert measured.error is None
    found = measured.measurement
    assert found is not None
    assert found.latency.query_count == 20
    assert found.accuracy is not None
    assert found.accuracy.paired is not None
    assert found.placement.partitions == 1
    assert found.end_to_end is not None
    assert found.end_to_end.latency_ms_p50 > found.latency.latency_ms_min
    assert found.memory is not None
    assert 0 < found.memory.baseline_bytes <= found.memory.loaded_bytes
    assert found.memory.loaded_bytes <= found.memory.peak_bytes
    assert found.cold_start is not None
    assert len(found.cold_start.load_ms) == 1
    assert found.conditions is not None
    assert (result.failed_count, result.measured_count) == (1, 1)
    assert read_result(tmp_path / "results" / "mine.json") == result


def test_run_bench_has_a_row_for_each_number_of_threads_when_several_are_given(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "logical_cores", lambda: 2)
    monkeypatch.setattr(harness, "cpu_affinity", lambda: (0, 1))
    result = run_bench(replace(plan, threads=(1, 2)), tmp_path / "out.json")
    assert [row.threads for row in result.rows] == [1, 2]
    assert result.measured_count == 2


def test_run_bench_keeps_the_finished_rows_when_interrupted(
    tmp_path: Path, bundle: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls = harness.run_in_process, []

    def interrupted(task: Task, job: RowJob, answer: type[object]) -> object:
        calls.append(task)
        if calls.count("row") == 2:
            raise KeyboardInterrupt
        return measure(task, job, answer)

    monkeypatch.setattr(harness, "run_in_process", interrupted)
    out = tmp_path / "out.json"
    other = shutil.copytree(bundle, bundle.with_name("second"))
    plan = replace(plan, paths=(bundle, other))
    with pytest.raises(KeyboardInterrupt):
        run_bench(plan, out)
    (kept,) = read_result(out).rows
    assert kept.measurement is not None


def test_run_bench_keeps_the_old_result_when_interrupted_before_the_first_row(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    run_bench(plan, out)
    before = out.read_bytes()

    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(harness, "run_in_process", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_bench(plan, out)
    assert out.read_bytes() == before


def test_run_bench_measures_only_what_is_missing_when_resumed(
    tmp_path: Path, bundle: Path, plan: Plan
) -> None:
    out = tmp_path / "out.json"
    first = run_bench(plan, out)
    other = make_bundle(
        bundle.with_name("colours.tflite.again"), Run.load(tmp_path / "runs/colours")
    )
    both = run_bench(replace(plan, paths=(other, bundle)), out, resume=True)
    assert both.rows[1] == first.rows[0]
    assert both.rows[0].measurement is not None
    assert read_result(out) == both


def test_run_bench_keeps_rows_that_are_not_asked_for_when_resumed(
    tmp_path: Path, run: Run, bundle: Path, plan: Plan
) -> None:
    out = tmp_path / "out.json"
    (first,) = run_bench(plan, out).rows
    broken = make_bundle(bundle.with_name("broken"), run)
    damage(broken)
    result = run_bench(replace(plan, paths=(broken,)), out, resume=True)
    assert result.rows[1] == first
    assert read_result(out) == result


def test_run_bench_keeps_the_times_when_opening_the_model_again_fails(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = "import os, sys; 'memory' in sys.argv and os.abort(); "
    monkeypatch.setattr(jobs, "_CHILD", f"{crash}{jobs._CHILD}")
    (row,) = run_bench(plan, tmp_path / "out.json").rows
    assert row.measurement is not None
    assert row.measurement.memory is None
    assert any("its process died: SIGABRT" in line for line in row.measurement.warnings)


def test_run_bench_measures_again_when_the_bundle_changed_before_it_resumes(
    tmp_path: Path, bundle: Path, run: Run, plan: Plan
) -> None:
    out = tmp_path / "out.json"
    first = run_bench(plan, out)
    shutil.rmtree(bundle)
    make_bundle(bundle, run, "int8")
    (row,) = run_bench(plan, out, resume=True).rows
    assert first.rows[0].measurement is not None
    assert row.measurement is not None
    assert row.measurement.model_sha256 != first.rows[0].measurement.model_sha256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "pi"}, "with another --target"),
        ({"versions": {"edgevit": "0"}}, "with other versions"),
        ({"tool": "edgevit reference"}, "by edgevit reference"),
        ({"cpu_affinity": (7,)}, "on other cores"),
        ({"settings": {"images": "12"}}, "with "),
        ({"protocol": Protocol("other", True, 1, 0.0)}, "under the other protocol"),
    ],
)
def test_run_bench_refuses_to_resume_when_the_rules_were_others(
    tmp_path: Path, plan: Plan, change: dict[str, object], words: str
) -> None:
    out = tmp_path / "out.json"
    write_result(out, replace(run_bench(plan, out), **change))  # type: ignore[arg-type]
    before = out.read_bytes()
    with pytest.raises(InputError, match=f"{words}.*cannot be resumed"):
        run_bench(plan, out, resume=True)
    assert out.read_bytes() == before


def test_run_bench_goes_on_when_the_process_of_a_row_dies(
    tmp_path: Path, plan: Plan, bundle: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = make_bundle(bundle.with_name("deadly"), run)
    crash = f"import os, sys; 'row' in sys.argv and {str(deadly)!r} in open(sys.argv[2]).read() "
    monkeypatch.setattr(jobs, "_CHILD", f"{crash}and os.abort(); {jobs._CHILD}")
    result = run_bench(replace(plan, paths=(deadly, bundle)), tmp_path / "out.json")
    assert result.rows[0].error == "its process died: SIGABRT"
    assert result.rows[1].measurement is not None


def test_run_bench_refuses_when_there_are_more_threads_than_cores(
    tmp_path: Path, plan: Plan
) -> None:
    threads = logical_cores() + 1
    with pytest.raises(InputError, match=f"{threads} threads, but this process may use"):
        run_bench(replace(plan, threads=(threads,)), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_run_bench_names_the_option_when_the_photos_are_not_here(
    tmp_path: Path, dataset: Dataset, plan: Plan
) -> None:
    dataset.root.rename(tmp_path / "elsewhere")
    out = tmp_path / "out.json"
    assert "--data DIR" in str(run_bench(plan, out).rows[0].error)
    given = replace(plan, photos=tmp_path / "elsewhere")
    assert run_bench(given, out).rows[0].error is None


def test_run_bench_scores_so_many_photos_when_limited(tmp_path: Path, plan: Plan) -> None:
    (row,) = run_bench(replace(plan, image_limit=3), tmp_path / "out.json").rows
    assert row.measurement is not None
    assert row.measurement.evaluation.image_count == 3


def test_run_bench_says_other_photos_when_the_data_set_differs(
    tmp_path: Path, dataset: Dataset, plan: Plan
) -> None:
    record = dataset.root / "dataset.json"
    body = json.loads(record.read_text())
    record.write_text(json.dumps({**body, "source": "elsewhere"}))
    assert "measured on other photos" in text_of(run_bench(plan, tmp_path / "out.json"))


def test_run_bench_warns_when_photos_were_calibrated_on(
    tmp_path: Path, dataset: Dataset, bundle: Path, plan: Plan
) -> None:
    record = Bundle.load(bundle).record
    seen = dataset.split("test").hashes()[:5]
    write_bundle(
        bundle, replace(record, source=replace(record.source, calibration_image_sha256=seen))
    )
    assert "calibrated on 5 of these 12 photos" in text_of(run_bench(plan, tmp_path / "out.json"))


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
    assert "one photo at a time" in text
    assert (
        "colours.tflite.fp32: 12 images cannot show that the drop is at most 0.3 points: even "
        "without a single flip the interval would reach +14.00; 652 images could."
    ) in text
    assert "broken: failed: " in text


def test_notes_say_that_fp32_is_missing_when_only_int8_was_measured(
    tmp_path: Path, run: Run, plan: Plan
) -> None:
    bundle = make_bundle(tmp_path / "exports" / "colours.tflite.int8", run)
    write_bundle(bundle, replace(Bundle.load(bundle).record, precision="int8"))
    text = text_of(run_bench(replace(plan, paths=(bundle,)), tmp_path / "out.json"))
    assert "The fp32 export was not measured here" in text


def test_notes_are_sentences_when_a_target_has_some(result: BenchResult) -> None:
    assert "An NPU is here." in table.notes(replace(result, notes=("an NPU is here",)))


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
