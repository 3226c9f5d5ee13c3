from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.errors import InputError
from edgevit.preprocessing import Preprocessing
from edgevit.run import Run
from edgevit.training import history
from edgevit.training.history import EpochRow
from edgevit.training.job import TrainJob, check_folder, clear_run, run_job
from edgevit.training.signals import StoppedError
from edgevit.training.tensorboard import TensorBoardLog, check_place, own_files, remove_log
from tests.conftest import save_classes
from tests.training.short_run import files_of_at_most, short_latency
from tests.training.tinynet import TinyNet, settings_for

pytest.importorskip("tensorflow")

EPOCHS = 3
ROWS = tuple(
    EpochRow(epoch, 1.0 / epoch, 0.25 * epoch, 2.0 / epoch, 0.5, 0.01, seconds=60.0)
    for epoch in (1, 2, 3)
)


@pytest.fixture(scope="module", autouse=True)
def _short_latency() -> Iterator[None]:
    with short_latency():
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes: 14 train, 2 val and 4 test photos of 16×16."""
    root = tmp_path_factory.mktemp("data")
    folders = save_classes(root / "photos", {"fox": 10, "zebra": 10})
    return prepare(folders, root / "dataset", preprocessing=Preprocessing(16, 16))


@pytest.fixture(scope="module")
def logged(photos: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """TinyNet, trained with a log and without an interruption."""
    return train(photos, tmp_path_factory.mktemp("runs") / "logged", tensorboard=True)


def train(photos: Dataset, folder: Path, **options: bool) -> Run:
    run_job(TrainJob(TinyNet(), photos, settings_for(photos, epochs=EPOCHS), folder, **options))
    return Run.load(folder)


def stop_after_epoch(
    number: int, photos: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: bool
) -> None:
    """Train until an epoch is in the history, as if a signal came then."""
    real_write = history.write_csv

    def write_and_stop(path: Path, rows: Any) -> None:
        real_write(path, rows)
        if len(rows) == number:
            raise StoppedError(15)

    with monkeypatch.context() as patch:
        patch.setattr(history, "write_csv", write_and_stop)
        with pytest.raises(StoppedError):
            train(photos, folder, **options)


def events(run_folder: Path, name: str) -> list[Any]:
    """Read all events of ``train`` or ``validation``, in the order in which TensorBoard would."""
    import tensorflow as tf

    paths = sorted(map(str, (run_folder / "tensorboard" / name).iterdir()))
    assert all("tfevents" in path for path in paths)
    records = tf.data.TFRecordDataset(paths)
    return [tf.compat.v1.Event.FromString(record.numpy()) for record in records]


def scalars(run_folder: Path, name: str) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of every scalar, by tag."""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(run_folder, name):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def as_logged(rows: tuple[EpochRow, ...], column: str) -> list[tuple[int, float]]:
    return [(row.epoch, float(np.float32(getattr(row, column)))) for row in rows]


def assert_log_is_the_history(run_folder: Path) -> None:
    rows = history.read_csv(run_folder / "history.csv")
    assert len(rows) == EPOCHS
    assert scalars(run_folder, "train") == {
        "epoch_loss": as_logged(rows, "loss"),
        "epoch_accuracy": as_logged(rows, "accuracy"),
        "epoch_learning_rate": as_logged(rows, "learning_rate"),
        "epoch_seconds": as_logged(rows, "seconds"),
    }
    assert scalars(run_folder, "validation") == {
        "epoch_loss": as_logged(rows, "val_loss"),
        "epoch_accuracy": as_logged(rows, "val_accuracy"),
    }


def log_for(photos: Dataset, folder: Path, rows: tuple[EpochRow, ...] = ()) -> TensorBoardLog:
    return TensorBoardLog(folder, settings_for(photos), rows, validated=True)


def test_log_holds_every_epoch_once_when_trained(logged: Run) -> None:
    assert_log_is_the_history(logged.root)
    assert not any(name.startswith("tensorboard") for name in logged.record.files)


def test_log_holds_the_settings_as_text_when_trained(logged: Run, photos: Dataset) -> None:
    import tensorflow as tf

    (text,) = (
        value
        for event in events(logged.root, "train")
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "text"
    )
    lines = tf.make_ndarray(text.tensor).item().decode().splitlines()

    assert text.tag == "settings"
    assert "    learning rate    0.01" in lines
    assert "    model            tinynet, 2 classes, 16x16-crop-bilinear" in lines
    assert "    augment          flip,rotation,zoom" in lines
    assert len(lines) == len(dataclasses.fields(settings_for(photos)))


def test_weights_are_identical_when_trained_with_and_without_a_log(
    logged: Run, photos: Dataset, tmp_path: Path
) -> None:
    plain = train(photos, tmp_path / "plain")

    assert not (plain.root / "tensorboard").exists()
    for path, array in plain.weights().items():
        np.testing.assert_array_equal(array, logged.weights()[path], err_msg=path)
    np.testing.assert_array_equal(plain.reference().logits, logged.reference().logits)


@pytest.mark.parametrize("asked_again", [True, False])
def test_log_holds_every_epoch_once_when_a_training_was_stopped_and_resumed(
    photos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_again: bool
) -> None:
    # The checkpoint has the second epoch, the log does not: as after a kill between the two.
    stop_after_epoch(2, photos, tmp_path / "run", monkeypatch, tensorboard=True)
    assert [step for step, _ in scalars(tmp_path / "run", "train")["epoch_loss"]] == [1]

    train(photos, tmp_path / "run", resume=True, tensorboard=asked_again)

    assert_log_is_the_history(tmp_path / "run")


def test_log_holds_the_epochs_before_when_it_is_first_asked_for_on_resuming(
    photos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after_epoch(2, photos, tmp_path / "run", monkeypatch)
    assert not (tmp_path / "run" / "tensorboard").exists()

    train(photos, tmp_path / "run", resume=True, tensorboard=True)

    assert_log_is_the_history(tmp_path / "run")


def test_old_log_is_gone_and_other_files_stay_when_force_replaces_one(
    photos: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("{}")
    with log_for(photos, tmp_path, ROWS):
        pass
    mine = tmp_path / "tensorboard" / "train" / "events.out.tfevents.1.mine"
    mine.write_text("mine")
    assert len(own_files(tmp_path)) == 2

    train(photos, tmp_path, force=True)

    assert own_files(tmp_path) == ()
    assert not (tmp_path / "tensorboard" / "validation").exists()
    assert mine.read_text() == "mine"


def test_epoch_can_be_read_at_once_when_it_ends(photos: Dataset, tmp_path: Path) -> None:
    with log_for(photos, tmp_path) as log:
        for count, row in enumerate(ROWS, start=1):
            log.epoch(row)
            assert len(scalars(tmp_path, "train")["epoch_loss"]) == count
            assert len(scalars(tmp_path, "validation")["epoch_loss"]) == count


def test_time_of_earlier_epochs_is_that_of_training_when_a_log_is_written_anew(
    photos: Dataset, tmp_path: Path
) -> None:
    before = time.time()
    with log_for(photos, tmp_path, ROWS):
        pass

    written = [event for event in events(tmp_path, "train") if event.step]
    times = [event.wall_time for event in written]
    assert [event.step for event in written] == [1, 2, 3]
    assert np.diff(times) == pytest.approx([60.0, 60.0])
    assert before <= times[-1] <= time.time()


def test_reader_goes_on_where_it_was_when_a_log_is_written_anew(
    photos: Dataset, tmp_path: Path
) -> None:
    import tensorflow as tf

    with log_for(photos, tmp_path, ROWS[:2]):
        before = {path: path.stat().st_size for path in own_files(tmp_path)}
    with log_for(photos, tmp_path, ROWS[:2]) as log:
        log.epoch(ROWS[2])

    assert before.keys() == set(own_files(tmp_path))
    for path, size_bytes in before.items():
        (tmp_path / "rest").write_bytes(path.read_bytes()[size_bytes:])
        (record,) = tf.data.TFRecordDataset(str(tmp_path / "rest"))
        assert tf.compat.v1.Event.FromString(record.numpy()).step == 3


def test_reader_is_told_of_a_new_run_when_force_has_replaced_one(
    photos: Dataset, tmp_path: Path
) -> None:
    with log_for(photos, tmp_path, ROWS):
        before = own_files(tmp_path)
    remove_log(tmp_path)
    with log_for(photos, tmp_path):
        after = own_files(tmp_path)

    version, start, *_ = events(tmp_path, "train")
    assert all(new.name > old.name for old, new in zip(before, after, strict=True))
    assert version.file_version == "brain.Event:2"
    assert start.session_log.status == start.session_log.START
    assert start.step == 0


def test_validation_has_no_log_when_its_split_is_empty(photos: Dataset, tmp_path: Path) -> None:
    unvalidated = dataclasses.replace(ROWS[0], val_loss=None, val_accuracy=None)
    with TensorBoardLog(tmp_path, settings_for(photos), (), validated=False) as log:
        log.epoch(unvalidated)

    assert scalars(tmp_path, "train")["epoch_loss"] == [(1, 1.0)]
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == ["train"]


def test_error_names_the_file_when_the_disk_is_full(photos: Dataset, tmp_path: Path) -> None:
    with (
        files_of_at_most(1000),
        pytest.raises(OSError, match="File too large") as raised,
        log_for(photos, tmp_path, ROWS * 20),
    ):
        pass

    assert Path(raised.value.filename) in own_files(tmp_path)


@pytest.mark.parametrize("place", ["tensorboard", "tensorboard/train", "tensorboard/validation"])
def test_place_is_refused_and_the_old_run_kept_when_a_file_is_in_the_way(
    photos: Dataset, tmp_path: Path, place: str
) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")

    with pytest.raises(InputError, match=f"{place} is no folder that can be written"):
        train(photos, tmp_path, force=True, tensorboard=True)

    assert (tmp_path / "run.json").read_text() == "{}"
    assert (tmp_path / place).read_text() == "mine"


def test_place_is_accepted_when_nothing_or_a_log_is_there(photos: Dataset, tmp_path: Path) -> None:
    check_place(tmp_path)
    with log_for(photos, tmp_path):
        pass
    check_place(tmp_path)

    remove_log(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_training_starts_when_only_a_log_is_left_of_one_killed_in_its_first_epoch(
    photos: Dataset, tmp_path: Path
) -> None:
    with log_for(photos, tmp_path):
        pass

    check_folder(tmp_path, resume=False, force=False)
    clear_run(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_training_is_refused_when_a_log_is_not_all_that_the_folder_holds(
    photos: Dataset, tmp_path: Path
) -> None:
    with log_for(photos, tmp_path):
        pass
    (tmp_path / "tensorboard" / "notes.txt").write_text("mine")

    with pytest.raises(InputError, match="holds other things"):
        train(photos, tmp_path, tensorboard=True)
