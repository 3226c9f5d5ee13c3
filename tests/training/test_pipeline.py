from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevit.training.pipeline import Examples, batches, epoch_order, steps_per_epoch

pytest.importorskip("tensorflow")


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    """Ten photos; every pixel of photo i has the value i, and its label is 100 + i."""
    pixels = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None, None], (10, 4, 4, 3))
    np.save(tmp_path / "train.npy", pixels)
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    return Examples(mapped, np.arange(100, 110, dtype=np.int64))


def test_every_photo_is_used_once_when_an_epoch_ends(examples: Examples) -> None:
    order = epoch_order(10, seed=1, epoch=0)
    seen: list[int] = []
    for pixels, labels, weights in batches(examples, order, 4):
        assert pixels.shape == (4, 4, 4, 3)
        counted = weights.numpy() == 1
        np.testing.assert_array_equal(pixels.numpy()[:, 0, 0, 0] + 100, labels.numpy())
        seen += labels.numpy()[counted].tolist()

    assert seen == (order + 100).tolist()


def test_last_batch_is_filled_up_with_weightless_photos_when_incomplete(
    examples: Examples,
) -> None:
    order = epoch_order(10, seed=1, epoch=0)
    *_, (_, labels, weights) = batches(examples, order, 4)

    assert weights.numpy().tolist() == [1, 1, 0, 0]
    assert labels.numpy()[2:].tolist() == (order[:2] + 100).tolist()


def test_batch_is_filled_up_when_larger_than_the_whole_set(examples: Examples) -> None:
    ((_, labels, weights),) = batches(examples, np.arange(3), 8)

    assert weights.numpy().tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert labels.numpy().tolist() == [100, 101, 102, 100, 101, 102, 100, 101]


def test_skipped_batches_change_nothing_else_when_resuming(examples: Examples) -> None:
    order = epoch_order(10, seed=1, epoch=3)
    whole = [labels.numpy().tolist() for _, labels, _ in batches(examples, order, 4)]

    for first in range(4):
        rest = [b[1].numpy().tolist() for b in batches(examples, order, 4, first=first)]
        assert rest == whole[first:]


def test_order_differs_when_epoch_or_seed_does() -> None:
    first = epoch_order(50, seed=1, epoch=0).tolist()

    assert first == epoch_order(50, seed=1, epoch=0).tolist()
    assert first != epoch_order(50, seed=1, epoch=1).tolist()
    assert first != epoch_order(50, seed=2, epoch=0).tolist()
    assert sorted(first) == list(range(50))


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (4, 1), (5, 2), (8, 2)])
def test_steps_round_up_when_the_last_batch_is_incomplete(count: int, expected: int) -> None:
    assert steps_per_epoch(count, 4) == expected
