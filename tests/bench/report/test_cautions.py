from __future__ import annotations

from dataclasses import replace

import pytest

from edgevit.bench.protocol import QUICK, Repeats
from edgevit.bench.report.cautions import badges, cautions, claims
from edgevit.bench.report.entries import Report, merge
from edgevit.bench.result import BenchRow
from edgevit.bench.warnings import warnings_of
from edgevit.runtimes.base import AcceleratorUse
from tests.bench.report.outline import pi_with
from tests.bench.results import (
    conditions,
    latency,
    measurement,
    result,
    row,
    scored,
)


def texts_of(report: Report) -> str:
    return " ".join(f"{item.text} {item.rows}" for item in cautions(report))


def evaluated(**changes: object) -> Report:
    evaluation = replace(measurement().evaluation, **changes)  # type: ignore[arg-type]
    return pi_with(evaluation=evaluation)


@pytest.mark.parametrize(
    ("report", "text", "badge"),
    [
        (evaluated(calibrated_count=7), "7 of 1,200", "photos seen"),
        (evaluated(same_photos=False), "other photos than", "other photos"),
        (
            pi_with(latency=replace(latency(), warmup_settled=False)),
            "not steady after the longest warm-up",
            "not settled",
        ),
        (pi_with(repeats=Repeats((20.0, 21.2))), "6.0 %", "spread 6 %"),
        (merge([result(protocol=QUICK)]), "not comparable", "quick"),
        (pi_with(conditions=replace(conditions(), clock_jump_seconds=-3.0)), "by -3 s", None),
        (pi_with(warnings=("the fan is loud",)), "The fan is loud.", None),
        (
            pi_with(accuracy=replace(scored(), notes=("some photos are missing",))),
            "Some photos are missing.",
            None,
        ),
    ],
)
def test_cautions_say_it_when_a_row_has_a_flaw(
    report: Report, text: str, badge: str | None
) -> None:
    assert text in texts_of(report)
    assert badge is None or badge in [mark.text for mark in badges(report.entries[0])]
    clean = merge([result()])
    assert text not in texts_of(clean)
    assert badges(clean.entries[0]) == ()


@pytest.mark.parametrize(
    ("ops_share", "agreement", "text"),
    [(0.95, 1.0, None), (0.4, 1.0, "40 % of the ops"), (None, 0.92, "92.0 % of 64 photos agree")],
)
def test_cautions_name_the_accelerator_when_it_falls_back_or_is_wrong(
    ops_share: float | None, agreement: float, text: str | None
) -> None:
    use = AcceleratorUse("npu NPU", ops_share, None, 64, agreement, 0.1, "")
    report = pi_with(accelerator=use, device="npu NPU")
    said = [item for item in cautions(report) if "npu NPU" in item.text]
    assert [text] == [None] if not said else text is not None and text in texts_of(report)


def test_caution_is_not_repeated_when_the_bench_wrote_it_down() -> None:
    unsettled = measurement(latency=replace(latency(), warmup_settled=False))
    written = replace(unsettled, warnings=(*warnings_of(unsettled), "the fan is loud"))
    report = merge([result(BenchRow("a", "exports/a", 1, "cpu", measurement=written))])
    said = [item.text for item in cautions(report) if "not steady" in item.text]
    assert len(said) == 1
    assert "The fan is loud." in texts_of(report)


def test_caution_is_said_once_when_several_rows_share_it() -> None:
    rows = [row("a", warnings=("hot",)), row("b", warnings=("hot",))]
    (caution,) = [item for item in cautions(merge([result(*rows)])) if item.text == "Hot."]
    assert [name.split()[0] for name in caution.rows] == ["a", "b"]


def test_claims_are_grouped_by_verdict_when_only_the_interval_differs() -> None:
    rows = [row(name, accuracy=scored(newly_wrong=n)) for name, n in (("a", 20), ("b", 40))]
    (claim,) = claims(merge([result(*rows)]))
    assert claim.text == "Not shown that the drop is at most 0.3 points."
    assert [name.rpartition(": ")[2] for name in claim.rows] == [
        "the interval reaches +2.14",
        "the interval reaches +4.08",
    ]
