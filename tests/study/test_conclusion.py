from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevit.data.dataset import Dataset
from edgevit.metrics import holm, share_interval
from edgevit.study.conclusion import Criterion, conclude, differences, epoch_seconds
from edgevit.study.study import Study
from tests.study.models import history_of, make_dataset, make_model, make_study, study_of, sure_of

MANY = {"cat": (1, 1, 20), "dog": (1, 1, 20), "owl": (1, 1, 20)}


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", MANY)


def wrong_for(dataset: Dataset, count: int, first: int = 0) -> list[int]:
    """Return the right answer to every test photo but ``count`` from ``first`` on."""
    answers = dataset.split("test").labels()
    answers[first : first + count] = (answers[first : first + count] + 1) % 3
    return answers.tolist()


def asked(study: Study, measure: str) -> Criterion:
    (found,) = (c for c in conclude(study) if c.measure.startswith(measure))
    return found


def test_accuracy_has_a_winner_when_it_beats_every_other_model(
    photos: Dataset, tmp_path: Path
) -> None:
    answers = {"bad": wrong_for(photos, 30), "good": wrong_for(photos, 2)}
    criterion = asked(make_study(tmp_path / "runs", photos, answers), "test top-1")
    assert criterion.best == 1
    assert criterion.values == ("50.00 %", "96.67 %")
    assert criterion.answer.startswith("good, by 46.7 points over bad (McNemar’s p ")


def test_accuracy_has_no_winner_when_the_next_model_is_too_near(
    photos: Dataset, tmp_path: Path
) -> None:
    answers = {
        "bad": wrong_for(photos, 30),
        "good": wrong_for(photos, 2),
        "near": wrong_for(photos, 4, first=40),
    }
    criterion = asked(make_study(tmp_path / "runs", photos, answers), "test top-1")
    assert criterion.best is None
    assert criterion.answer == (
        "not shown: good leads near (by 3.3 points), which 60 photos do not tell from chance "
        "(McNemar’s p 0.69)"
    )


def test_accuracy_has_no_winner_when_models_are_equally_often_right(
    photos: Dataset, tmp_path: Path
) -> None:
    answers = {"a": wrong_for(photos, 2), "bad": wrong_for(photos, 30), "b": wrong_for(photos, 2)}
    criterion = asked(make_study(tmp_path / "runs", photos, answers), "test top-1")
    assert criterion.best is None
    assert criterion.answer == "not shown: a and b are equally often right"


def test_conclusion_and_pairs_give_one_p_when_there_are_three_models(
    photos: Dataset, tmp_path: Path
) -> None:
    answers = {
        "bad": wrong_for(photos, 30),
        "good": wrong_for(photos, 2),
        "fair": wrong_for(photos, 12),
    }
    study = make_study(tmp_path / "runs", photos, answers)
    pairs = differences(study)
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 2), (1, 0), (2, 0)]
    # By hand: 10 photos only one gets right, 28, and 18; Holm takes them in another order.
    assert [pair.p for pair in pairs] == pytest.approx([2 * 0.5**10, 6 * 0.5**28, 4 * 0.5**18])
    assert asked(study, "test top-1").answer == (
        "good, by 16.7 points over fair (McNemar’s p at most 0.002)"
    )


def test_differences_put_the_more_accurate_first_when_pairs_are_compared(
    photos: Dataset, tmp_path: Path
) -> None:
    answers = {"bad": wrong_for(photos, 30), "good": wrong_for(photos, 2)}
    (pair,) = differences(make_study(tmp_path / "runs", photos, answers))
    assert (pair.first, pair.second) == (1, 0)
    assert (pair.only_first, pair.only_second) == (28, 0)
    assert pair.points == pytest.approx(100 * 28 / 60)
    assert pair.points_low < pair.points < pair.points_high
    assert pair.p == pytest.approx(2 * 0.5**28)
    assert pair.is_shown


def test_time_has_a_winner_only_when_it_differs_enough(photos: Dataset, tmp_path: Path) -> None:
    answers = sure_of(wrong_for(photos, 0), 3)

    def timed(name: str, seconds: float) -> object:
        # The first epoch compiles: it does not count.
        history = history_of([1.0, 0.5, 0.4], seconds=[60.0, seconds, seconds])
        return make_model(tmp_path / name, photos, answers, history=history, seconds=3 * seconds)

    slow, fast, near = timed("slow", 9.0), timed("fast", 3.0), timed("near", 3.1)
    clear = asked(study_of(photos, [slow, fast]), "time per epoch")  # type: ignore[list-item]
    assert (clear.best, clear.values) == (1, ("9.0 s", "3.0 s"))
    assert clear.answer == "fast: slow takes 3.0 times as long"
    close = asked(study_of(photos, [fast, near]), "time per epoch")  # type: ignore[list-item]
    assert close.best is None
    assert close.answer == "fast and near hardly differ"


def test_time_is_not_compared_when_machines_differ(photos: Dataset, tmp_path: Path) -> None:
    answers = sure_of(wrong_for(photos, 0), 3)
    here = make_model(tmp_path / "here", photos, answers, device="a GPU")
    there = make_model(tmp_path / "there", photos, answers, device="a CPU")
    study = study_of(photos, [here, there])
    for measure in ("time per epoch", "whole training"):
        assert asked(study, measure).best is None
        assert "different processors" in asked(study, measure).answer


def test_lighter_is_the_one_with_fewer_parameters_when_models_differ(
    photos: Dataset, tmp_path: Path
) -> None:
    study = make_study(
        tmp_path / "runs", photos, {"a": wrong_for(photos, 0), "b": wrong_for(photos, 1)}
    )
    lighter = replace(study.models[1], parameters=replace(study.models[1].parameters, trainable=40))
    criterion = asked(replace(study, models=(study.models[0], lighter)), "parameters")
    assert (criterion.best, criterion.values) == (1, ("100", "50"))
    assert criterion.answer == "b: a has 2.0 times as many"


def test_only_epoch_is_said_to_have_compiled_when_others_had_more(
    photos: Dataset, tmp_path: Path
) -> None:
    answers = sure_of(wrong_for(photos, 0), 3)
    one = make_model(tmp_path / "one", photos, answers, history=history_of([1.0], seconds=[9.0]))
    more = make_model(tmp_path / "more", photos, answers)
    answer = asked(study_of(photos, [one, more]), "time per epoch").answer
    assert answer == "more: one takes 4.5 times as long; every epoch of one compiled too"
    other = make_model(tmp_path / "o", photos, answers, history=history_of([1.0], seconds=[3.0]))
    answer = asked(study_of(photos, [one, other]), "time per epoch").answer
    assert answer.startswith("o: one takes 3.0 times as long; every epoch compiled too")


def test_epochs_after_a_stop_do_not_count_when_they_compiled_again(
    photos: Dataset, tmp_path: Path
) -> None:
    rows = history_of([1.0] * 5, seconds=[40.0, 2.0, 30.0, 2.2, 2.1])
    stopped = (*rows[:2], replace(rows[2], compiled=True), *rows[3:])
    model = make_model(tmp_path / "a", photos, sure_of(wrong_for(photos, 0), 3), history=stopped)
    assert epoch_seconds(model) == 2.1


def test_nearly_equal_counts_have_no_winner_when_compared(photos: Dataset, tmp_path: Path) -> None:
    answers = {name: wrong_for(photos, 0) for name in "abc"}
    study = make_study(tmp_path / "runs", photos, answers)
    a, b, c = study.models
    near = replace(b, parameters=replace(b.parameters, trainable=91))
    far = replace(c, parameters=replace(c.parameters, trainable=900))
    criterion = asked(replace(study, models=(a, near, far)), "parameters")
    assert (criterion.best, criterion.answer) == (None, "a and b hardly differ")


def test_nothing_wins_when_there_is_one_model(photos: Dataset, tmp_path: Path) -> None:
    study = make_study(tmp_path / "runs", photos, {"a": wrong_for(photos, 0)})
    assert all(criterion.best is None for criterion in conclude(study))
    assert differences(study) == ()


def test_epoch_counts_although_it_compiles_when_it_is_the_only_one(
    photos: Dataset, tmp_path: Path
) -> None:
    history = history_of([1.0], seconds=[7.0])
    model = make_model(tmp_path / "a", photos, sure_of(wrong_for(photos, 0), 3), history=history)
    assert epoch_seconds(model) == 7.0


def test_holm_multiplies_by_the_tests_that_are_left_when_there_are_several() -> None:
    # Holm 1979: 0.01·3, max(0.03, 0.02·2), max(0.04, 0.5·1).
    assert holm([0.02, 0.5, 0.01]) == pytest.approx((0.04, 0.5, 0.03))
    assert holm([0.9, 0.8]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def test_share_interval_has_a_width_when_every_photo_is_right() -> None:
    # Wilson 1927 with z² = 3.8415: 10 of 10 gives 10 / (10 + z²) to 1.
    low, high = share_interval(10, 10)
    assert low == pytest.approx(0.7225, abs=1e-4)
    assert high == pytest.approx(1.0)
    assert share_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    with pytest.raises(ValueError, match="0 of 0"):
        share_interval(0, 0)
