from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from edgevit.data.splits import assign, assign_official, check_shares, split_counts
from edgevit.errors import InputError


def hashes(count: int) -> list[str]:
    return [hashlib.sha256(str(index).encode()).hexdigest() for index in range(count)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 1)), (10, (1, 2)), (75, (8, 15))],
)
def test_split_counts_keeps_training_photos_when_a_class_is_small(
    count: int, expected: tuple[int, int]
) -> None:
    assert split_counts(count, val_share=0.1, test_share=0.2) == expected


@pytest.mark.parametrize("count", range(3, 40))
@pytest.mark.parametrize(("val", "test"), [(0.05, 0.05), (0.1, 0.8), (0.45, 0.45)])
def test_split_counts_leaves_no_split_empty_when_there_are_three_photos(
    count: int, val: float, test: float
) -> None:
    val_count, test_count = split_counts(count, val, test)
    assert val_count >= 1
    assert test_count >= 1
    assert count - val_count - test_count >= 1


def test_split_counts_is_zero_when_a_share_is_zero() -> None:
    assert split_counts(50, 0.0, 0.2) == (0, 10)
    assert split_counts(50, 0.1, 0.0) == (5, 0)


def test_assign_gives_the_same_split_when_the_order_changes() -> None:
    photos = hashes(50)
    forwards = assign(photos, val_share=0.1, test_share=0.2, seed=3)
    backwards = assign(photos[::-1], val_share=0.1, test_share=0.2, seed=3)
    assert forwards == backwards
    assert Counter(forwards.values()) == {"train": 35, "val": 5, "test": 10}


def test_assign_gives_another_split_when_the_seed_changes() -> None:
    first = assign(hashes(50), val_share=0.1, test_share=0.2, seed=0)
    assert first != assign(hashes(50), val_share=0.1, test_share=0.2, seed=1)


def test_assign_moves_at_most_two_photos_when_one_is_added() -> None:
    photos = hashes(81)
    before = assign(photos[:80], val_share=0.1, test_share=0.2, seed=0)
    after = assign(photos, val_share=0.1, test_share=0.2, seed=0)
    assert sum(before[sha256] != after[sha256] for sha256 in before) <= 2


def test_assign_official_keeps_the_test_photos_when_the_list_names_them() -> None:
    names = hashes(30)
    official = {sha256: "test" if i < 10 else "train" for i, sha256 in enumerate(names)}
    result = assign_official(official, val_share=0.1, seed=0)  # type: ignore[arg-type]
    assert all(result[sha256] == "test" for sha256 in names[:10])
    assert Counter(result.values()) == {"train": 18, "val": 2, "test": 10}


@pytest.mark.parametrize(
    ("val", "test"), [(-0.1, 0.2), (0.1, 1.0), (0.6, 0.6), (float("nan"), 0.2)]
)
def test_check_shares_refuses_when_nothing_is_left_to_train_on(val: float, test: float) -> None:
    with pytest.raises(InputError, match="share"):
        check_shares(val, test)
