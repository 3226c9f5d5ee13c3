from __future__ import annotations

import numpy as np
import pytest

from edgevit.compare.comparison import (
    Answer,
    Comparison,
    Outcomes,
    compare,
    difference_text,
    verdict,
)
from edgevit.metrics import Labels, Scores

NAMES = ("A", "B")


def scores(*rows: tuple[int, float], class_count: int = 3) -> Scores:
    """Return probabilities that have one label and its probability a row."""
    result = np.zeros((len(rows), class_count), dtype=np.float32)
    for row, (label, probability) in enumerate(rows):
        result[row] = (1 - probability) / (class_count - 1)
        result[row, label] = probability
    return result


def labels(*values: int) -> Labels:
    return np.array(values, dtype=np.int64)


def counted(both: int, only_first: int, only_second: int, neither: int) -> Comparison:
    """Compare two models that are right on so many photos, all of the class 0."""
    first = [(0, 0.9)] * (both + only_first) + [(1, 0.9)] * (only_second + neither)
    second = [(0, 0.9)] * both + [(1, 0.9)] * only_first
    second += [(0, 0.9)] * only_second + [(2, 0.9)] * neither
    return compare(scores(*first), scores(*second), labels(*[0] * len(first)))


def test_outcomes_and_classes_are_counted_when_models_are_compared() -> None:
    truth = labels(0, 0, 0, 1, 1)
    first = scores((0, 0.8), (0, 0.8), (1, 0.8), (1, 0.8), (0, 0.8))
    second = scores((0, 0.8), (1, 0.8), (0, 0.8), (0, 0.8), (1, 0.8))
    found = compare(first, second, truth)
    assert found.outcomes == Outcomes(both_right=1, only_first=2, only_second=2, both_wrong=0)
    assert (found.first.top1, found.second.top1) == (0.6, 0.6)
    assert found.photo_count == 5
    cat, dog, owl = found.classes
    assert (cat.photo_count, cat.first_right, cat.second_right) == (3, 2, 2)
    assert (cat.first_top1, cat.difference_points) == (pytest.approx(2 / 3), 0.0)
    assert (dog.photo_count, dog.first_top1, dog.second_top1) == (2, 0.5, 0.5)
    assert (owl.photo_count, owl.first_top1, owl.second_top1) == (0, None, None)
    assert owl.difference_points is None
    assert found.empty_classes == (owl,)


def test_classes_are_ordered_by_photos_when_they_differ() -> None:
    # Class 0: one photo of one. Class 1: two of three. Class 2: equal. Class 3: no photo.
    truth = labels(0, 1, 1, 1, 2)
    first = scores((0, 0.8), (0, 0.8), (0, 0.8), (1, 0.8), (2, 0.8), class_count=4)
    second = scores((1, 0.8), (1, 0.8), (1, 0.8), (1, 0.8), (2, 0.8), class_count=4)
    found = compare(first, second, truth)
    assert [item.label for item in found.classes_by_difference()] == [1, 0, 2, 3]
    assert [item.label for item in found.differing_classes()] == [1, 0]
    assert found.classes_by_difference()[0].difference_points == pytest.approx(-200 / 3)


def test_disagreements_begin_with_the_surest_mistake_when_only_one_is_right() -> None:
    truth = labels(0, 0, 0, 0, 0)
    first = scores((1, 0.99), (0, 0.6), (1, 0.7), (0, 0.9), (0, 0.5))
    second = scores((2, 0.5), (1, 0.8), (0, 0.6), (0, 0.9), (2, 0.95))
    found = compare(first, second, truth).disagreements
    # Both are wrong on photo 0, however sure of it; on photo 3 they agree.
    assert [item.index for item in found] == [4, 1, 2, 0]
    assert [item.right for item in found] == ["first", "first", "second", "neither"]
    assert [item.wrong_probability for item in found] == pytest.approx([0.95, 0.8, 0.7, 0.99])
    assert found[0].truth == 0
    assert found[0].answers == (Answer(0, 0.5), Answer(2, pytest.approx(0.95)))


def test_better_model_is_named_when_chance_does_not_explain_it() -> None:
    found = counted(both=80, only_first=12, only_second=3, neither=5)
    assert found.paired.mcnemar_p == pytest.approx(0.0352, abs=5e-5)
    text = "A is more accurate: 12 photos only it gets right, 3 only B (McNemar's p 0.035)"
    assert verdict(found, NAMES) == text
    other_way = counted(both=80, only_first=3, only_second=12, neither=5)
    assert verdict(other_way, NAMES) == text.replace("A", "*").replace("B", "A").replace("*", "B")


def test_no_model_is_named_when_chance_explains_the_difference() -> None:
    assert verdict(counted(both=140, only_first=1, only_second=3, neither=8), NAMES) == (
        "No difference is shown: 1 photo only A gets right, 3 only B (McNemar's p 0.62); 152 "
        "photos cannot show a difference of fewer than 6 of them (3.95 points)"
    )


def test_verdict_says_what_cannot_be_shown_when_both_get_the_same_photos_right() -> None:
    assert verdict(counted(both=3, only_first=0, only_second=0, neither=2), NAMES) == (
        "No difference is shown: both get the same photos right; 5 photos cannot show a difference"
    )


def test_fewest_photos_of_the_verdict_are_enough_when_one_model_has_all_of_them() -> None:
    enough = counted(both=94, only_first=6, only_second=0, neither=0)
    assert verdict(enough, NAMES).startswith("A is more accurate")
    too_few = counted(both=0, only_first=5, only_second=0, neither=0)
    assert verdict(too_few, NAMES).startswith("No difference is shown")


def test_exact_test_decides_when_the_interval_leaves_out_zero() -> None:
    found = counted(both=95, only_first=5, only_second=0, neither=0)
    assert found.paired.drop_points_low > 0
    assert found.paired.mcnemar_p > 0.05
    text = verdict(found, NAMES)
    assert text.startswith("No difference is shown")
    assert text.endswith("leaves out 0 is not enough: the exact test decides")


def test_difference_has_its_interval_when_it_is_written() -> None:
    text = difference_text(counted(both=80, only_first=3, only_second=12, neither=5))
    assert text == "−9.00 (−16.32 to −1.33)"


def test_comparison_is_refused_when_there_is_no_photo() -> None:
    with pytest.raises(ValueError, match="0 labels"):
        compare(scores(), scores(), labels())
