from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle import Bundle
from edgevit.calibration.sampling import CalibrationSet, sample
from edgevit.calibration.store import load_set, write_set
from edgevit.cli.main import main
from edgevit.data.dataset import (
    Dataset,
    SplitName,
)
from edgevit.export.job import open_job
from edgevit.run import Run
from tests.cli.calibration_sets import Captured, assert_one_line, away
from tests.export.runs import make_photos
from tests.export.runs import make_run as make_vit_run


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def vit_photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def vit_run(tmp_path_factory: pytest.TempPathFactory, vit_photos: Dataset) -> Run:
    return make_vit_run(tmp_path_factory.mktemp("runs") / "tiny", vit_photos)


@pytest.fixture(scope="module")
def vit_set(tmp_path_factory: pytest.TempPathFactory, vit_run: Run) -> Path:
    target = tmp_path_factory.mktemp("calibration") / "tiny"
    assert main(["calibrate", str(vit_run.root), "--images", "16", "--out", str(target)]) == 0
    return target


def export(run: Run, *options: str) -> int:
    return main(["export", str(run.root), "--format", "onnx", *options])


def test_export_works_when_only_the_set_is_here(
    vit_run: Run, vit_photos: Dataset, vit_set: Path, capsys: Captured
) -> None:
    with away(vit_photos):
        assert export(vit_run, "--calibration", str(vit_set)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  – graph: not checked: the run's photos are not here" in lines
    assert "  – accuracy: not checked: the run's photos are not here" in lines
    record = Bundle.load(Path("exports/tiny.onnx.int8")).record
    outcomes = {rung.name: rung.passed for rung in record.ladder}
    assert [name for name, passed in outcomes.items() if passed is None] == ["graph", "accuracy"]
    assert {outcomes[name] for name in ("loads", "shapes", "weights", "values")} == {True}
    assert record.source.calibration_sha256 == load_set(vit_set).sha256

    # With the photos at hand everything is checked, and the ranges are the set's again.
    bundle = Path("exports/tiny.onnx.int8")
    before = (bundle / "model.onnx").read_bytes()
    assert export(vit_run, "--calibration", str(vit_set), "--force") == 0
    assert "–" not in [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert all(rung.passed for rung in Bundle.load(bundle).record.ladder)
    assert (bundle / "model.onnx").read_bytes() == before


def test_ranges_are_the_sets_when_one_is_given(
    vit_run: Run, vit_photos: Dataset, vit_set: Path
) -> None:
    assert export(vit_run) == 0
    without = Bundle.load(Path("exports/tiny.onnx.int8"))
    drawn = sample(vit_photos, vit_run.record.spec.preprocessing)
    assert without.record.source.calibration_sha256 == drawn.sha256 != load_set(vit_set).sha256
    given = open_job(vit_run, None, vit_set)
    np.testing.assert_array_equal(given.calibration.images, load_set(vit_set).images)
    np.testing.assert_array_equal(given.held_out.pixels, load_set(vit_set).held_out)


def test_export_names_both_ways_out_when_the_photos_are_gone(
    vit_run: Run, vit_photos: Dataset, vit_set: Path, capsys: Captured
) -> None:
    with away(vit_photos):
        assert export(vit_run) == 2
        assert_one_line(capsys, "--data DIR", "--calibration SET", "edgevit calibrate")
        assert export(vit_run, "--calibration", str(vit_set), "--max-drop", "1") == 2
    assert "--max-drop needs validation photos" in capsys.readouterr().err
    assert not Path("exports").exists()


def test_export_exits_2_when_the_set_was_made_for_another_model(
    run: Run, vit_run: Run, capsys: Captured
) -> None:
    assert main(["calibrate", str(run.root), "--out", "set"]) == 0
    capsys.readouterr()
    assert export(vit_run, "--calibration", "set") == 2
    assert_one_line(capsys, "set holds 16x16-crop-bilinear pixels", "64x64-crop-bilinear")
    assert not Path("exports").exists()


@pytest.mark.parametrize("split", ["val", "test"])
def test_export_exits_2_when_the_set_holds_photos_that_measure_accuracy(
    vit_run: Run, vit_photos: Dataset, capsys: Captured, split: SplitName
) -> None:
    preprocessing = vit_run.record.spec.preprocessing
    fair = sample(vit_photos, preprocessing, images=8, held_out=2)
    hashes = vit_photos.split(split).hashes()[:2]
    pixels = np.asarray(vit_photos.pixels(split, preprocessing))[:2]
    cheat = replace(fair, held_out=pixels, image_sha256=(*fair.image_sha256[:8], *hashes))
    write_set(Path("set"), cheat)
    words = "2 photos of the calibration set set are in the run's validation or test split"
    assert export(vit_run, "--calibration", "set") == 2
    assert_one_line(capsys, words, "edgevit calibrate")
    if split == "test":  # the run itself knows these
        with away(vit_photos):
            assert export(vit_run, "--calibration", "set") == 2
        assert_one_line(capsys, words)
    assert not Path("exports").exists()


def one_image(fair: CalibrationSet) -> CalibrationSet:
    together = np.concatenate([fair.images, fair.held_out])
    return replace(fair, images=together[:1], held_out=together[1:])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_image, "the calibration set set has 1 image for ranges, at least 8 are needed"),
        (
            lambda fair: replace(fair, images=np.zeros_like(fair.images)),
            "the calibration set set: 8 of 8 images for ranges are one colour all over, such as",
        ),
        (
            lambda fair: replace(fair, images=np.repeat(fair.images[:1], 8, axis=0)),
            "the calibration set set: the 8 images for ranges are copies of 1, at least 8",
        ),
        (
            lambda fair: replace(fair, classes=("café, noir", "zebra", "tabby cat")),
            "class 1 is 'zebra' in the calibration set set and 'tabby cat' in the run",
        ),
        (
            lambda fair: replace(fair, labels=(3, *fair.labels[1:])),
            "set/calibration.json has the label 3, which is none of its 3 classes (0 to 2)",
        ),
    ],
)
def test_export_exits_2_when_the_set_is_bad(
    vit_run: Run,
    vit_photos: Dataset,
    capsys: Captured,
    change: Callable[[CalibrationSet], CalibrationSet],
    words: str,
) -> None:
    fair = sample(vit_photos, vit_run.record.spec.preprocessing, images=8, held_out=2)
    write_set(Path("set"), change(fair))
    assert export(vit_run, "--calibration", "set") == 2
    assert_one_line(capsys, words, "edgevit calibrate")
    assert os.listdir() == ["set"]


def test_export_says_so_when_the_sets_photos_are_of_another_data_set(
    vit_run: Run, vit_photos: Dataset, capsys: Captured
) -> None:
    fair = sample(vit_photos, vit_run.record.spec.preprocessing, images=8, held_out=2)
    write_set(Path("set"), replace(fair, dataset_sha256="e" * 64))
    assert open_job(vit_run, None, Path("set")).given is not None
    assert "set are of another data set (eeeeeeeeeeee…) than the run's" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_export_exits_2_when_the_set_is_damaged(
    vit_run: Run, vit_set: Path, capsys: Captured, damage: str
) -> None:
    shutil.copytree(vit_set, "set")
    images = Path("set/images.npy")
    if damage == "missing":
        images.unlink()
    else:
        images.write_bytes(images.read_bytes()[:-1] + b"?")
    assert export(vit_run, "--calibration", "set") == 2
    assert_one_line(capsys, "set/images.npy", "edgevit calibrate")
    assert export(vit_run, "--calibration", "nothing") == 2
    assert_one_line(capsys, "there is no calibration set at nothing", "edgevit calibrate")
    assert os.listdir() == ["set"]
