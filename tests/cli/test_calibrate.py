from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle import Bundle
from edgevit.calibration.sampling import CalibrationSet, sample
from edgevit.calibration.store import load_set, write_set
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
from edgevit.export.job import open_job
from edgevit.run import Run
from edgevit.storage import record_of
from tests.bench.standin import CHANNEL, SIZE, SPEC, make_dataset, photo_of
from tests.export.runs import make_photos
from tests.export.runs import make_run as make_vit_run

Captured = pytest.CaptureFixture[str]


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


@contextmanager
def away(dataset: Dataset) -> Iterator[None]:
    """Move the prepared photos away, as on a device that has only the run and the set."""
    moved = dataset.root.rename(dataset.root.with_name("moved"))
    try:
        yield
    finally:
        moved.rename(dataset.root)


def assert_one_line(capsys: Captured, *words: str) -> None:
    """Check that there is one error, of one line, beside progress (``…: 0.1 s``) and notes."""
    lines = capsys.readouterr().err.splitlines()
    (error,) = (line for line in lines if not line.endswith((" s", "are held out")))
    assert error.startswith("edgevit: error: ")
    for word in words:
        assert word in error


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
