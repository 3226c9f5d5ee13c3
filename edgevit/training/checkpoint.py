"""A training's state on disk, from which it continues to the same bits.

``OUT/checkpoint/`` holds ``checkpoint.json`` and the tensor file that it names. A new tensor file
is complete before the small document that names it replaces the old one, and the old tensor file
is deleted after: whenever the process dies, one whole checkpoint is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit import documents, storage
from edgevit.errors import InputError
from edgevit.storage import FileRecord
from edgevit.training.history import EpochRow
from edgevit.training.settings import TrainSettings

CHECKPOINT_FOLDER = "checkpoint"
CHECKPOINT_FILE = "checkpoint.json"
KIND = "edgevit.checkpoint"
SCHEMA_VERSION = 1

Tensors = dict[str, npt.NDArray[Any]]

_REMEDY = "Start anew: the same command with --force instead of --resume"


@dataclass(frozen=True)
class Position:
    """Where a training stands.

    Attributes:
        epoch: From 0; equal to the number of epochs when the training is over.
        step: Steps done in that epoch; when all are done, its validation is next.
        loss_sum: Summed cross-entropy of the epoch's photos so far, nats.
        correct: Photos classified right so far in the epoch.
        seen: Photos used so far in the epoch.
        epoch_seconds: Time spent on the epoch so far.
        seconds: Time spent on the finished epochs.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class CheckpointRecord:
    """The body of ``checkpoint.json``."""

    settings: TrainSettings
    position: Position
    history: tuple[EpochRow, ...]
    serial: int
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        if len(self.files) != 1:
            raise InputError(f"a checkpoint has 1 tensor file, {len(self.files)} are recorded")


def checkpoint_path(run_folder: Path) -> Path:
    """Return the document that makes ``run_folder`` resumable."""
    return run_folder / CHECKPOINT_FOLDER / CHECKPOINT_FILE


def read_record(run_folder: Path) -> CheckpointRecord:
    """Read where a training stands, without its tensors.

    Raises:
        InputError: if there is no checkpoint or it is damaged.
    """
    path = checkpoint_path(run_folder)
    if not path.is_file():
        raise InputError(f"there is nothing to resume in {run_folder}", "Start it without --resume")
    return documents.read(path, KIND, SCHEMA_VERSION, CheckpointRecord)


def read_tensors(run_folder: Path, record: CheckpointRecord) -> Tensors:
    """Read and verify the tensors of a checkpoint.

    Raises:
        InputError: if the file is missing or damaged.
    """
    from safetensors.numpy import load_file

    folder = run_folder / CHECKPOINT_FOLDER
    storage.verify_files(folder, record.files, _REMEDY)
    (name,) = record.files
    tensors: Tensors = load_file(folder / name)
    return tensors


def write_checkpoint(
    run_folder: Path,
    settings: TrainSettings,
    position: Position,
    history: tuple[EpochRow, ...],
    tensors: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Write a checkpoint and delete the one before.

    Raises:
        OSError: if the disk is full; the checkpoint before is then still whole.
    """
    folder = run_folder / CHECKPOINT_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(run_folder)
    serial = read_record(run_folder).serial + 1 if path.is_file() else 1
    name = f"state-{serial:06d}.safetensors"
    write_tensors(folder / name, tensors)
    record = CheckpointRecord(
        settings=settings,
        position=position,
        history=history,
        serial=serial,
        files={name: storage.record_of(folder / name)},
    )
    documents.write(path, KIND, SCHEMA_VERSION, record)
    for stale in folder.iterdir():
        if stale.name not in (name, CHECKPOINT_FILE):
            stale.unlink()


def write_tensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a safetensors file that is whole or absent.

    Raises:
        OSError: if it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    temporary = path.with_name(f".{path.name}{storage.TEMPORARY_MARK}{os.getpid()}")
    # safetensors writes the memory as it lies: it must be in C order.
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(arrays, temporary)
        except SafetensorError as error:
            raise _as_os_error(error, path) from error
        # safetensors makes files that only their owner can read.
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _as_os_error(error: Exception, path: Path) -> OSError:
    """Recover the errno that safetensors only spells out, so that a full disk is recognised."""
    import re

    code = re.search(r"code: (\d+)|os error (\d+)", str(error))
    number = int(code.group(1) or code.group(2)) if code else 5
    return OSError(number, os.strerror(number), str(path))


def remove_checkpoint(run_folder: Path) -> None:
    """Remove the checkpoint: its document first, so that a half-removed one is none."""
    checkpoint_path(run_folder).unlink(missing_ok=True)
    shutil.rmtree(run_folder / CHECKPOINT_FOLDER, ignore_errors=True)
