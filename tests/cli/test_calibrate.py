from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.calibration.sampling import sample
from edgevit.calibration.store import load_set
from edgevit.cli.main import main
from edgevit.data.dataset import (
    DATASET_FILE,
    KIND,
    PHOTOS_FILE,
    SCHEMA_VERSION,
    Dataset,
    SplitName,
    render_photos,
)
from edgevit.documents import write
from edgevit.run import Run
from edgevit.storage import record_of
from tests.bench.standin import CHANNEL, SIZE, SPEC, make_dataset, photo_of
from tests.cli.calibration_sets import Captured, assert_one_line, away


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def with_splits(dataset: Dataset, root: Path, **splits: SplitName) -> Dataset:
    """Copy a data set with its photos in other splits: ``test="train"`` moves those of test."""
    shutil.copytree(dataset.root, root)
    shutil.rmtree(root / "cache", ignore_errors=True)
    photos = [replace(p, split=splits.get(p.split, p.split)) for p in dataset.photos]
    (root / PHOTOS_FILE).write_bytes(render_photos(photos, dataset.classes))
    files = {PHOTOS_FILE: record_of(root / PHOTOS_FILE)}
    write(root / DATASET_FILE, KIND, SCHEMA_VERSION, replace(dataset.record, files=files))
    return Dataset.load(root)


def test_calibrate_keeps_training_photos_when_no_option_is_given(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    assert main(["calibrate"]) == 0  # the newest run below runs/
    captured = capsys.readouterr()
    assert captured.out == ("calibration/colours: 14 images of 3 classes for ranges, 4 held out\n")
    assert (
        f"{dataset.root} has 18 training photos for calibration, fewer than the 160 wanted: "
        "14 give ranges, 4 are held out\n"
    ) in captured.err
    chosen = load_set(Path("calibration/colours"))
    assert set(chosen.image_sha256) == set(dataset.split("train").hashes())
    expected = sample(dataset, SPEC.preprocessing, images=128, held_out=32)
    np.testing.assert_array_equal(chosen.images, expected.images)
    np.testing.assert_array_equal(chosen.held_out, expected.held_out)


def test_calibrate_follows_the_options_when_given(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    moved = dataset.root.rename("moved")
    options = ["--images", "9", "--seed", "3", "--out", "sets/one", "--data", str(moved)]
    assert main(["calibrate", str(run.root), *options]) == 0
    chosen = load_set(Path("sets/one"))
    # A quarter of nine is two.
    assert (len(chosen.images), len(chosen.held_out), chosen.seed) == (9, 2, 3)
    assert sorted(chosen.labels[:9]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    record = json.loads(Path("sets/one/calibration.json").read_text())
    assert record["classes"] == list(dataset.classes)
    assert record["dataset_sha256"] == dataset.sha256
    # Nothing to say: the photos are the run's, and enough.
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if not line.endswith(" s")] == []


def test_calibrate_says_so_when_the_photos_are_of_another_data_set(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    # More training photos that the run was never tested on.
    other = with_splits(dataset, Path("other"), val="train")
    arguments = ["calibrate", str(run.root), "--data", "other", "--images", "16"]
    assert main([*arguments, "--out", "set"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "set: 16 images of 3 classes for ranges, 4 held out\n"
    assert (
        f"The photos of other are of another data set ({other.sha256[:12]}…) than the run's "
        f"({dataset.sha256[:12]}…), of the same classes: they are used\n"
    ) in captured.err
    assert load_set(Path("set")).dataset_sha256 == other.sha256


def test_calibrate_exits_2_when_the_set_exists(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    assert main(["calibrate", "--images", "12"]) == 0
    before = load_set(Path("calibration/colours")).sha256
    capsys.readouterr()
    with away(dataset):  # noticed before the photos are looked for
        assert main(["calibrate", "--images", "8"]) == 2
    assert_one_line(capsys, "calibration/colours exists already", "--force")
    assert load_set(Path("calibration/colours")).sha256 == before
    assert main(["calibrate", "--images", "8", "--force"]) == 0
    assert load_set(Path("calibration/colours")).sha256 != before


def shade(colour: str, seed: int) -> np.ndarray:
    """One colour all over, another for each photo."""
    shade = CHANNEL[colour] * 80 + seed // 1000 * 20 + seed % 1000
    return np.full((SIZE, SIZE, 3), shade, dtype=np.uint8)


def same_centre(colour: str, seed: int) -> np.ndarray:
    """The same picture after cropping, other bytes in each file."""
    sides = np.full((SIZE, SIZE // 2, 3), CHANNEL[colour], dtype=np.uint8) + np.uint8(seed % 200)
    return np.concatenate([sides + np.uint8(seed // 1000), photo_of("red"), sides], axis=1)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (shade, ("14 of 14 images for ranges are one colour all over, such as", "of class '")),
        (same_centre, ("the 14 images for ranges are copies of 1, at least 8 different",)),
    ],
)
def test_calibrate_exits_2_when_there_is_too_little_on_the_photos(
    run: Run, capsys: Captured, draw: Callable[[str, int], np.ndarray], words: tuple[str, ...]
) -> None:
    make_dataset(Path("bad"), draw=draw)
    arguments = ["calibrate", str(run.root), "--data", "bad"]
    assert main(arguments) == 2
    assert_one_line(capsys, "the training photos of bad: ", *words, "edgevit data prepare")
    assert not Path("calibration").exists()


def test_calibrate_exits_2_when_too_few_photos_are_left(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    with_splits(dataset, Path("other"), train="val", val="train")
    assert main(["calibrate", str(run.root), "--data", "other"]) == 2
    assert_one_line(
        capsys,
        "too few training photos of other are in no other split: 3, and calibration needs at "
        "least 9. Add photos",
    )
    assert not Path("calibration").exists()


@pytest.mark.parametrize(
    ("colours", "words"),
    [
        (("blue", "red", "green"), "class 1 is 'red' in other and 'green' in the run"),
        (("blue", "green"), "other has 2 classes, the run 3"),
    ],
)
def test_calibrate_exits_2_when_the_classes_are_others(
    run: Run, capsys: Captured, colours: tuple[str, ...], words: str
) -> None:
    make_dataset(Path("other"), colours=colours)
    assert main(["calibrate", str(run.root), "--data", "other"]) == 2
    assert_one_line(capsys, words, "edgevit calibrate")
    assert not Path("calibration").exists()
    assert not Path("other/cache").exists()  # noticed before the photos are decoded


def test_calibrate_exits_2_when_the_run_was_tested_on_the_photos(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    other = with_splits(dataset, Path("other"), test="train", train="test")
    assert main(["calibrate", str(run.root), "--data", str(other.root)]) == 2
    assert_one_line(capsys, "12 photos of the calibration set other are in the run's validation")
    assert not Path("calibration").exists()


def test_calibrate_exits_2_when_the_photos_are_gone(
    run: Run, dataset: Dataset, capsys: Captured
) -> None:
    dataset.root.rename("moved")
    assert main(["calibrate"]) == 2
    assert_one_line(capsys, f"are not at {dataset.root}", "--data DIR")
    assert not Path("calibration").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--images", "0"], "'--images': 0"),
        (["--images", "1"], "1 image is too few for ranges. Give at least 8: --images 8"),
        (["--images", "7"], "7 images are too few for ranges. Give at least 8: --images 8"),
        (["--seed", "some"], "'--seed': 'some'"),
        (["--data", "nowhere"], "nowhere"),
        (["nowhere"], "there is no run at nowhere"),
        (["--out", "photo.png"], "photo.png is a file"),
        (["--out", "photo.png", "--force"], "photo.png is a file"),
        (["--out", "photo.png/set"], "would lie in photo.png"),
        (["--out", ""], "the folder to write is '.'. Give it a name"),
        (["--out", "data", "--force"], "data holds other things (it has no calibration.json)"),
    ],
)
def test_calibrate_exits_2_when_an_argument_is_wrong(
    run: Run, capsys: Captured, arguments: list[str], words: str
) -> None:
    Path("photo.png").write_bytes(b"")
    before = sorted(os.listdir())
    assert main(["calibrate", *arguments]) == 2
    assert_one_line(capsys, words)
    assert sorted(os.listdir()) == before
