"""Who goes into which split: per class, by hash, so that neither order nor growth reshuffles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from edgevit.data.dataset import SplitName
from edgevit.errors import InputError
from edgevit.storage import sha256_of_bytes


def check_shares(val_share: float, test_share: float) -> None:
    """Refuse shares that leave nothing to train on.

    Raises:
        InputError: if a share is negative, not a number, or both together are 0.9 or more.
    """
    for name, share in (("--val-share", val_share), ("--test-share", test_share)):
        if not 0 <= share < 1:
            raise InputError(f"{name} is {share}", "Give a share from 0 to below 1")
    if val_share + test_share > 0.9:
        raise InputError(
            f"--val-share {val_share} and --test-share {test_share} leave too little to train on",
            "Keep their sum at 0.9 or less",
        )


def split_counts(count: int, val_share: float, test_share: float) -> tuple[int, int]:
    """Return how many of a class's photos go to validation and to test.

    A share is rounded to the nearest whole number, halves upwards, and is at least one photo
    unless the share is 0. At least one photo always stays for training: with two photos the
    second goes to test, with one there is neither.
    """
    test = min(_rounded(count, test_share), count - 1)
    val = min(_rounded(count, val_share), count - 1 - test)
    if val == 0 and val_share > 0 and test > 1:
        return 1, test - 1
    return val, test


def assign(
    hashes: Sequence[str], *, val_share: float, test_share: float, seed: int
) -> dict[str, SplitName]:
    """Split one class's photos.

    Photos are ranked by a hash of the seed and their own hash; the first go to test, the next to
    validation and the rest to training. So the order of the files does not matter, and a photo
    that is added later moves at most the photos at a border.

    Args:
        hashes: SHA-256 of each photo, all different.
        val_share: 0–1.
        test_share: 0–1.
        seed: Another seed gives another split.

    Returns:
        The split of each hash.
    """
    ranked = sorted(hashes, key=lambda sha256: sha256_of_bytes(f"{seed}:{sha256}".encode()))
    val_count, test_count = split_counts(len(ranked), val_share, test_share)
    result: dict[str, SplitName] = {}
    for rank, sha256 in enumerate(ranked):
        if rank < test_count:
            result[sha256] = "test"
        else:
            result[sha256] = "val" if rank < test_count + val_count else "train"
    return result


def assign_official(
    official: Mapping[str, Literal["train", "test"]], *, val_share: float, seed: int
) -> dict[str, SplitName]:
    """Keep the official test photos and split the official training photos of one class."""
    training = [sha256 for sha256, split in official.items() if split == "train"]
    result = assign(training, val_share=val_share, test_share=0.0, seed=seed)
    result.update({sha256: "test" for sha256, split in official.items() if split == "test"})
    return result


def describe(val_share: float, test_share: float | None) -> str:
    """Say the rule in words; ``None`` stands for the official test list."""
    if test_share is None:
        return f"official test list; per class, {val_share:g} of the official training list to val"
    return f"per class, by hash: {test_share:g} to test, {val_share:g} to val, the rest to train"


def _rounded(count: int, share: float) -> int:
    return max(1, int(count * share + 0.5)) if share > 0 else 0
