from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevit.bench.harness import Plan, run_bench
from edgevit.bench.protocol import Protocol, Repeats
from edgevit.bench.result import Conditions, ConditionSample, Measurement
from edgevit.bench.table import build_table, notes
from edgevit.bench.targets.registry import TARGETS
from edgevit.bench.warnings import warnings_of
from edgevit.runtimes.base import AcceleratorUse


@pytest.fixture
def measurement(bundle: Path, tiny: Protocol, tmp_path: Path) -> Measurement:
    plan = Plan(paths=(bundle,), target=TARGETS.get("cpu"), threads=(1,), protocol=tiny)
    measured = run_bench(plan, tmp_path / "out.json").rows[0].measurement
    assert measured is not None
    latency = replace(measured.latency, warmup_settled=True)
    return replace(measured, latency=latency, repeats=Repeats((1.0,)), conditions=None)


def test_warnings_are_none_when_all_is_well(measurement: Measurement) -> None:
    assert warnings_of(measurement) == ()
    assert measurement.headline_valid


def test_warnings_invalidate_the_times_when_the_device_throttled(measurement: Measurement) -> None:
    sample = ConditionSample(1.0, 84.9, 600.0, 0x4)
    throttled = replace(measurement, conditions=Conditions((sample,), ("under-voltage",), 0.0))
    assert not throttled.headline_valid
    (line,) = warnings_of(throttled)
    assert "throttled while it was measured (under-voltage): these times are not valid" in line


def test_warnings_tell_when_the_clock_was_set(measurement: Measurement) -> None:
    conditions = Conditions((), (), -3600.0)
    (line,) = warnings_of(replace(measurement, conditions=conditions))
    assert "the time of day was set by -3600 s meanwhile" in line


@pytest.mark.parametrize(("medians", "warned"), [((1.0, 1.04), False), ((1.0, 1.06), True)])
def test_warnings_tell_when_repeats_differ(
    measurement: Measurement, medians: tuple[float, ...], warned: bool
) -> None:
    lines = warnings_of(replace(measurement, repeats=Repeats(medians)))
    assert [line for line in lines if "2 repeats differ by 6 %" in line] == list(lines)
    assert bool(lines) is warned


def test_warnings_tell_when_the_times_never_settled(measurement: Measurement) -> None:
    latency = replace(measurement.latency, warmup_settled=False)
    assert "not steady" in warnings_of(replace(measurement, latency=latency))[0]


@pytest.mark.parametrize(
    ("ops_share", "words"),
    [(0.25, "only 25% of the ops run on npu X"), (None, "nobody knows"), (0.95, "")],
)
def test_warnings_tell_when_ops_fell_back_to_the_cpu(
    measurement: Measurement, ops_share: float | None, words: str
) -> None:
    use = AcceleratorUse("npu X", ops_share, None, 12, 1.0, 0.0, "3 ops on the CPU")
    lines = warnings_of(replace(measurement, accelerator=use))
    assert len(lines) == bool(words)
    assert words in "".join(lines)


def test_table_marks_the_times_when_the_device_throttled(
    bundle: Path, tiny: Protocol, tmp_path: Path
) -> None:
    plan = Plan(paths=(bundle,), target=TARGETS.get("cpu"), threads=(1,), protocol=tiny)
    result = run_bench(plan, tmp_path / "out.json")
    (row,) = result.rows
    assert row.measurement is not None
    conditions = Conditions((), ("throttled",), 0.0)
    throttled = replace(row.measurement, conditions=conditions)
    throttled = replace(throttled, warnings=warnings_of(throttled))
    result = replace(result, rows=(replace(row, measurement=throttled),))
    p50 = list(build_table(result).columns[7].cells)[-1]
    assert str(p50).startswith("!")
    assert any("these times are not valid" in note for note in notes(result))
