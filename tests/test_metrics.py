from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from edgevit.metrics import (
    PairedDrop,
    claim,
    images_for_claim,
    least_claim_points,
    paired_drop,
    unpaired_half_width_points,
)


def drop_of(newly_wrong: int, newly_right: int, count: int, both_wrong: int = 0) -> PairedDrop:
    """Compare real scores with those flips; ``both_wrong`` go from one wrong label to another."""
    labels = np.zeros(count, dtype=np.int64)
    reference, candidate = labels.copy(), labels.copy()
    candidate[:newly_wrong] = 1
    reference[newly_wrong : newly_wrong + newly_right] = 1
    other = slice(newly_wrong + newly_right, newly_wrong + newly_right + both_wrong)
    reference[other], candidate[other] = 1, 2
    scores = np.eye(3, dtype=np.float32)
    return paired_drop(scores[reference], scores[candidate], labels)


def test_drop_counts_each_kind_of_flip_when_there_are_all() -> None:
    drop = drop_of(3, 1, 50, both_wrong=2)
    assert (drop.newly_wrong, drop.newly_right, drop.flips, drop.image_count) == (3, 1, 6, 50)
    assert drop.drop_points == pytest.approx(4)
    assert drop.agreement == pytest.approx(44 / 50)


@pytest.mark.parametrize("flips", [0, 1, 2, 3331, 9999, 10000])
def test_flips_are_whole_when_agreement_is_a_float(flips: int) -> None:
    assert drop_of(flips, 0, 10000).flips == flips


def test_comparison_is_refused_when_there_are_no_images() -> None:
    scores = np.zeros((0, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="for 0 labels"):
        paired_drop(scores, scores, np.zeros(0, dtype=np.int64))


@pytest.mark.parametrize(
    ("newly_wrong", "newly_right", "count"), [(30, 12, 1000), (8, 20, 600), (60, 60, 1500)]
)
def test_interval_is_a_bootstraps_when_flips_are_many(
    newly_wrong: int, newly_right: int, count: int
) -> None:
    drop = drop_of(newly_wrong, newly_right, count)
    lost = np.zeros(count)
    lost[:newly_wrong], lost[newly_wrong : newly_wrong + newly_right] = 1, -1
    drawn = np.random.default_rng(0).integers(0, count, (4000, count))
    low, high = np.percentile(100 * lost[drawn].mean(axis=1), [2.5, 97.5])
    assert drop.drop_points_low == pytest.approx(low, abs=0.12)
    assert drop.drop_points_high == pytest.approx(high, abs=0.12)


@pytest.mark.parametrize(("lost", "gained", "count"), [(0.03, 0.01, 150), (0.005, 0.005, 400)])
def test_interval_holds_the_true_drop_when_drawn_often(
    lost: float, gained: float, count: int
) -> None:
    cells = np.random.default_rng(0).multinomial(count, [lost, gained, 1 - lost - gained], 1000)
    drops = [drop_of(wrong, right, count) for wrong, right, _ in cells.tolist()]
    truth = 100 * (lost - gained)
    held = [drop.drop_points_low <= truth <= drop.drop_points_high for drop in drops]
    assert np.mean(held) >= 0.94


@pytest.mark.parametrize(
    ("newly_wrong", "newly_right", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (0, 5, 2 / 2**5),
        (5, 0, 2 / 2**5),
        (1, 9, 2 * (1 + 10) / 2**10),
        (4, 4, 1.0),
    ],
)
def test_mcnemar_is_exact_when_counted_by_hand(
    newly_wrong: int, newly_right: int, expected: float
) -> None:
    # Flips from wrong to wrong say nothing about which model is better.
    assert drop_of(newly_wrong, newly_right, 20, 3).mcnemar_p == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("newly_wrong", "newly_right"), [(37, 21), (300, 411), (2500, 2700)])
def test_mcnemar_is_the_binomial_test_when_flips_are_many(
    newly_wrong: int, newly_right: int
) -> None:
    drop = drop_of(newly_wrong, newly_right, 6000)
    expected = binomtest(newly_wrong, newly_wrong + newly_right).pvalue
    assert drop.mcnemar_p == pytest.approx(expected, rel=1e-8)


def test_mcnemar_is_small_and_finite_when_all_of_many_flip_one_way() -> None:
    assert drop_of(5000, 0, 5000).mcnemar_p == 0.0
    assert drop_of(900, 0, 900).mcnemar_p == pytest.approx(2.0**-899)


@pytest.mark.parametrize("count", [1, 12, 100, 192, 8580])
def test_least_claim_is_the_interval_when_nothing_flips(count: int) -> None:
    drop = drop_of(0, 0, count)
    assert drop.drop_points_low == -drop.drop_points_high
    assert least_claim_points(count) == drop.drop_points_high
    assert least_claim_points(count) == pytest.approx(195.9964 / (count + 2))


@pytest.mark.parametrize("points", [0.01, 0.1, 0.3, 0.5, 1, 2.5, 60])
def test_images_are_the_fewest_when_a_claim_is_asked_for(points: float) -> None:
    count = images_for_claim(points)
    assert least_claim_points(count) <= points < least_claim_points(count - 1)


@pytest.mark.parametrize("count", [1, 2, 100, 651, 652, 10**6])
def test_images_are_those_of_the_least_claim_when_asked_back(count: int) -> None:
    assert images_for_claim(least_claim_points(count)) == count


def test_images_are_one_when_any_drop_may_be_claimed() -> None:
    assert images_for_claim(100) == 1


@pytest.mark.parametrize("points", [0.0, -1.0, math.nan])
def test_images_are_refused_when_no_number_is_enough(points: float) -> None:
    with pytest.raises(ValueError, match="can never be shown"):
        images_for_claim(points)


@pytest.mark.parametrize(
    ("drop", "points", "expected"),
    [
        (
            drop_of(0, 0, 100),
            0.3,
            "100 images cannot show that the drop is at most 0.3 points: even without a single "
            "flip the interval would reach +1.92; 652 images could",
        ),
        (
            # One image short: as many decimals as show it.
            drop_of(0, 0, 651),
            0.3,
            "651 images cannot show that the drop is at most 0.3 points: even without a single "
            "flip the interval would reach +0.3001; 652 images could",
        ),
        (drop_of(0, 0, 652), 0.3, "the drop is at most 0.3 points (95 %)"),
        (
            drop_of(1, 0, 652),
            0.3,
            "not shown that the drop is at most 0.3 points: the interval reaches +0.58",
        ),
        (drop_of(1, 0, 652), 1, "the drop is at most 1 point (95 %)"),
        (
            drop_of(0, 0, 1),
            0.1,
            "1 image cannot show that the drop is at most 0.1 points: even without a single "
            "flip the interval would reach +65.33; 1,958 images could",
        ),
        (
            drop_of(0, 0, 8580),
            0,
            "8,580 images cannot show that the drop is at most 0 points: even without a single "
            "flip the interval would reach +0.02; no number of images could",
        ),
        # A model that is better need not wait for more images.
        (drop_of(0, 20, 100), 0.3, "the drop is at most 0.3 points (95 %)"),
    ],
)
def test_claim_goes_by_the_interval_when_made(
    drop: PairedDrop, points: float, expected: str
) -> None:
    assert claim(drop, points) == expected


def test_unpaired_interval_is_wider_when_the_flips_are_the_same() -> None:
    paired = drop_of(3, 1, 200)
    half_width = (paired.drop_points_high - paired.drop_points_low) / 2
    assert unpaired_half_width_points(0.95, 0.94, 200) > 2 * half_width


def test_unpaired_interval_has_a_width_when_all_answers_are_right() -> None:
    # 13 of 14 are right, twice.
    expected = 100 * 1.959964 * math.sqrt(2 * (13 / 14) * (1 / 14) / 14)
    assert unpaired_half_width_points(1.0, 1.0, 12) == pytest.approx(expected)
