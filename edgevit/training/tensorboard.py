"""A training's curves as event files, which TensorBoard shows while it runs.

``RUN/tensorboard/train`` and ``RUN/tensorboard/validation`` are two runs to TensorBoard, so that it
lays their curves over each other. Writing needs TensorFlow alone; the package ``tensorboard`` is
for looking. Nothing here decides the outcome of a training.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from edgevit.errors import InputError
from edgevit.training.history import EpochRow
from edgevit.training.settings import TrainSettings

FOLDER = "tensorboard"
TRAIN = "train"
VALIDATION = "validation"

# TensorBoard takes every file with "tfevents" in its name; the end marks those to remove.
_PREFIX = "events.out.tfevents."
_SUFFIX = ".edgevit"
_PATTERN = f"{_PREFIX}*{_SUFFIX}"
_FILE_VERSION = "brain.Event:2"


class TensorBoardLog:
    """Writes every epoch as soon as it is over; the step is the epoch, from 1.

    Entering it writes the log anew, from the epochs so far: a resumed training leaves none out
    and none double. It does so in the same file, whose records keep their places, so that a
    TensorBoard that has read a part goes on behind it.

    Args:
        run_folder: The run's folder.
        settings: Written as a text.
        rows: The finished epochs.
        validated: Whether there are validation photos.

    Raises:
        OSError: if a file cannot be written.
    """

    def __init__(
        self,
        run_folder: Path,
        settings: TrainSettings,
        rows: Sequence[EpochRow],
        *,
        validated: bool,
    ) -> None:
        self._run_folder = run_folder
        self._settings = settings
        self._rows = rows
        self._validated = validated
        self._train: _EventFile | None = None
        self._validation: _EventFile | None = None

    def __enter__(self) -> TensorBoardLog:
        # As if the epochs so far had just ended, without a break between them.
        started = time.time() - sum(row.seconds for row in self._rows)
        self._train = _EventFile(self._run_folder / FOLDER / TRAIN, started)
        if self._validated:
            self._validation = _EventFile(self._run_folder / FOLDER / VALIDATION, started)
        self._train.write_text("settings", _as_block(self._settings.in_words()), started)
        ended = started
        for row in self._rows:
            ended += row.seconds
            self._write(row, ended)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in (self._train, self._validation):
            if file is not None:
                file.close()

    def epoch(self, row: EpochRow) -> None:
        """Write an epoch that has just ended."""
        self._write(row, time.time())

    def _write(self, row: EpochRow, wall_time: float) -> None:
        # The names that Keras' own callback gives.
        measured = {
            "epoch_loss": row.loss,
            "epoch_accuracy": row.accuracy,
            "epoch_learning_rate": row.learning_rate,
            "epoch_seconds": row.seconds,
        }
        if self._train is not None:
            self._train.write_scalars(row.epoch, measured, wall_time)
        if self._validation is None or row.val_loss is None or row.val_accuracy is None:
            return
        validated = {"epoch_loss": row.val_loss, "epoch_accuracy": row.val_accuracy}
        self._validation.write_scalars(row.epoch, validated, wall_time)


class _EventFile:
    """A file of ``Event`` messages; ``tf.summary.scalar`` would need the package tensorboard.

    Args:
        folder: Is made if it is not there.
        started: When the training began, seconds since 1970.
    """

    def __init__(self, folder: Path, started: float) -> None:
        import tensorflow as tf

        folder.mkdir(parents=True, exist_ok=True)
        # The time makes a name that sorts behind that of a run before, as TensorBoard expects.
        new = folder / f"{_PREFIX}{time.time_ns()}{_SUFFIX}"
        self._path = max(folder.glob(_PATTERN), default=new)
        self._path.touch()  # Python's error names the file
        self._writer = tf.io.TFRecordWriter(str(self._path))
        self._add(wall_time=started, file_version=_FILE_VERSION)
        # Makes an open TensorBoard forget a run that --force has replaced.
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._add(wall_time=started, session_log=start)

    def write_scalars(self, step: int, values: Mapping[str, float], wall_time: float) -> None:
        """Write one number a tag."""
        import tensorflow as tf

        summary = tf.compat.v1.Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=value)
        self._add(wall_time=wall_time, step=step, summary=summary)

    def write_text(self, tag: str, markdown: str, wall_time: float) -> None:
        """Write a text for the text dashboard, at step 0."""
        import tensorflow as tf

        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="text")
        summary = tf.compat.v1.Summary()
        summary.value.add(
            tag=tag,
            tensor=tf.make_tensor_proto(markdown),
            metadata=tf.compat.v1.SummaryMetadata(plugin_data=plugin),
        )
        self._add(wall_time=wall_time, summary=summary)

    def close(self) -> None:
        """Close the file, of which everything is written already."""
        self._writer.close()

    def _add(self, **content: Any) -> None:
        import tensorflow as tf

        try:
            self._writer.write(tf.compat.v1.Event(**content).SerializeToString())
            self._writer.flush()
        except tf.errors.OpError as error:
            raise _as_os_error(error.message, self._path) from error


def check_place(run_folder: Path) -> None:
    """Check that a log can be written, before anything of an earlier run is removed.

    Raises:
        InputError: naming what is in the way.
    """
    log = run_folder / FOLDER
    for folder in (log, log / TRAIN, log / VALIDATION):
        if not folder.exists() and not folder.is_symlink():
            continue
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(
                f"{folder} is no folder that can be written",
                "Move it away, or choose another --out",
            )


def own_files(run_folder: Path) -> tuple[Path, ...]:
    """Return the event files that trainings have written into ``run_folder``."""
    log = run_folder / FOLDER
    return tuple(path for name in (TRAIN, VALIDATION) for path in (log / name).glob(_PATTERN))


def remove_log(run_folder: Path) -> None:
    """Remove the log of a run, and nothing that others have put beside it.

    Raises:
        OSError: if a file of it cannot be removed.
    """
    for path in own_files(run_folder):
        path.unlink()
    log = run_folder / FOLDER
    for folder in (log / TRAIN, log / VALIDATION, log):
        with contextlib.suppress(OSError):  # absent, or not empty
            folder.rmdir()


def _as_block(settings: Mapping[str, str]) -> str:
    """Return a Markdown code block, in which no character has a meaning."""
    width = max(map(len, settings))
    return "\n".join(f"    {name:{width}}  {value}" for name, value in settings.items())


def _as_os_error(message: str, path: Path) -> OSError:
    """Recover the errno that TensorFlow only spells out, so that a full disk is recognised."""
    spelt = (number for number in errno.errorcode if message.endswith(os.strerror(number)))
    number = next(spelt, errno.EIO)
    return OSError(number, os.strerror(number), str(path))
