from __future__ import annotations

from pathlib import Path

import accuracy_exports as files
import numpy as np
import pytest
from accuracy_exports import Measured, compare, sqnr_db
from accuracy_picture import write_picture
from accuracy_report import (
    KIND,
    SCHEMA_VERSION,
    Outcome,
    Row,
    RunResult,
    Study,
    goal_of,
    goals_met,
    outcome_of,
    render,
)
from PIL import Image

from edgevit import documents
from edgevit.machine import describe_machine
from edgevit.metrics import Scores, softmax
from edgevit.run import Reference

PHOTOS, CLASSES = 1000, 4


def reference() -> Reference:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (PHOTOS, CLASSES)).astype(np.float32)
    labels = logits.argmax(axis=1).astype(np.int64)
    labels[:100] = (labels[:100] + 1) % CLASSES  # full precision is wrong on these
    return Reference(logits, labels, tuple(str(i) for i in range(PHOTOS)))


def answers(flipped: int, first: int = 0) -> Scores:
    """Return the reference's probabilities with some photos' answers moved to the next class."""
    probabilities = softmax(reference().logits)
    rows = slice(first, first + flipped)
    probabilities[rows] = np.roll(probabilities[rows], 1, axis=1)
    return probabilities


def measured(flipped: int, first: int = 0) -> Measured:
    found = compare(answers(flipped, first), reference())
    assert isinstance(found, Measured)
    return found


def outcome(flipped: int, at_least: float | None = None) -> Outcome:
    return outcome_of(measured(flipped, first=500), at_least)


def study(*rows: Row) -> Study:
    return Study(
        started="2026-11-23T12:00:00+00:00",
        machine=describe_machine(),
        versions={"edgevit": "0.1.0"},
        dataset="/data",
        dataset_sha256="ab" * 32,
        classes=CLASSES,
        train_count=5000,
        test_count=PHOTOS,
        outliers=40,
        outlier_channels=6,
        runs=(RunResult("vit-tiny", 0, "cd" * 32, 25, 0.9, 7, 1e-6, rows),),
    )


OURS = Row("edgevit tflite int8", True, 0.993, outcome(2, 0.993), outcome(9, 0.993))
OBVIOUS = Row("TFLiteConverter, full int8", False, None, outcome(10), outcome(70))
FAILED = Row(
    "edgevit onnx int8", True, 0.993, outcome_of("the ladder said no", 0.993), outcome(0, 0.993)
)


@pytest.mark.parametrize(
    ("model", "precision", "at_least"),
    [
        ("vit-tiny", "int8", 0.993),
        ("vit-b32", "int8", 0.993),
        ("vgg16", "int8", 0.995),
        ("vit-b32", "int8-full", 0.99),
        ("vgg16", "fp16", 1.0),
        ("vit-b32", "int8-dynamic", None),
        ("vit-b32", None, None),
    ],
)
def test_goal_is_the_stated_one_when_a_model_and_precision_are_given(
    model: str, precision: str | None, at_least: float | None
) -> None:
    assert goal_of(model, precision) == at_least


@pytest.mark.parametrize(("flipped", "met"), [(0, True), (7, True), (8, False)])
def test_goal_counts_as_met_when_no_more_photos_changed_than_it_allows(
    flipped: int, met: bool
) -> None:
    assert outcome(flipped, 0.993).met is met


def test_goal_counts_as_missed_when_there_is_no_file() -> None:
    assert outcome_of("it failed", 0.993) == Outcome(None, "it failed", False)
    assert outcome_of("it failed", None).met is None


def test_photos_are_counted_as_changed_lost_and_won_when_answers_differ() -> None:
    found = measured(20, first=90)  # ten that full precision got wrong, ten that it got right
    assert found.changed == 20
    assert found.drop.newly_wrong == 10
    assert found.drop.newly_right == 10
    assert found.drop.drop_points == 0
    assert found.top1 == pytest.approx(0.9)


def test_photos_count_as_unsure_when_their_best_two_are_close() -> None:
    logits = np.log(np.array([[0.5, 0.45, 0.05], [0.5, 0.35, 0.15], [0.9, 0.05, 0.05]]))
    labels = np.zeros(3, dtype=np.int64)
    assert files.count_unsure(Reference(logits.astype(np.float32), labels, ("a", "b", "c"))) == 1


def test_answers_are_refused_when_they_are_not_finite() -> None:
    broken = answers(0)
    broken[3, 1] = np.nan
    assert compare(broken, reference()) == "some probabilities are not finite"


def test_sqnr_is_that_of_the_noise_when_logits_are_disturbed() -> None:
    logits = reference().logits
    noise = np.random.default_rng(1).normal(0, 0.02, logits.shape).astype(np.float32)
    # The signal's deviation is 2: a hundred times as much.
    assert sqnr_db(softmax(logits), softmax(logits + noise)) == pytest.approx(40, abs=0.5)
    assert sqnr_db(softmax(logits), softmax(logits)) == 200


def test_sqnr_stays_a_number_for_the_rounding_when_small_probabilities_become_0() -> None:
    exact = softmax(4 * reference().logits)
    rounded = (np.rint(256 * exact) / 256).astype(np.float32)
    assert (rounded == 0).any()
    assert 15 < sqnr_db(exact, rounded) < 60


def test_table_has_a_line_for_each_export_when_rendered() -> None:
    text = render(study(OURS, OBVIOUS, FAILED), "accuracy.png")
    lines = {line.split(" | ")[2]: line for line in text.splitlines() if line.count(" | ") > 8}
    ours = lines[OURS.name]
    assert "| ≥ 99.3 | 99.80 | ✓ | 2 (−2 +0) | +0.20 (" in ours
    assert "| 99.10 | ✗ | 9 (−9 +0) | +0.90 (" in ours
    assert "| – | 99.00 |  | 10 (" in lines[OBVIOUS.name]
    assert "| none | ✗ | – |" in lines[FAILED.name]
    assert len({line.count("|") for line in lines.values()}) == 1
    assert "Goals reached: 2 of 4." in text
    assert "- vit-tiny, seed 0, edgevit onnx int8: the ladder said no" in text
    assert "one photo is 0.10 points" in text
    assert "| vit-tiny | 0 | 25 | 90.00 | 7 |" in text
    assert "![Agreement with full precision](accuracy.png)" in text


def test_outlier_columns_are_left_out_when_there_are_no_variants() -> None:
    plain = Row(OURS.name, True, 0.993, OURS.plain, None)
    assert "outliers:" in render(study(OURS), "p.png")
    assert "outliers:" not in render(study(plain), "p.png")
    assert goals_met(study(plain)) == (1, 1)


def test_document_reads_back_when_written(tmp_path: Path) -> None:
    written = study(OURS, OBVIOUS, FAILED)
    documents.write(tmp_path / "a.json", KIND, SCHEMA_VERSION, written)
    assert documents.read(tmp_path / "a.json", KIND, SCHEMA_VERSION, Study) == written


def test_picture_is_drawn_when_a_file_or_a_variant_is_missing(tmp_path: Path) -> None:
    plain = Row(OURS.name, True, 0.993, OURS.plain, None)
    for number, rows in enumerate([(OURS, OBVIOUS, FAILED), (plain,)]):
        path = tmp_path / f"{number}.png"
        write_picture(path, study(*rows))
        with Image.open(path) as image:
            assert image.width > 1000
            assert image.convert("L").getextrema() == (0, 255)


def test_obvious_ways_are_left_out_with_a_reason_when_a_library_is_absent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {"tensorflow", "keras", "openvino"}
    monkeypatch.setattr(files, "version_of", lambda name: "1.0" if name in here else None)
    chosen = files.choose_obvious(("tflite", "openvino"), tuple(files.OBVIOUS))
    assert chosen == ("tflite-int8", "tflite-dynamic")
    assert "NNCF is left out: nncf not installed" in capsys.readouterr().err
