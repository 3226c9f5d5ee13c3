"""What training measured, epoch by epoch, and which epoch was best."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.storage import write_atomically

HISTORY_FILE = "history.csv"


@dataclass(frozen=True)
class EpochRow:
    """One line of ``history.csv``.

    Attributes:
        epoch: From 1.
        loss: Mean cross-entropy over the training photos, nats, without label smoothing, so that
            it compares with ``val_loss``. Measured during the epoch, on augmented photos.
        accuracy: Share of the training photos classified right, 0–1, measured likewise.
        val_loss: Mean cross-entropy on the validation split; ``None`` where it is empty.
        val_accuracy: Top-1 on the validation split, 0–1; ``None`` where it is empty.
        learning_rate: Of the epoch's last step.
        seconds: The epoch and its validation.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float


def better(row: EpochRow, best: EpochRow | None) -> bool:
    """Say whether the weights of ``row`` are to be kept rather than those of ``best``.

    The higher validation accuracy wins, then the lower validation loss, then the later epoch.
    Without a validation split the later epoch always wins.
    """
    if best is None or row.val_accuracy is None or best.val_accuracy is None:
        return True
    if row.val_accuracy != best.val_accuracy:
        return row.val_accuracy > best.val_accuracy
    return (row.val_loss or 0.0) <= (best.val_loss or 0.0)


def best_row(rows: Sequence[EpochRow]) -> EpochRow | None:
    """Return the epoch whose weights are kept; ``None`` before the first."""
    best = None
    for row in rows:
        if better(row, best):
            best = row
    return best


def write_csv(path: Path, rows: Sequence[EpochRow]) -> None:
    """Write one line per epoch, with a header; an empty cell where there is no validation."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(EpochRow))
    for row in rows:
        writer.writerow("" if v is None else v for v in dataclasses.astuple(row))
    write_atomically(path, text.getvalue().encode())
