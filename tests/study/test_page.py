from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevit.bench.protocol import Repeats
from edgevit.bench.result import BenchRow
from edgevit.data.dataset import Dataset
from edgevit.study.conclusion import conclude
from edgevit.study.page import build_study_page
from edgevit.study.study import Study
from edgevit.study.writing import build_study_markdown, conclusion_lines, write_study
from tests.bench.results import measurement, result, row
from tests.pages.browser import Browser
from tests.pages.outline import outline_of
from tests.study.models import make_dataset, make_study

HOSTILE = "<script>document.title = 'attacked'</script>"


def with_exports(study: Study) -> Study:
    """Return the study with two measured exports of each model, and one that failed."""
    rows = [
        row(
            f"{model.name}.tflite.{precision}",
            run_name=model.name,
            run_sha256=model.run.sha256,
            precision=precision,
            p50_ms=milliseconds * (index + 1),
            size_bytes=1_000_000 * (index + 1),
        )
        for index, model in enumerate(study.models)
        for precision, milliseconds in (("fp32", 20.0), ("int8", 5.0))
    ]
    failed = BenchRow("b.tflite.int8-full", "exports/b", 1, "cpu", error="the file was changed")
    return replace(study, bench=result(*rows, failed))


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    """Four classes, one of them without a test photo."""
    counts = {"cat": (3, 1, 2), HOSTILE: (3, 1, 2), "no_test": (3, 1, 0), "owl": (3, 1, 2)}
    return make_dataset(tmp_path / "data", counts)


@pytest.fixture
def study(photos: Dataset, tmp_path: Path) -> Study:
    answers = {"a": [0, 0, 1, 1, 3, 3], "b": [0, 1, 1, 1, 2, 0]}
    made = with_exports(make_study(tmp_path / "runs", photos, answers))
    return replace(made, title="Cats & owls", failures=("c is missing, its training failed",))


def test_page_has_every_section_when_everything_was_done(study: Study) -> None:
    page = outline_of(build_study_page(study))
    for anchor in (
        "conclusion", "photos", "augmentation", "models", "training", "accuracy", "classes",
        "confusions", "exports",
    ):  # fmt: skip
        assert anchor in page.ids
    text = page.text()
    assert "Cats & owls" in text
    assert "c is missing, its training failed" in text
    assert "b.tflite.int8-full" in text
    assert "no_test" in text
    sources = [given["src"] for tag, given in page.seen if tag == "img"]
    assert sources
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)


def test_page_refers_to_nothing_else_when_built(study: Study) -> None:
    page = outline_of(build_study_page(study))
    for _, given in page.seen:
        assert "style" not in given
        assert not any(name.startswith("on") for name in given)
        for name in ("href", "src"):
            assert (given.get(name) or "#").startswith(("#", "data:image/"))
    for href in (given.get("href") for tag, given in page.seen if tag == "a"):
        assert href is not None
        assert href.removeprefix("#") in page.ids


def test_page_is_the_same_when_built_twice(study: Study) -> None:
    assert build_study_page(study) == build_study_page(study)


def test_page_leaves_exports_out_when_there_are_none(study: Study) -> None:
    page = outline_of(build_study_page(replace(study, bench=None)))
    assert "exports" not in page.ids
    assert "Lighter" in page.text()


def test_page_says_why_when_no_export_could_be_measured(study: Study) -> None:
    failed = BenchRow("a.tflite.int8", "exports/a", 1, "cpu", error="the file was changed")
    page = outline_of(build_study_page(replace(study, bench=result(failed))))
    assert "The file was changed." in page.text()


def test_conclusion_has_exports_when_they_were_measured(study: Study) -> None:
    by_measure = {criterion.measure: criterion for criterion in conclude(study)}
    size = by_measure["smallest export"]
    assert (size.values, size.best) == (("1.00 MB", "2.00 MB"), 0)
    speed = by_measure["fastest export, p50 of one photo"]
    assert speed.best == 0
    assert speed.values[0].endswith(" ms, tflite int8, 1 thread")
    assert speed.answer.startswith("a: b takes 2.0 times as long")


def test_export_has_no_winner_when_a_model_has_none(study: Study) -> None:
    assert study.bench is not None
    rows = tuple(item for item in study.bench.rows if item.name.startswith("b."))
    only_b = replace(study, bench=replace(study.bench, rows=rows))
    for criterion in conclude(only_b)[-2:]:
        assert (criterion.best, criterion.answer) == (None, "not known for a")


def test_export_has_no_winner_when_repeats_overlap(study: Study) -> None:
    assert study.bench is not None
    noisy = tuple(
        replace(item, measurement=replace(item.measurement, repeats=Repeats((3.0, 30.0))))
        for item in study.bench.rows
        if item.measurement is not None
    )
    criterion = conclude(replace(study, bench=replace(study.bench, rows=noisy)))[-1]
    assert (criterion.best, criterion.answer) == (None, "the repeats of a and b overlap")


def test_summary_names_models_and_answers_when_written(study: Study, tmp_path: Path) -> None:
    page, summary = write_study(study, tmp_path)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    text = summary.read_text(encoding="utf-8")
    assert text == build_study_markdown(study)
    assert "# Cats &amp; owls" in text
    assert "4 classes, 22 photos (12 train, 4 val, 6 test)." in text
    assert "| Lighter, parameters | 100 | 100 | a and b are equal |" in text
    assert "- c is missing, its training failed" in text
    assert "a.tflite.int8" in text
    assert "<script>" not in text


def test_terminal_marks_the_winner_when_there_is_one(study: Study) -> None:
    lines = list(conclusion_lines(study, conclude(study)))
    at = lines.index("smallest export")
    assert lines[at + 1 : at + 4] == [
        "  * a  1.00 MB", "    b  2.00 MB", "    a: b is 2.0 times as large",
    ]  # fmt: skip


def test_models_no_better_than_guessing_are_named_when_there_are_some(study: Study) -> None:
    text = outline_of(build_study_page(study)).text()
    assert "would be right for 33.3 % of them; b is not shown to be better." in text


def test_page_opens_alone_and_without_complaints_when_opened(
    study: Study, browser: Browser, tmp_path: Path
) -> None:
    page, _ = write_study(study, tmp_path)
    browser.open(page)
    assert browser.evaluate("document.title").startswith("Cats & owls")
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.evaluate(loaded)
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.as_uri()]
    width = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert browser.evaluate(width)


def test_measured_rows_are_those_of_the_run_when_names_are_equal(study: Study) -> None:
    other = row("a.tflite.int8", run_name="a", run_sha256="0" * 64, p50_ms=0.1)
    assert study.bench is not None
    with_other = replace(study, bench=replace(study.bench, rows=(*study.bench.rows, other)))
    assert conclude(with_other) == conclude(study)
    assert measurement().run_sha256 != study.models[0].run.sha256
