from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from edgevit.data.dataset import Dataset, SkippedFile
from edgevit.pages.markup import Html
from edgevit.study.overview import evenly, overview
from tests.pages.outline import outline_of
from tests.study.models import gallery_of, make_dataset


def overview_of(dataset: Dataset) -> Html:
    return overview(dataset, lambda split: gallery_of(dataset, split))


def pictures(page: Html) -> list[str]:
    """Return what the pictures of a page show."""
    images = [given for tag, given in outline_of(page).seen if tag == "img"]
    assert all(str(given["src"]).startswith("data:image/jpeg;base64,") for given in images)
    return [str(given["alt"]) for given in images]


def parts(page: Html, style: str) -> int:
    """Return how many bars of a split there are."""
    return sum(given.get("class") == f"part {style}" for _, given in outline_of(page).seen)


def test_overview_counts_photos_and_shows_a_row_per_class_when_there_are_few(
    tmp_path: Path,
) -> None:
    counts = {"cat": (7, 1, 2), "dog": (2, 0, 3), "owl": (3, 1, 1)}
    page = overview_of(make_dataset(tmp_path / "data", counts))
    text = outline_of(page).text()
    assert "20 photos of 3 classes" in text
    assert "Smallest class: dog (and 1 other), 5 photos; largest: cat, 10 photos" in text
    assert "by hand" in text
    assert "No file was left out" in text
    shown = pictures(page)
    assert {name: shown.count(f"A training photo of {name}") for name in counts} == {
        "cat": 5,
        "dog": 2,
        "owl": 3,
    }
    # Twice, wide and narrow, and once in the legend; dog has no validation photo.
    assert [parts(page, style) for style in ("train", "val", "test")] == [7, 5, 7]
    assert "caution" not in page


@pytest.mark.parametrize(("count", "shown"), [(13, 13), (61, 60), (125, 60)])
def test_overview_shows_one_photo_per_class_when_there_are_many(
    tmp_path: Path, count: int, shown: int
) -> None:
    counts = {f"class {i}": (2, 0, 1) for i in range(count)}
    page = overview_of(make_dataset(tmp_path / "data", counts))
    found = pictures(page)
    assert len(found) == len(set(found)) == shown
    text = outline_of(page).text()
    assert (f"evenly chosen from {count}" in text) is (shown < count)
    assert (f"All {count} classes" in text) is (count > 40)
    # A bar per class, or a histogram with one bar, as all are alike; wide and narrow.
    assert outline_of(page).count("table") == (2 if count > 40 else 1)
    assert parts(page, "train") == (2 if count > 40 else 2 * count + 1)


def test_histogram_counts_every_class_once_when_sizes_differ(tmp_path: Path) -> None:
    counts = {f"class {i}": (1 + i % 3, 0, 0) for i in range(45)}
    page = overview_of(make_dataset(tmp_path / "data", counts))
    titles = [f"{size} photos: 15 classes" for size in (1, 2, 3)]
    assert all(page.count(title) == 2 for title in titles)


def test_overview_warns_when_a_class_has_no_photo_to_learn_or_test(tmp_path: Path) -> None:
    counts = {"cat": (2, 0, 0), "dog": (0, 0, 2), "owl": (2, 0, 2), "yak": (2, 0, 0)}
    page = overview_of(make_dataset(tmp_path / "data", counts))
    text = outline_of(page).text()
    assert "1 class without a training photo, which no model can learn: dog." in text
    assert "2 classes without a test photo, of which no accuracy is known: cat and yak." in text
    assert "A training photo of dog" not in page


def test_overview_counts_reasons_when_files_were_left_out(tmp_path: Path) -> None:
    skipped = [
        SkippedFile("a.jpg", "it is damaged (broken data stream)"),
        SkippedFile("b.jpg", "it is damaged (image file is truncated)"),
        SkippedFile("c.jpg", "it is identical to photos/x (1): y.jpg"),
        SkippedFile("d.jpg", "it is identical to photos/z.jpg, which is in the class 'dog'"),
        SkippedFile("e.jpg", "it is too large: 90000×90000 pixels"),
    ]
    text = outline_of(overview_of(make_dataset(tmp_path / "data", skipped=skipped))).text()
    assert "5 files left out" in text
    for expected in (
        "2 files: it is damaged",
        "1 file: it is identical to another file",
        "1 file: it is identical to another file of another class",
        "1 file: it is too large",
    ):
        assert expected in text
    assert "y.jpg" not in text


def test_overview_shows_placeholders_when_the_photos_are_gone(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", {"cat": (2, 0, 1), "dog": (1, 0, 1)})
    for photo in dataset.photos[1:]:
        dataset.photo_path(photo).unlink()
    page = overview_of(dataset)
    assert pictures(page) == [
        "A training photo of cat",
        "A training photo of cat (the photo is gone)",
        "A training photo of dog (the photo is gone)",
    ]


def test_class_names_differ_in_the_chart_when_they_differ_in_their_middle(tmp_path: Path) -> None:
    names = [f"{40 * 'a'} {middle} {40 * 'b'}" for middle in ("one", "two")]
    page = overview_of(make_dataset(tmp_path / "data", dict.fromkeys(names, (1, 0, 0))))
    bars = re.findall(r"</title>(….*?)</text>", page)
    assert len(set(bars)) == len(bars) == 4  # wide and narrow


def test_names_are_shown_as_they_are_when_they_are_long_or_look_like_markup(
    tmp_path: Path,
) -> None:
    names = ["<script>alert(1)</script>", "under_score_" + 80 * "x", "שלום"]
    page = overview_of(make_dataset(tmp_path / "data", dict.fromkeys(names, (1, 1, 0))))
    outline = outline_of(page)
    assert outline.count("script") == 0
    text = outline.text()
    # Shortened in charts and headings, whole in what is shown when one points there.
    assert all(name in text + page for name in names[1:])
    assert names[0] in text


@pytest.mark.parametrize(("count", "wanted"), [(0, 5), (3, 5), (5, 5), (120, 60), (61, 60)])
def test_evenly_spreads_its_indices_when_there_are_more_than_wanted(
    count: int, wanted: int
) -> None:
    chosen = evenly(count, wanted)
    assert len(chosen) == min(count, wanted)
    steps = [after - before for before, after in pairwise([*chosen, count])]
    assert all(step >= 1 for step in steps)
    assert not steps or max(steps) - min(steps) <= 1
