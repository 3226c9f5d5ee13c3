from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit.bench.accuracy import AccuracyResult
from edgevit.cli import evaluate
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.metrics import Accuracy
from tests.bench.standin import make_dataset


def test_evaluate_takes_the_run_s_photos_when_no_data_is_named(
    bundle: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert f"on the test photos of {dataset.root}" in out
    assert "top-1      100.00 %" in out


def test_evaluate_names_the_option_when_the_run_s_photos_are_gone(
    bundle: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset.root.rename(dataset.root.with_name("moved"))
    assert main(["evaluate", str(bundle)]) == 2
    error = capsys.readouterr().err
    assert f"was trained on are not at {dataset.root}" in error
    assert "--data DIR" in error


def test_evaluate_names_the_split_when_it_is_empty(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = make_dataset(tmp_path / "empty", val_photos_per_colour=0)
    assert main(["evaluate", str(bundle), "--data", str(empty.root), "--split", "val"]) == 2
    assert f"the val split of {empty.root} is empty. Choose another" in capsys.readouterr().err


def test_evaluate_leaves_top5_to_json_when_there_are_five_classes_or_fewer(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle)]) == 0
    assert "top-5" not in capsys.readouterr().out
    assert main(["evaluate", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["accuracy"]["top5"] == 1.0


CLAIM = (
    "12 images cannot show that the drop is at most 0.3 points: even without a single flip the "
    "interval would reach +14.00; 652 images could"
)


def test_evaluate_says_what_so_few_photos_show_when_there_is_a_drop(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        "  agreement  91.67 %: 1 of 12 labels changed, 0 newly wrong, 1 newly right (McNemar's p 1)"
    ) in lines
    assert f"  claim      {CLAIM}" in lines
    assert main(["evaluate", str(bundle), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["flips"], body["mcnemar_p"], body["claim"]) == (1, 1.0, CLAIM)


def test_evaluate_claims_nothing_when_the_split_has_no_drop(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(bundle), "--split", "val"]) == 0
    assert "\n  claim " not in capsys.readouterr().out
    assert main(["evaluate", str(bundle), "--split", "val", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["flips"], body["mcnemar_p"], body["claim"]) == (None, None, None)


@pytest.mark.parametrize(("class_count", "shown"), [(5, False), (6, True)])
def test_print_shows_top5_when_it_can_be_wrong(
    class_count: int, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    result = AccuracyResult(Accuracy(0.5, 0.875, 1.0, 8), None, None, ())
    evaluate._print(result, class_count)
    assert ("top-5      87.50 %" in capsys.readouterr().out) is shown
