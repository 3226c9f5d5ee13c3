from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.bench.accuracy import evaluate, pair
from edgevit.bench.evaluation import DatasetPhotos
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.run import Reference, Run
from edgevit.runtimes.classifier import open_classifier
from tests.bench.standin import make_bundle, make_run


def test_evaluate_pairs_with_the_run_when_it_is_there(dataset: Dataset, bundle: Path) -> None:
    result = evaluate(open_classifier(bundle, 1), DatasetPhotos(dataset))
    assert result.accuracy.top1 == 1.0
    assert result.accuracy.image_count == 12
    assert result.paired is not None
    assert (result.paired.newly_wrong, result.paired.newly_right) == (0, 1)
    assert result.paired.drop_points == pytest.approx(-100 / 12)
    assert result.notes == ()


def test_evaluate_finds_the_run_beside_exports_when_both_were_moved(
    tmp_path: Path, dataset: Dataset, run: Run, bundle: Path
) -> None:
    moved = tmp_path / "device"
    shutil.copytree(bundle.parent, moved / "exports")
    (moved / "runs" / run.name).mkdir(parents=True)
    for name in ("run.json", "reference.npz"):
        shutil.copy(run.root / name, moved / "runs" / run.name / name)
    shutil.rmtree(run.root)
    classifier = open_classifier(moved / "exports" / bundle.name, 1)
    assert evaluate(classifier, DatasetPhotos(dataset)).paired is not None


def test_evaluate_is_unpaired_and_says_so_when_the_run_is_gone(
    dataset: Dataset, run: Run, bundle: Path
) -> None:
    shutil.rmtree(run.root)
    result = evaluate(open_classifier(bundle, 1), DatasetPhotos(dataset))
    assert result.paired is None
    assert result.unpaired_drop_points == pytest.approx(-100 / 12)
    assert "is not here" in result.notes[0]
    assert "unpaired" in result.notes[0]


def test_evaluate_gives_no_drop_when_only_some_photos_are_scored_without_the_run(
    dataset: Dataset, run: Run, bundle: Path
) -> None:
    shutil.rmtree(run.root)
    result = evaluate(open_classifier(bundle, 1), DatasetPhotos(dataset, image_limit=3))
    assert result.unpaired_drop_points is None
    assert "not all those of the run's test" in result.notes[0]


def test_evaluate_is_unpaired_when_the_run_was_trained_again(
    dataset: Dataset, run: Run, bundle: Path
) -> None:
    shutil.rmtree(run.root)
    make_run(run.root, dataset, wrong=2)
    result = evaluate(open_classifier(bundle, 1), DatasetPhotos(dataset))
    assert result.paired is None
    assert "sha256" in result.notes[0]


def test_evaluate_gives_no_drop_when_the_photos_are_others(
    dataset: Dataset, run: Run, bundle: Path
) -> None:
    shutil.rmtree(run.root)
    other = replace(dataset, sha256="0" * 64)
    result = evaluate(open_classifier(bundle, 1), DatasetPhotos(other))
    assert result.paired is None
    assert result.unpaired_drop_points is None
    assert "not all those of the run's test" in result.notes[0]


def test_evaluate_gives_no_drop_when_the_split_is_not_test(dataset: Dataset, bundle: Path) -> None:
    result = evaluate(open_classifier(bundle, 1), DatasetPhotos(dataset, "val"))
    assert result.accuracy.image_count == 3
    assert result.paired is None
    assert result.unpaired_drop_points is None


def test_evaluate_refuses_when_the_classes_are_in_another_order(
    dataset: Dataset, bundle: Path
) -> None:
    turned = replace(dataset, record=replace(dataset.record, classes=("green", "blue", "red")))
    with pytest.raises(InputError, match="class 0 is 'green' in the data set and 'blue'"):
        evaluate(open_classifier(bundle, 1), DatasetPhotos(turned))


def test_pair_uses_only_shared_photos_when_some_are_missing() -> None:
    reference = Reference(
        logits=np.eye(3, dtype=np.float32),
        labels=np.arange(3),
        image_sha256=("a", "b", "c"),
    )
    probabilities = np.eye(3, dtype=np.float32)[[2, 0, 1]]
    paired, count = pair(reference, probabilities, np.array([2, 0, 0]), ("c", "x", "b"))
    assert count == 2
    assert paired is not None
    # "c" is right in both; on "b" both say 1, which is wrong in both.
    assert (paired.newly_wrong, paired.newly_right, paired.agreement) == (0, 0, 1.0)


def test_evaluate_refuses_the_drop_when_the_saved_answers_were_changed(
    dataset: Dataset, run: Run, tmp_path: Path
) -> None:
    path = make_bundle(tmp_path / "exports" / "again", run)
    file = run.root / "reference.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    result = evaluate(open_classifier(path, 1), DatasetPhotos(dataset))
    assert result.paired is None
    assert "sha256" in result.notes[0]
