from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.study.classes import class_accuracies, class_table
from tests.pages.outline import outline_of
from tests.study.models import make_dataset, make_study

COUNTS = {"cat": (1, 0, 4), "dog": (1, 0, 0), "owl": (1, 0, 2)}


def test_class_accuracies_are_shares_of_the_class_when_models_err(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", COUNTS)
    # Four cats, then two owls.
    answers = {"a": [0, 0, 0, 2, 2, 2], "b": [0, 0, 0, 0, 0, 1]}
    cat, dog, owl = class_accuracies(make_study(tmp_path / "runs", dataset, answers))
    assert (cat.label, cat.name, cat.photo_count, cat.top1) == (0, "cat", 4, (0.75, 1.0))
    assert (owl.label, owl.photo_count, owl.top1) == (2, 2, (1.0, 0.0))
    assert (dog.photo_count, dog.top1, dog.spread) == (0, (None, None), None)
    assert cat.spread == pytest.approx(0.25)


def test_class_table_names_untested_classes_and_warns_when_photos_are_few(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", COUNTS)
    answers = {"a": [0, 0, 0, 2, 2, 2], "b": [0, 0, 0, 0, 0, 1]}
    page = class_table(make_study(tmp_path / "runs", dataset, answers))
    outline = outline_of(page)
    assert "1 class has no test photo and no accuracy: dog." in outline.text()
    assert "The median class has 2 test photos" in outline.text()
    assert "worth 50 percentage points" in outline.text()
    rows = page.split("<tr")[2:]
    assert len(rows) == 3
    # Two models and their spread.
    assert [row.count(">–<") for row in rows] == [0, 3, 0]
    # Wide and narrow: a mark for each model on the line of each tested class, one in the legend.
    marks = [g for _, g in outline.seen if (g.get("class") or "").startswith("model ")]
    assert len(marks) == 2 * (2 * 2 + 1)


def test_few_photos_are_not_mentioned_when_classes_have_ten(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", dict.fromkeys("ab", (1, 0, 10)))
    page = class_table(make_study(tmp_path / "runs", dataset, {"a": [0] * 20}))
    text = outline_of(page).text()
    assert "mean little" not in text
    assert "no test photo" not in text
    assert "Spread" not in text  # of a single model


def test_plot_shows_the_classes_that_models_differ_on_when_there_are_many(tmp_path: Path) -> None:
    counts = {f"class {i}": (1, 0, 1) for i in range(44)}
    dataset = make_dataset(tmp_path / "data", counts)
    right = list(range(44))
    other = [7, 1, 2, 3, 4, 5, 6, 0, *range(8, 44)]
    study = make_study(tmp_path / "runs", dataset, {"a": right, "b": other})
    page = class_table(study)
    assert (
        "The 2 of 44 classes on which the models differ, the easiest first"
        in outline_of(page).text()
    )
    figure = page[page.index("<figure") : page.index("</figure>")]
    assert "<title>class 0, 1 test photo" in figure
    assert "<title>class 7, 1 test photo" in figure
    assert "<title>class 8, 1 test photo" not in figure
    details = next(given for tag, given in outline_of(page).seen if tag == "details")
    assert "open" not in details
    alike = class_table(make_study(tmp_path / "more", dataset, {"a": right, "b": right}))
    assert "<figure" not in alike
    assert "No class tells the models apart" in alike


def test_plot_shows_the_hardest_classes_when_one_model_has_many(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", {f"class {i}": (1, 0, 1) for i in range(44)})
    study = make_study(tmp_path / "runs", dataset, {"a": [*range(43), 0]})
    page = class_table(study)
    assert "The 40 of 44 classes known the least" in outline_of(page).text()
    assert "<title>class 43, 1 test photo" in page[: page.index("</figure>")]


def test_headings_and_lines_differ_when_names_differ_in_their_middle(tmp_path: Path) -> None:
    names = [f"{20 * 'a'}-{middle}-{20 * 'b'}" for middle in ("one", "two")]
    dataset = make_dataset(tmp_path / "data", dict.fromkeys(names, (1, 0, 1)))
    study = make_study(tmp_path / "runs", dataset, {name: [0, 1] for name in names})
    texts = set(outline_of(class_table(study)).texts)
    for middle in ("one", "two"):
        heading = f"…{middle}-{6 * 'b'}…{12 * 'b'}"
        wide, narrow = f"…{middle}-{20 * 'b'}", f"…{middle}-{3 * 'b'}…{8 * 'b'}"
        assert {heading, wide, narrow} <= texts


def test_names_are_shown_as_they_are_when_they_look_like_markup(tmp_path: Path) -> None:
    name = "<i>x</i>&" + 40 * "y"
    dataset = make_dataset(tmp_path / "data", {name: (1, 0, 1), "b": (1, 0, 1)})
    page = class_table(make_study(tmp_path / "runs", dataset, {"<b>": [0, 1]}))
    outline = outline_of(page)
    assert outline.count("i") == outline.count("b") == 0
    assert name in outline.text()
    assert "<b>" in outline.text()
