from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.run import Run
from edgevit.training import checkpoint, tensorboard
from edgevit.training.checkpoint import Position
from tests.training.short_run import short_latency
from tests.training.tinynet import settings_for

pytest.importorskip("tensorflow")
pytest.importorskip("vit_keras")

SMALL = ("--image-size", "16", "--batch-size", "8")


@pytest.fixture
def data(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prepared data set; the current folder is one without runs."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return str(tiny_dataset.root)


def train(data: str, *options: str) -> int:
    return main(["train", "vit-tiny", "--data", data, *SMALL, *options])


def test_train_makes_a_run_beside_the_others_when_no_folder_is_named(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = Path("runs/vit-tiny")
    taken.mkdir(parents=True)
    (taken / "run.json").write_text("{}")

    with short_latency():
        options = ("--epochs", "1", "--augment", "none", "--seed", "3", "--tensorboard")
        assert train(data, *options) == 0

    printed = capsys.readouterr().out
    assert "test top-1" in printed
    assert "curves      tensorboard --logdir runs/vit-tiny-2/tensorboard" in printed
    assert len(tensorboard.own_files(Path("runs/vit-tiny-2"))) == 2
    assert "test top-5  100.00 %" in printed
    assert "edgevit export runs/vit-tiny-2 --format tflite --quantize int8" in printed
    record = Run.load(Path("runs/vit-tiny-2")).record
    assert record.name == "vit-tiny-2"
    assert record.training.seed == 3
    assert record.training.augment == ()
    assert record.spec.preprocessing.height == 16


def test_log_is_named_when_help_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0

    printed = capsys.readouterr().out
    assert "--tensorboard  " in printed
    assert "tensorboard --logdir RUN/tensorboard" in " ".join(printed.split())


def test_train_exits_2_with_one_line_when_the_log_cannot_be_written(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    Path("run/tensorboard").write_text("mine")

    assert train(data, "--out", "run", "--force", "--tensorboard") == 2

    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("edgevit: error: run/tensorboard is no folder that can be written")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--epochs", "0"), "'--epochs': 0 is not in the range x>=1"),
        (("--batch-size", "0"), "'--batch-size': 0 is not in the range 1<=x<=4096"),
        (("--batch-size", "1000000000"), "range 1<=x<=4096"),
        (("--image-size", "0"), "'--image-size': 0 is not in the range 1<=x<=1024"),
        (("--image-size", "-64"), "-64 is not in the range"),
        (("--image-size", "1000000000"), "range 1<=x<=1024"),
        (("--learning-rate", "-1"), "-1.0 is not in the range x>0"),
        (("--learning-rate", "nan"), "'--learning-rate': nan is not a finite number"),
        (("--learning-rate", "inf"), "inf is not a finite number"),
        (("--seed", "-1"), "-1 is not in the range 0<=x<=4294967295"),
        (("--augment", "mixup"), "flip, rotation, zoom"),
        (("--image-size", "17"), "--image-size"),
        (("--weights", "imagenet"), "Valid for --weights: random"),
        (("--multi-gpu",), "at least 2 GPUs"),
        (("--resume",), "no unfinished run of vit-tiny"),
        (("--resume", "--force"), "Give one of them"),
        (("--resume", "--out", "nowhere"), "nothing to resume"),
    ],
)
def test_train_exits_2_with_the_remedy_when_an_option_is_wrong(
    data: str, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], complaint: str
) -> None:
    assert train(data, *options) == 2
    assert complaint in capsys.readouterr().err
    assert not Path("runs/vit-tiny").exists()


def test_train_exits_2_when_the_model_or_data_is_unknown(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "resnet", "--data", data]) == 2
    assert "vit-b32" in capsys.readouterr().err
    assert main(["train", "vit-tiny", "--data", "nowhere"]) == 2
    assert "edgevit data prepare" in capsys.readouterr().err


def test_newest_unfinished_run_of_the_model_is_found_when_resuming(
    data: str, tiny_dataset: Dataset
) -> None:
    from edgevit.cli.train import newest_unfinished

    for age, name in enumerate(("new", "old")):
        folder = Path("runs") / name
        checkpoint.write_checkpoint(folder, settings_for(tiny_dataset), Position(), (), {})
        then = time.time() - 60 * age
        os.utime(checkpoint.checkpoint_path(folder), (then, then))

    assert newest_unfinished("tinynet") == Path("runs/new")


def test_damaged_checkpoint_is_passed_over_when_another_run_can_be_resumed(
    data: str, tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgevit.cli.train import newest_unfinished

    for name in ("whole", "damaged"):
        checkpoint.write_checkpoint(
            Path("runs") / name, settings_for(tiny_dataset), Position(), (), {}
        )
    checkpoint.checkpoint_path(Path("runs/damaged")).write_text("{")

    assert newest_unfinished("tinynet") == Path("runs/whole")
    assert "Passing over runs/damaged: " in capsys.readouterr().err


def test_batch_is_cut_with_a_note_when_larger_than_the_training_split(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # A bad weight file ends the command once its settings are resolved and said.
    Path("photo.jpg").write_bytes(b"no weights")

    assert train(data, "--batch-size", "4096", "--weights", "photo.jpg") == 2

    said = capsys.readouterr().err
    assert "There are 14 training photos: a batch has 14, not 4096" in said
    assert "batch 14, learning rate" in said


def test_weight_file_is_refused_before_photos_are_decoded_when_it_is_none(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photo.jpg").write_bytes(b"no weights")
    for model in ("vit-b32", "vgg16"):
        arguments = ["--data", data, "--image-size", "64", "--weights", "photo.jpg"]
        assert main(["train", model, *arguments]) == 2
    said = capsys.readouterr().err

    assert "photo.jpg is not an .npz file of ViT weights. Give an official ViT" in said
    assert "photo.jpg is not an HDF5 file" in said
    assert "Decoding" not in said
    assert not (Path(data) / "cache" / "64x64-crop-bilinear").exists()
    assert not Path("runs").exists()


def test_way_to_go_on_is_said_when_the_disk_fills_after_a_checkpoint(
    data: str,
    tiny_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from edgevit.training import job

    def fill_the_disk(train_job: job.TrainJob) -> None:
        checkpoint.write_checkpoint(train_job.folder, train_job.settings, Position(), (), {})
        raise OSError(errno.ENOSPC, "No space left on device", "state")

    monkeypatch.setattr(job, "run_job", fill_the_disk)

    assert train(data, "--out", "run") == 2
    said = capsys.readouterr().err
    assert f"edgevit train vit-tiny --data {data} --out run --resume" in said
    assert "No space left on device" in said


@pytest.mark.slow
def test_interrupted_command_says_how_to_go_on_and_does_when_told_to(data: str) -> None:
    arguments = ["train", "vit-tiny", "--data", data, *SMALL, "--epochs", "400"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgevit", *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("epoch 2/400"):
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert f"edgevit train vit-tiny --data {data} --out runs/vit-tiny --resume" in "".join(lines)
    assert not any("oneDNN" in line for line in lines)

    # What is not said is the checkpoint's; what is said must agree with it.
    assert main(["train", "vit-tiny", "--data", data, "--resume", "--epochs", "3"]) == 2
    with subprocess.Popen(
        [sys.executable, "-m", "edgevit", *arguments[:4], "--resume"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch "):
                process.send_signal(signal.SIGTERM)
                break
        process.stderr.read()
        assert process.wait() == 143
    rows = checkpoint.read_record(Path("runs/vit-tiny")).history
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 3
