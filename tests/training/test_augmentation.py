from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevit.errors import InputError
from edgevit.training import augmentation
from edgevit.training.augmentation import NAMES

tf = pytest.importorskip("tensorflow")


def drawn(names: tuple[str, ...], seed: int = 3, step: int = 5, count: int = 64) -> Any:
    return augmentation.transforms(names, count, 8, 8, seed, tf.constant(step)).numpy()


def photos(count: int = 64) -> Any:
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", ()),
        ("flip", ("flip",)),
        ("zoom, flip", ("flip", "zoom")),
        ("FLIP,rotation,zoom,flip", NAMES),
    ],
)
def test_parse_gives_names_in_order_when_valid(text: str, expected: tuple[str, ...]) -> None:
    assert augmentation.parse(text) == expected


@pytest.mark.parametrize("text", ["", "mixup", "flip,none", "flip,,zoom"])
def test_parse_lists_the_valid_names_when_one_is_unknown(text: str) -> None:
    with pytest.raises(InputError, match="flip, rotation, zoom"):
        augmentation.parse(text)


def test_transforms_are_the_same_when_seed_and_step_are() -> None:
    np.testing.assert_array_equal(drawn(NAMES), drawn(NAMES))
    assert not np.array_equal(drawn(NAMES), drawn(NAMES, step=6))
    assert not np.array_equal(drawn(NAMES), drawn(NAMES, seed=4))


def test_photos_stay_as_they_are_when_nothing_is_drawn() -> None:
    images = photos()

    np.testing.assert_array_equal(augmentation.resample(images, drawn(())), images)


def test_photos_are_kept_or_mirrored_exactly_when_only_flipped() -> None:
    images = photos()
    result = augmentation.resample(images, drawn(("flip",))).numpy()

    mirrored = [np.array_equal(r, i[:, ::-1]) for r, i in zip(result, images, strict=True)]
    kept = [np.array_equal(r, i) for r, i in zip(result, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_angles_and_zooms_stay_in_range_when_many_are_drawn() -> None:
    rotated, zoomed = drawn(("rotation",), count=2000), drawn(("zoom",), count=2000)

    degrees = np.degrees(np.arctan2(rotated[:, 3], rotated[:, 0]))
    assert 7.0 < np.abs(degrees).max() <= 7.2001
    for column in (0, 4):
        assert 0.8 <= zoomed[:, column].min() < 0.81
        assert 1.19 < zoomed[:, column].max() <= 1.2
    assert abs(np.corrcoef(zoomed[:, 0], zoomed[:, 4])[0, 1]) < 0.1


def test_centre_stays_in_place_when_everything_is_drawn() -> None:
    maps = drawn(NAMES).reshape(-1, 8)
    centre = np.array([3.5, 3.5, 1.0], dtype=np.float32)

    np.testing.assert_allclose(maps[:, 0:3] @ centre, 3.5, atol=1e-5)
    np.testing.assert_allclose(maps[:, 3:6] @ centre, 3.5, atol=1e-5)


def test_values_stay_in_range_when_everything_is_drawn() -> None:
    result = augmentation.resample(photos(), drawn(NAMES)).numpy()

    assert result.min() >= 0.0
    assert result.max() <= 255.0
