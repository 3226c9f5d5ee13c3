from __future__ import annotations

from dataclasses import replace

import pytest
from answers import Answers, ModelAnswers
from boards import PI_2, PI_5
from comparison import compare

from edgevit.bench.result import BenchResult, BenchRow
from tests.bench.results import PI, result, row, scored

PHOTOS = 100
TRUTH = tuple(photo % 3 for photo in range(PHOTOS))
EMULATED = replace(PI, emulated=True)


def labels(wrong: int) -> tuple[int, ...]:
    """Return labels of which the first so many are wrong."""
    return tuple((label + (photo < wrong)) % 3 for photo, label in enumerate(TRUTH))


def answers(precision: str, wrong: int, error: str | None = None) -> Answers:
    given = () if error else labels(wrong)
    model = ModelAnswers("tflite", precision, given, error)
    return Answers(TRUTH, {f"pets.tflite.{precision}": model})


def bench(precision: str, wrong: int, *warnings: str) -> BenchResult:
    """Return a Pi's result in which so many of the photos are wrong."""
    score = scored(newly_wrong=0, newly_right=0, count=PHOTOS)
    accuracy = replace(score.accuracy, top1=1 - wrong / PHOTOS)
    measured = row(
        precision=precision, accuracy=replace(score, accuracy=accuracy), warnings=warnings
    )
    return result(measured, machine=EMULATED, target="pi")


def problems(made: BenchResult, precision: str, there: int, here: int) -> str:
    return "; ".join(
        compare(PI_5, made, answers(precision, there), answers(precision, here)).problems
    )


def test_comparison_finds_nothing_when_the_board_answers_like_this_machine() -> None:
    made = compare(PI_5, bench("int8", 4), answers("int8", 4), answers("int8", 4))
    assert made.problems == ()
    assert (made.lines[0].agreement, made.lines[0].top1, made.lines[0].top1_here) == (1, 0.96, 0.96)


def test_comparison_lets_one_photo_in_a_hundred_pass_when_labels_differ() -> None:
    assert problems(bench("int8", 5), "int8", 5, 4) == ""
    assert "98.0% of 100 photos" in problems(bench("int8", 6), "int8", 6, 4)


def test_comparison_counts_photos_when_full_precision_is_less_right() -> None:
    assert problems(bench("fp32", 5), "fp32", 5, 4) == ""
    assert "2 photos more or less right" in problems(bench("fp32", 6), "fp32", 6, 4)


def test_comparison_complains_when_the_benchmark_scores_other_than_the_answers() -> None:
    assert "says 93.00% top-1" in problems(bench("int8", 7), "int8", 4, 4)


def test_comparison_complains_when_a_warning_is_not_about_steadiness() -> None:
    busy = "the medians of 3 repeats differ by 60 %, more than 5 %: is the machine busy?"
    assert problems(bench("int8", 4, busy), "int8", 4, 4) == ""
    hot = "the device throttled while it was measured"
    assert hot in problems(bench("int8", 4, busy, hot), "int8", 4, 4)


@pytest.mark.parametrize(
    "changes", [{"board": "Raspberry Pi 4"}, {"architecture": "x86_64"}, {"emulated": False}]
)
def test_comparison_complains_when_the_machine_is_another(changes: dict[str, object]) -> None:
    made = bench("int8", 4)
    machine = replace(made.machine, **changes)  # type: ignore[arg-type]
    assert f"the result's {next(iter(changes))} is" in problems(
        replace(made, machine=machine), "int8", 4, 4
    )


def test_comparison_complains_when_a_row_is_missing() -> None:
    made = replace(bench("int8", 4), rows=())
    assert "not in the board's result" in problems(made, "int8", 4, 4)


def failed(precision: str, error: str) -> BenchResult:
    failure = BenchRow(f"pets.tflite.{precision}", "exports/x", 1, "cpu", error=error)
    machine = replace(EMULATED, board=PI_2.model, architecture=PI_2.machine)
    return result(failure, machine=machine, target="pi")


def test_comparison_accepts_a_failure_when_the_board_says_what_it_cannot() -> None:
    reason = "it takes its ranges at run time, which tflite-runtime computes wrongly"
    here = answers("int8", 4)
    assert not compare(PI_2, failed("int8", reason), answers("int8", 0, reason), here).problems
    other = compare(PI_2, failed("int8", "killed"), answers("int8", 0, "killed"), here)
    assert "it was not measured: killed" in other.problems[0]
    runs = compare(PI_2, failed("int8", reason), answers("int8", 4), here)
    assert "and yet it runs" in runs.problems[0]


def test_comparison_complains_when_full_precision_fails_on_a_board() -> None:
    made = failed("fp32", "tflite-runtime computes wrongly")
    there = answers("fp32", 0, "tflite-runtime computes wrongly")
    assert "not measured" in compare(PI_2, made, there, answers("fp32", 4)).problems[0]
