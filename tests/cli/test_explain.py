"""``edgevit explain`` as a user calls it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevit import documents
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.explain.report import KIND, MARKER, SCHEMA_VERSION, Explanation
from edgevit.explain.subject import Subject
from edgevit.export.graph import GraphBuilder
from edgevit.export.ops import Reshape, Softmax
from edgevit.metrics import softmax
from edgevit.run import Run
from tests.bench.standin import make_bundle
from tests.conftest import save_photo
from tests.export.runs import make_photos, make_run, rewritten

Captured = pytest.CaptureFixture[str]
Folders = pytest.TempPathFactory


@pytest.fixture(scope="module")
def photos(tmp_path_factory: Folders) -> Dataset:
    """Sixty photos."""
    return make_photos(tmp_path_factory.mktemp("explain"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: Folders, photos: Dataset) -> Run:
    """A vit-tiny that nobody trained."""
    return make_run(tmp_path_factory.mktemp("runs") / "vit", photos)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: Folders, photos: Dataset) -> Run:
    """A VGG16 that nobody trained."""
    return make_run(tmp_path_factory.mktemp("runs") / "vgg", photos, "vgg16", 64)


def _explained(folder: Path) -> Explanation:
    return documents.read(folder / MARKER, KIND, SCHEMA_VERSION, Explanation)


def _explain(run: Run, *arguments: object) -> int:
    return main(["explain", str(run.root), *map(str, arguments)])


@pytest.fixture(scope="module")
def explained(vit: Run, photos: Dataset, tmp_path_factory: Folders) -> tuple[Path, str]:
    """A test photo, a wide and a square one, explained; the folder and what was printed."""
    folder = tmp_path_factory.mktemp("explained")
    test_photo = photos.root / photos.split("test").photos[0].path
    wide = save_photo(folder / "with spaces & $.png", size=(60, 30))
    square = save_photo(folder / "square.png", size=(30, 30))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert _explain(vit, test_photo, wide, square, "--out", folder / "out") == 0
    return folder / "out", printed.getvalue()


def test_pictures_and_numbers_are_written_when_a_vit_is_explained(
    explained: tuple[Path, str],
) -> None:
    out, printed = explained
    found = _explained(out)
    drawn = [*found.pictures, *(name for image in found.images for name in image.pictures)]
    assert sorted(os.listdir(out)) == sorted([MARKER, *drawn])
    assert found.pictures == ("model-positions.png", "model-filters.png")
    assert found.images[1].pictures == (
        "02-with_spaces_-patches.png",
        "02-with_spaces_-rollout.png",
        "02-with_spaces_-heads-block-3.png",
    )
    for name in drawn:
        with Image.open(out / name) as image:
            assert image.format == "PNG"
            assert np.ptp(np.asarray(image.convert("L"))) > 100  # not empty
    assert "8 × 8 = 64 patches per image, 8 × 8 × 3 = 192 elements per patch" in printed
    assert printed.endswith(f"Written: {out}\n")


def test_predictions_are_those_of_keras_when_a_test_photo_is_explained(
    vit: Run, explained: tuple[Path, str]
) -> None:
    image = _explained(explained[0]).images[0]
    expected = softmax(vit.reference().logits[:1])[0]
    probabilities = {each.label: each.probability for each in image.predictions}
    assert probabilities == pytest.approx(
        dict(zip(vit.record.labels, expected.tolist(), strict=True)), abs=1e-4
    )
    assert image.predictions[0].label == vit.record.labels[expected.argmax()]


def test_attention_is_recorded_when_a_vit_is_explained(explained: tuple[Path, str]) -> None:
    found = _explained(explained[0])
    attention = found.images[0].attention
    assert found.layer == 3
    assert attention is not None
    assert np.shape(attention.rollout) == (8, 8)
    assert np.sum(attention.rollout) == pytest.approx(1)
    entropies = np.array(attention.head_entropy_nats)
    assert entropies.shape == (4, 4)
    assert attention.even_entropy_nats == pytest.approx(np.log(65))
    assert ((entropies > 0) & (entropies <= attention.even_entropy_nats)).all()


def test_crop_is_said_when_the_photo_has_another_aspect_ratio(
    explained: tuple[Path, str],
) -> None:
    seen = [image.seen for image in _explained(explained[0]).images]
    assert seen[1:] == [
        "The photo of 60 × 30 pixels was cropped to its middle and resized: what lies outside, the "
        "model never saw",
        "The photo of 30 × 30 pixels was resized",
    ]


def test_grad_cam_is_drawn_when_a_vgg16_is_explained(
    vgg: Run, tmp_path: Path, capsys: Captured
) -> None:
    photo = save_photo(tmp_path / "photo.png")
    assert _explain(vgg, photo, "--out", tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["01-photo-grad-cam.png", MARKER]
    found = _explained(tmp_path / "out")
    assert (found.patches, found.layer, found.images[0].attention) == (None, None, None)
    grad = found.images[0].grad_cam
    assert grad is not None
    assert grad.label == found.images[0].predictions[0].label
    assert np.shape(grad.values) == (4, 4)
    assert "patches" not in capsys.readouterr().out


def test_mean_over_tokens_is_taken_when_there_is_no_class_token(
    photos: Dataset, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "scratch", photos, "vit-scratch", 20)
    photo = save_photo(tmp_path / "photo.png")
    assert _explain(run, photo, "--layer", 5, "--out", tmp_path / "out") == 0
    found = _explained(tmp_path / "out")
    assert found.layer == 5
    assert "01-photo-heads-block-5.png" in found.images[0].pictures
    assert found.patches is not None
    assert (found.patches.patches_per_image, found.patches.class_token) == (9, False)
    attention = found.images[0].attention
    assert attention is not None
    assert attention.even_entropy_nats == pytest.approx(np.log(9))
    assert np.sum(attention.rollout) == pytest.approx(1)


def test_bundle_is_explained_through_its_run_when_that_is_here(
    vit: Run, tmp_path: Path, capsys: Captured
) -> None:
    home = tmp_path / "runs" / "vit"
    shutil.copytree(vit.root, home)
    bundle = make_bundle(tmp_path / "exports" / "vit.tflite.fp32", Run.load(home))
    photo = save_photo(tmp_path / "photo.png")
    arguments = ["explain", str(bundle), str(photo), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    found = _explained(tmp_path / "out")
    assert (found.bundle, found.run, found.run_sha256) == ("vit.tflite.fp32", "vit", vit.sha256)
    assert "vit.tflite.fp32 is explained through its run" in capsys.readouterr().out

    shutil.rmtree(home)
    assert main([*arguments, "--force"]) == 2
    assert capsys.readouterr().err == (
        "edgevit: error: vit.tflite.fp32 is explained through its run, for a bundle keeps no float "
        "weights, and the run vit is not here. Give the run itself: edgevit explain runs/vit …\n"
    )
    assert _explained(tmp_path / "out") == found  # untouched


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "4"], "vit has no encoder block 4. Give --layer 0 to 3"),
        (["--layer", "-1"], "vit has no encoder block -1. Give --layer 0 to 3"),
        (["gone.jpg"], "gone.jpg does not exist"),
        (["text.jpg"], "text.jpg is not an image"),
    ],
)
def test_command_exits_2_and_leaves_nothing_when_an_argument_is_wrong(
    vit: Run,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_photo(tmp_path / "photo.png")
    (tmp_path / "text.jpg").write_text("no photo")
    assert _explain(vit, "photo.png", *arguments, "--out", "new/out") == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert sorted(os.listdir(tmp_path)) == ["photo.png", "text.jpg"]


def test_layer_is_refused_when_the_model_has_no_attention(
    vgg: Run, tmp_path: Path, capsys: Captured
) -> None:
    photo = save_photo(tmp_path / "photo.png")
    assert _explain(vgg, photo, "--layer", 0, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "edgevit: error: vgg is a vgg16, which has no attention, so --layer 0 names nothing. "
        "Leave --layer out: it is explained by Grad-CAM\n"
    )


def test_command_exits_2_when_the_run_is_missing(tmp_path: Path, capsys: Captured) -> None:
    photo = save_photo(tmp_path / "photo.png")
    gone = str(tmp_path / "gone")
    assert main(["explain", gone, str(photo), "--out", str(tmp_path / "out")]) == 2
    assert f"{gone} does not exist. Give a folder with a bundle.json" in capsys.readouterr().err


def test_command_exits_2_when_weights_are_nan(vit: Run, tmp_path: Path, capsys: Captured) -> None:
    weights = vit.weights()
    name = sorted(weights)[0]
    weights[name] = np.full_like(weights[name], np.nan)
    (tmp_path / "ruined").mkdir()
    ruined = rewritten(vit, tmp_path / "ruined", weights)
    photo = save_photo(tmp_path / "photo.png")
    assert _explain(ruined, photo, "--out", tmp_path / "out") == 2
    assert f"the tensor {name} of " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folder_is_kept_when_it_exists(vit: Run, tmp_path: Path, capsys: Captured) -> None:
    photo = save_photo(tmp_path / "photo.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    for force in ([], ["--force"]):  # it is nothing that this command wrote
        assert _explain(vit, photo, "--out", out, *force) == 2
        assert f"it has no {MARKER}" in capsys.readouterr().err
    assert os.listdir(out) == ["mine.txt"]


def test_command_names_the_extra_when_matplotlib_is_missing(
    vit: Run, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec

    def without_matplotlib(name: str, package: str | None = None) -> Any:
        return None if name == "matplotlib" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_matplotlib)
    photo = save_photo(tmp_path / "photo.png")
    assert _explain(vit, photo, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "edgevit: error: explaining a model needs matplotlib. "
        "pip install 'edgevit[export,report]'\n"
    )


def test_subject_is_refused_when_nothing_of_it_can_be_explained(vit: Run) -> None:
    builder = GraphBuilder(2, 2)
    builder.add(Reshape(name="flatten", inputs=("pixels",), target=(12,)))
    builder.add(Softmax(name="probabilities", inputs=("flatten",)))
    with pytest.raises(InputError, match=r"neither attention nor .* Grad-CAM, convolutions"):
        Subject(vit, builder.build())
