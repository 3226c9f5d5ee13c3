"""How far the training is: a bar on a terminal, else one line per epoch."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from edgevit import console
from edgevit.pages.words import duration
from edgevit.training.history import EpochRow

# Below it the numbers take the bar's place.
_BAR_FROM_COLUMNS = 80


class Progress:
    """Shows steps and epochs on standard error.

    Args:
        epochs: Epochs of the whole training.
        steps: Steps of an epoch.
    """

    def __init__(self, epochs: int, steps: int) -> None:
        self._epochs = epochs
        self._steps = steps
        self._bar: Any = None
        self._task: Any = None
        self._started = time.monotonic()
        self._first_step: int | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar
            from rich.table import Column

            terminal = Console(stderr=True)
            numbers = TextColumn(
                "{task.completed:.0f}/{task.total:.0f} {task.fields[numbers]}",
                # On narrow terminals it goes on in a second line instead of being cut.
                table_column=Column(no_wrap=terminal.width >= _BAR_FROM_COLUMNS),
            )
            bar = [BarColumn()] if terminal.width >= _BAR_FROM_COLUMNS else []
            self._bar = Bar(
                TextColumn("{task.description}"), *bar, numbers, console=terminal, transient=True
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._steps, numbers="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        """Show that ``step`` steps of ``epoch`` (from 0) are done."""
        left = self._time_left(epoch * self._steps + step)
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=f"epoch {epoch + 1}/{self._epochs}",
                completed=step,
                numbers=f"loss {loss:.3f}  accuracy {100 * accuracy:.1f} %  {left}",
            )

    def validating(self, epoch: int) -> None:
        """Show that the validation of ``epoch`` (from 0) runs."""
        if self._bar is not None:
            self._bar.update(
                self._task, description=f"epoch {epoch + 1}/{self._epochs}", numbers="validating"
            )

    def epoch(self, row: EpochRow) -> None:
        """Print a finished epoch."""
        line = epoch_line(row, self._epochs)
        left = self._time_left(row.epoch * self._steps)
        if left and row.epoch < self._epochs:
            line = f"{line}, {left}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            console.note(line)

    def _time_left(self, done: int) -> str:
        """Return the estimated time to the end of the training, in words.

        Args:
            done: Steps done since the start of the training, earlier processes included.
        """
        now = time.monotonic()
        if self._first_step is None:
            # The first step is the compiler's: time counts from here.
            self._first_step, self._started = done, now
        measured = done - self._first_step
        if measured < 1:
            return ""
        seconds = (now - self._started) / measured * (self._epochs * self._steps - done)
        return f"{duration(seconds)} left"


def epoch_line(row: EpochRow, epochs: int) -> str:
    """Return one epoch in words."""
    line = f"epoch {row.epoch}/{epochs}: loss {row.loss:.4f}, accuracy {100 * row.accuracy:.1f} %"
    if row.val_loss is not None and row.val_accuracy is not None:
        line += f", val loss {row.val_loss:.4f}, val accuracy {100 * row.val_accuracy:.1f} %"
    return f"{line}, {duration(row.seconds)}"
