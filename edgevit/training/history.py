"""What training measured, epoch by epoch, and which epoch was best."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import InputError
from edgevit.storage import write_atomically

HISTORY_FILE = "history.csv"

_REMEDY = "The run is damaged: copy it again, or train it again"


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
        compiled: Whether it was the first epoch of a process, which compiles the model too.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float
    compiled: bool = False


_COLUMNS = tuple(field.name for field in dataclasses.fields(EpochRow))


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


def median_epoch_seconds(rows: Sequence[EpochRow]) -> float:
    """Return the median time of an epoch, without those that compiled, if there are others.

    Raises:
        ValueError: if there is none.
    """
    steady = [row.seconds for row in rows if not row.compiled]
    return statistics.median(steady or [row.seconds for row in rows])


def write_csv(path: Path, rows: Sequence[EpochRow]) -> None:
    """Write one line per epoch, with a header; an empty cell where there is no validation."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        cells = (int(v) if isinstance(v, bool) else v for v in dataclasses.astuple(row))
        writer.writerow("" if cell is None else cell for cell in cells)
    write_atomically(path, text.getvalue().encode())


def read_csv(path: Path) -> tuple[EpochRow, ...]:
    """Read what :func:`write_csv` wrote.

    Raises:
        InputError: if the file is missing or damaged, naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", _REMEDY) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[EpochRow] = []
    try:
        columns = tuple(next(reader, ()))
        if columns not in (_COLUMNS, _COLUMNS[:-1]):
            raise ValueError(f"the columns should be {','.join(_COLUMNS)}")
        for epoch, cells in enumerate(reader, start=1):
            # Files that do not say: the first epoch compiled, whatever a resume did later.
            said = cells if columns == _COLUMNS else [*cells, str(int(epoch == 1))]
            rows.append(_row(said, epoch))
    except (ValueError, csv.Error) as error:
        line = max(1, reader.line_num)
        raise InputError(f"line {line} of {path} cannot be read ({error})", _REMEDY) from error
    return tuple(rows)


def _row(cells: list[str], epoch: int) -> EpochRow:
    """Decode the line of ``epoch``.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"expected {len(_COLUMNS)} cells, got {len(cells)}")
    values = dict(zip(_COLUMNS, cells, strict=True))
    if values["epoch"] != str(epoch):
        raise ValueError(f"expected epoch {epoch}, got {values['epoch']!r}")
    return EpochRow(
        epoch=epoch,
        loss=_number(values["loss"]),
        accuracy=_number(values["accuracy"]),
        val_loss=_number(values["val_loss"]) if values["val_loss"] else None,
        val_accuracy=_number(values["val_accuracy"]) if values["val_accuracy"] else None,
        learning_rate=_number(values["learning_rate"]),
        seconds=_number(values["seconds"]),
        compiled=_flag(values["compiled"]),
    )


def _flag(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError(f"{cell!r} is neither 0 nor 1")
    return cell == "1"


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{cell!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not a finite number")
    return value
