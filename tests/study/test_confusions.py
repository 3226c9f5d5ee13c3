from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevit.study.confusions import PAIRS, confused_pairs, confusion_section
from edgevit.study.study import Study
from tests.pages.outline import outline_of
from tests.study.models import (
    gallery_of,
    make_dataset,
    make_model,
    make_study,
    study_of,
    sure_of,
)


def section(study: Study) -> str:
    test, train = (gallery_of(study.dataset, split) for split in ("test", "train"))
    return confusion_section(study, test, train)


def test_confused_pairs_are_counted_both_ways_when_classes_are_mixed_up() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    answers = [1, 1, 1, 0, 0, 1, 2, 2]
    scores = sure_of(answers, 3)
    scores[:3, 1] = 0.5, 0.9, 0.7
    first, second = confused_pairs(scores, labels, 3, 6)
    assert (first.true, first.predicted, first.count, first.true_count) == (0, 1, 3, 4)
    assert first.share == pytest.approx(0.75)
    assert first.reverse_count == 1
    # The surest first.
    assert first.photos == (1, 2, 0)
    assert (second.true, second.predicted, second.count, second.reverse_count) == (1, 0, 1, 3)
    assert confused_pairs(scores, labels, 3, 1) == (first,)


def test_ties_go_by_share_then_certainty_then_label_when_counts_are_equal() -> None:
    labels = np.array([0, 1, 2, 3, 3])
    scores = sure_of([1, 2, 3, 0, 3], 4, certainty=0.7)
    scores[2, 3], scores[3, 0] = 0.9, 0.95
    pairs = [(pair.true, pair.predicted) for pair in confused_pairs(scores, labels, 4, 6)]
    # 3 → 0 is but one photo of two; of the others the model was the surest of 2 → 3.
    assert pairs == [(2, 3), (0, 1), (1, 2), (3, 0)]


def test_nothing_is_confused_when_all_answers_are_right() -> None:
    labels = np.array([0, 1, 2])
    assert confused_pairs(sure_of([0, 1, 2], 3), labels, 3, 6) == ()


def test_section_shows_wrong_photos_beside_the_class_they_were_taken_for(tmp_path: Path) -> None:
    counts = {"cat": (3, 0, 5), "dog": (1, 0, 1), "owl": (0, 0, 1)}
    dataset = make_dataset(tmp_path / "data", counts)
    scores = sure_of([1, 1, 1, 1, 0, 2, 2], 3)
    scores[:4, 1] = 0.6, 0.99, 0.7, 0.004
    scores[3] = 0.003, 0.004, 0.002
    study = study_of(dataset, [make_model(tmp_path / "runs" / "a", dataset, scores)])
    page = section(study)
    text = outline_of(page).text()
    assert "5 of 7 test photos wrong, over 2 pairs of classes." in text
    assert "most confused" not in text  # all are shown
    assert "4 of 5 photos (80 %); the other way round 0" in text
    first, second = page.split("<article")[1:]
    assert first.count("A test photo of cat, taken for dog") == 3
    assert first.count("A training photo of dog") == 1
    assert first.index(">99 %<") < first.index(">70 %<") < first.index(">60 %<")
    # There is no training photo of what the dog was taken for.
    assert second.count("<img") == 1


def test_section_says_so_when_a_model_is_always_right(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    labels = dataset.split("test").labels().tolist()
    page = section(make_study(tmp_path / "runs", dataset, {"good": labels, "bad": labels[::-1]}))
    assert "All 9 test photos right" in page
    assert "6 of 9 test photos wrong" in page


def test_section_shows_few_pairs_when_many_are_confused(tmp_path: Path) -> None:
    counts = {f"class {i}": (1, 0, 1) for i in range(20)}
    dataset = make_dataset(tmp_path / "data", counts)
    study = make_study(tmp_path / "runs", dataset, {"a": [*range(1, 20), 0]})
    page = section(study)
    assert page.count("<article") == PAIRS
    assert "over 20 pairs of classes. The 6 most confused:" in page


def test_section_says_so_when_there_is_no_test_photo(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", {"cat": (1, 0, 0), "dog": (1, 0, 0)})
    assert "no test photo" in section(study_of(dataset, ()))


def test_names_are_shown_as_they_are_when_they_look_like_markup(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", {"<b>x": (1, 0, 1), "y" * 90: (1, 0, 1)})
    page = section(make_study(tmp_path / "runs", dataset, {"<u>": [1, 0]}))
    outline = outline_of(page)
    assert outline.count("b") == outline.count("u") == 0
    assert "<u>" in outline.text()
    assert any(given.get("title") == f"<b>x → {'y' * 90}" for _, given in outline.seen)
