from __future__ import annotations

import csv
import dataclasses
import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.errors import CheckFailedError, InputError
from edgevit.preprocessing import Preprocessing
from edgevit.run import Run
from edgevit.training import checkpoint
from edgevit.training.backend import choose_precision
from edgevit.training.job import TrainJob, run_job
from tests.conftest import save_classes
from tests.training.short_run import files_of_at_most, short_latency
from tests.training.tinynet import TinyNet, settings_for

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module", autouse=True)
def _short_latency() -> Iterator[None]:
    with short_latency():
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes: 14 train, 2 val and 4 test photos of 16×16."""
    root = tmp_path_factory.mktemp("data")
    photos = save_classes(root / "photos", {"café, noir": 10, "zebra": 10})
    return prepare(photos, root / "dataset", preprocessing=Preprocessing(16, 16))


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """TinyNet, trained without an interruption."""
    return train(dataset, tmp_path_factory.mktemp("runs") / "whole")


def train(
    dataset: Dataset, folder: Path, *, resume: bool = False, force: bool = False, **changed: Any
) -> Run:
    settings = settings_for(dataset, **changed)
    run_job(TrainJob(TinyNet(), dataset, settings, folder, resume=resume, force=force))
    return Run.load(folder)


def learned_history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # The other two say how long it took, and how often it was begun.
    return [{k: v for k, v in row.items() if k not in ("seconds", "compiled")} for row in rows]


def assert_same_run(first: Run, second: Run) -> None:
    one, two = first.weights(), second.weights()
    assert one.keys() == two.keys()
    for path, array in one.items():
        np.testing.assert_array_equal(array, two[path], err_msg=path)
    assert learned_history(first.root) == learned_history(second.root)
    np.testing.assert_array_equal(first.reference().logits, second.reference().logits)


def child(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a test's module in a process of its own, with the repository last on its path."""
    code = (
        f"import runpy, sys; sys.path.append({str(Path(__file__).parents[2])!r}); "
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def killed_child(dataset: Dataset, folder: Path, number: int, steps: int, *more: str) -> int:
    arguments = [str(dataset.root), str(folder), str(number), str(steps), *more]
    return child("tests.training.killed_child", *arguments).returncode


def test_run_job_writes_a_finished_run_when_all_epochs_are_done(
    whole: Run, dataset: Dataset
) -> None:
    record = whole.record
    assert record.name == "whole"
    assert record.labels == dataset.classes
    assert record.dataset.sha256 == dataset.sha256
    assert record.reference.accuracy.image_count == 4
    assert record.reference.latency_ms_p90 >= record.reference.latency_ms_p50 > 0
    assert {"curves.png", "confusion.png", "history.csv"} <= record.files.keys()
    assert {"edgevit", "keras", "numpy", "python", "tensorflow"} <= record.versions.keys()
    assert not (whole.root / "checkpoint").exists()
    assert whole.reference().image_sha256 == dataset.split("test").hashes()
    assert {"frozen/kernel", "conv/bias", "norm/moving_mean"} <= whole.weights().keys()
    assert all(array.dtype == np.float32 for array in whole.weights().values())


def test_history_has_the_promised_columns_when_written(whole: Run) -> None:
    with (whole.root / "history.csv").open(newline="") as file:
        rows = list(csv.reader(file))

    assert rows[0] == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
        "compiled",
    ]  # fmt: skip
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert [row[-1] for row in rows[1:]] == ["1", "0", "0", "0"]


def test_weights_are_identical_when_trained_twice(
    whole: Run, dataset: Dataset, tmp_path: Path
) -> None:
    assert_same_run(train(dataset, tmp_path / "again"), whole)


def test_weights_differ_when_the_seed_does(whole: Run, dataset: Dataset, tmp_path: Path) -> None:
    other = train(dataset, tmp_path / "run", seed=8, epochs=1)

    assert not np.array_equal(whole.weights()["conv/kernel"], other.weights()["conv/kernel"])


def test_resumed_run_equals_the_uninterrupted_one_when_killed_twice(
    whole: Run, dataset: Dataset, tmp_path: Path
) -> None:
    # 14 photos in batches of 4 are 4 steps an epoch, and one more batch validates.
    folder = tmp_path / "killed"

    assert killed_child(dataset, folder, signal.SIGTERM, 7) == 143
    position = checkpoint.read_record(folder).position
    assert (position.epoch, position.step) == (1, 3)
    with pytest.raises(InputError, match="not finished"):
        Run.load(folder)

    killed = killed_child(dataset, folder, signal.SIGKILL, 6, "resume")
    assert killed == -signal.SIGKILL
    position = checkpoint.read_record(folder).position
    assert (position.epoch, position.step) == (2, 0)

    assert_same_run(train(dataset, folder, resume=True), whole)


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"seed": 8}, "trained with seed 7, not 8"), ({"batch_size": 2}, "with batch size 4, not 2")],
)
def test_resume_is_refused_when_a_setting_differs(
    dataset: Dataset, changed: dict[str, Any], named: str
) -> None:
    settings = settings_for(dataset, **changed)

    with pytest.raises(InputError, match=named):
        settings.refuse_difference(settings_for(dataset))


def test_resume_is_refused_when_there_is_no_checkpoint(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        train(dataset, tmp_path / "run", resume=True)


def test_training_is_refused_when_the_folder_holds_something(
    dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("{}")

    with pytest.raises(InputError, match=r"--resume.*--force"):
        train(dataset, tmp_path)


@pytest.mark.parametrize("force", [False, True])
def test_folder_is_refused_and_untouched_when_it_is_no_run(
    dataset: Dataset, tmp_path: Path, force: bool
) -> None:
    (tmp_path / "history.csv").write_text("mine")

    with pytest.raises(InputError, match="holds other things"):
        train(dataset, tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
    assert (tmp_path / "history.csv").read_text() == "mine"


def test_force_replaces_the_run_and_keeps_other_files_when_given(
    dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "run.json").write_text("{}")

    run = train(dataset, tmp_path, force=True, epochs=1)

    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert run.record.training.epochs == 1


def test_second_training_is_refused_when_one_writes_to_the_folder(
    dataset: Dataset, tmp_path: Path
) -> None:
    import fcntl
    import os

    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another training is writing"):
            train(dataset, tmp_path)
    finally:
        os.close(descriptor)


def test_training_stops_with_the_place_when_the_loss_is_no_number(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailedError, match=r"epoch \d+, step \d+ of 4.*--learning-rate"):
        train(dataset, tmp_path / "run", learning_rate=1e38, augment=())


def test_sixteen_bits_are_suspected_only_when_they_were_used(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailedError) as in_float32:
        train(dataset, tmp_path / "run", learning_rate=1e38, augment=())
    with pytest.raises(CheckFailedError, match="without --mixed-precision"):
        train(
            dataset,
            tmp_path / "run",
            learning_rate=1e38,
            augment=(),
            precision="mixed_bfloat16",
        )
    assert "--mixed-precision" not in str(in_float32.value)


@pytest.mark.parametrize("existed", [False, True])
def test_nothing_is_left_when_the_first_checkpoint_cannot_be_written(
    dataset: Dataset, tmp_path: Path, existed: bool
) -> None:
    folder = tmp_path / "run"
    if existed:
        folder.mkdir()

    with files_of_at_most(2000), pytest.raises(OSError, match="File too large"):
        train(dataset, folder, epochs=1)

    assert list(tmp_path.rglob("*")) == ([folder] if existed else [])


def test_training_can_be_resumed_when_the_second_checkpoint_could_not_be_written(
    whole: Run, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    real_write = checkpoint.write_checkpoint

    def write_once(*arguments: Any) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        real_write(*arguments)
        written.append(arguments)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_checkpoint", write_once)
        with pytest.raises(OSError, match="No space left"):
            train(dataset, tmp_path / "run")

    assert checkpoint.read_record(tmp_path / "run").position.epoch == 1
    assert_same_run(train(dataset, tmp_path / "run", resume=True), whole)


def test_frozen_weights_stay_and_others_move_when_trained(dataset: Dataset, tmp_path: Path) -> None:
    import keras

    from edgevit.training.backend import make_deterministic

    settings = settings_for(dataset, epochs=1)
    make_deterministic(settings.seed)
    before: keras.Model = TinyNet().build_keras(settings.spec)
    initial = {v.path: v.numpy() for v in before.weights}

    run = train(dataset, tmp_path / "run", epochs=1)

    trained = run.weights()
    np.testing.assert_array_equal(trained["frozen/kernel"], initial["frozen/kernel"])
    assert not np.array_equal(trained["conv/kernel"], initial["conv/kernel"])


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_training_learns_and_measures_in_float32_when_precision_is_mixed(
    dataset: Dataset, tmp_path: Path, precision: str
) -> None:
    if precision == "mixed_bfloat16":
        try:
            choose_precision(mixed=True)
        except InputError as error:
            pytest.skip(str(error))

    run = train(dataset, tmp_path / "run", precision=precision, epochs=2)

    assert run.record.training.precision == precision
    assert all(array.dtype == np.float32 for array in run.weights().values())
    assert run.reference().logits.dtype == np.float32


def test_training_goes_on_when_the_validation_split_is_empty(
    dataset: Dataset, tmp_path: Path
) -> None:
    photos = tuple(p for p in dataset.photos if p.split != "val")
    run = train(dataclasses.replace(dataset, photos=photos), tmp_path / "run", epochs=2)

    assert run.record.training.best_epoch == 2
    assert run.record.dataset.val_count == 0


def test_training_is_refused_before_it_starts_when_the_test_split_is_empty(
    dataset: Dataset, tmp_path: Path
) -> None:
    photos = tuple(p for p in dataset.photos if p.split != "test")

    with pytest.raises(InputError, match=r"the test split of .* is empty.*--test-share above 0"):
        train(dataclasses.replace(dataset, photos=photos), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def mirrored_child(dataset: Dataset, *arguments: str) -> str:
    done = child("tests.training.mirrored_child", str(dataset.root), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mirrored_training_is_close_to_one_device_when_the_batch_is_split(
    dataset: Dataset,
) -> None:
    assert float(mirrored_child(dataset)) < 1e-4


@pytest.mark.slow
def test_mirrored_training_runs_when_the_model_has_batch_norm_and_dropout(
    dataset: Dataset,
) -> None:
    # Each device normalises with its own half of the batch: not equal, but near.
    assert float(mirrored_child(dataset, "with-state")) < 1.0
