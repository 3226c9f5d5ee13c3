from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgevit.data import demo
from edgevit.data.folders import list_folders
from edgevit.data.limits import DEMO_CLASSES
from edgevit.errors import InputError


def draw(label: int, index: int, seed: int = 0, class_count: int = 12) -> np.ndarray:
    return np.asarray(demo.photo(label, index, class_count=class_count, size=48, seed=seed))


def test_photo_is_the_same_when_drawn_again() -> None:
    assert np.array_equal(draw(3, 5), draw(3, 5))


def test_photo_differs_when_label_index_or_seed_differ() -> None:
    photos = [draw(3, 5), draw(4, 5), draw(3, 6), draw(3, 5, seed=1)]
    for index, photo in enumerate(photos):
        assert all(not np.array_equal(photo, other) for other in photos[:index])


def test_photo_is_neither_black_nor_white_when_drawn() -> None:
    for label in range(12):
        photo = draw(label, 0)
        assert 30 < photo.mean() < 225
        assert photo.std() > 10


@pytest.mark.parametrize("class_count", [2, 3, 12, DEMO_CLASSES.high])
def test_class_names_differ_when_there_are_many(class_count: int) -> None:
    names = demo.class_names(class_count)
    assert len(set(names)) == class_count
    assert len({demo.look_of(label) for label in range(class_count)}) == class_count


def test_class_names_exercise_labels_when_there_are_four_classes() -> None:
    text = "|".join(demo.class_names(4))
    assert "é" in text
    assert "," in text
    assert " " in text


@pytest.mark.parametrize(("label", "neighbours"), [(0, (1, 4)), (2, (1, 3)), (4, (3, 0))])
def test_draw_look_mixes_only_with_neighbours_when_it_makes_hybrids(
    label: int, neighbours: tuple[int, int]
) -> None:
    random = np.random.default_rng(0)
    looks = [demo.draw_look(random, label, class_count=5) for _ in range(20_000)]
    own = demo.look_of(label)
    hybrids = [look for look in looks if look != own]
    # One hybrid in eight takes everything from its own class.
    assert abs(len(hybrids) / len(looks) - demo.HYBRID_SHARE * 7 / 8) < 0.005
    others = [demo.look_of(neighbour) for neighbour in neighbours]
    assert {look.palette for look in hybrids} == {own.palette, *(o.palette for o in others)}
    assert {look.shape for look in hybrids} == {own.shape, *(o.shape for o in others)}


def test_write_demo_gives_the_same_bytes_when_repeated(tmp_path: Path) -> None:
    for name in ("1", "2"):
        demo.write_demo(tmp_path / name, class_count=4, per_class=5, size=32, seed=7)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.jpg"))
    assert len(files) == 20
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_write_demo_is_a_folder_per_class_when_listed(tmp_path: Path) -> None:
    record = demo.write_demo(tmp_path / "demo", class_count=5, per_class=5, size=16, seed=0)
    listing = list_folders(tmp_path / "demo")
    assert listing.classes == tuple(sorted(record.classes))
    assert len(listing.candidates) == 25
    assert listing.skipped == ()


def test_write_demo_replaces_only_demo_sets_when_forced(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    for force in (False, True):
        demo.write_demo(out, class_count=2, per_class=5, size=16, seed=0, force=force)
    (tmp_path / "home" / "precious").mkdir(parents=True)
    with pytest.raises(InputError, match="holds other things"):
        demo.write_demo(tmp_path / "home", class_count=2, per_class=5, size=16, seed=0, force=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_count": 1}, "--classes is 1"),
        ({"class_count": 121}, "--classes is 121"),
        ({"per_class": 4}, "--per-class is 4"),
        ({"size": 8}, "--size is 8"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 2**32}, "--seed is 4294967296"),
    ],
)
def test_write_demo_refuses_when_a_number_is_out_of_range(
    tmp_path: Path, change: dict[str, int], message: str
) -> None:
    arguments = {"class_count": 2, "per_class": 5, "size": 16, "seed": 0, **change}
    with pytest.raises(InputError, match=message):
        demo.write_demo(tmp_path / "demo", **arguments)
    assert os.listdir(tmp_path) == []
