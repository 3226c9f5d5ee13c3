"""The training loop: epochs, validation, checkpoints, and stopping between two steps."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import CheckFailedError, InputError
from edgevit.training import checkpoint, history, pipeline
from edgevit.training.backend import dtype_policy, strategy_over
from edgevit.training.checkpoint import CheckpointRecord, Position, Tensors
from edgevit.training.history import EpochRow
from edgevit.training.optimisation import build_optimizer
from edgevit.training.pipeline import Examples
from edgevit.training.progress import Progress
from edgevit.training.schedule import learning_rate
from edgevit.training.settings import TrainSettings
from edgevit.training.signals import StopRequest
from edgevit.training.steps import Steps, Sums
from edgevit.training.tensorboard import TensorBoardLog

if TYPE_CHECKING:
    import keras

_SHOWN_EVERY_S = 0.2
# An epoch of VGG16 on a small CPU takes hours: a checkpoint is then written within it too.
_CHECKPOINT_EVERY_S = 600.0


class Trainer:
    """Trains one model on one data set.

    Args:
        build: Builds the model, with its first weights.
        settings: Everything that decides the outcome.
        train: The training photos.
        val: The validation photos; may be empty.
        folder: The run's folder, for checkpoints.
    """

    def __init__(
        self,
        build: Callable[[], keras.Model],
        settings: TrainSettings,
        train: Examples,
        val: Examples,
        folder: Path,
    ) -> None:
        self._settings = settings
        self._train = train
        self._val = val
        self._folder = folder
        strategy = strategy_over(settings.devices)
        with strategy.scope(), dtype_policy(settings.precision):
            self.model = build()
            self._optimizer = build_optimizer(self.model, settings, strategy.num_replicas_in_sync)
        self._steps = Steps(self.model, self._optimizer, strategy, settings)
        self.steps_per_epoch = pipeline.steps_per_epoch(len(train), settings.batch_size)
        self._total_steps = settings.epochs * self.steps_per_epoch
        self._position = Position()
        self._rows: tuple[EpochRow, ...] = ()
        self._is_compiled = False
        self._best_weights: list[npt.NDArray[Any]] = []

    @property
    def rows(self) -> tuple[EpochRow, ...]:
        """The finished epochs."""
        return self._rows

    @property
    def seconds(self) -> float:
        """Time spent training, over all resumed processes."""
        return self._position.seconds

    @property
    def best_weights(self) -> Sequence[npt.NDArray[Any]]:
        """The weights to keep, in the order of ``model.weights``."""
        return self._best_weights

    def run(self, stop: StopRequest, progress: Progress, log: TensorBoardLog | None = None) -> None:
        """Train what is left of the epochs.

        Args:
            stop: Ends the training between two steps.
            progress: Shows steps and epochs.
            log: Gets every epoch too.

        Raises:
            StoppedError: if a signal came; a checkpoint was written.
            CheckFailedError: if the loss is no longer a number.
        """
        while self._position.epoch < self._settings.epochs:
            row = self._run_epoch(stop, progress)
            if log is not None:
                log.epoch(row)
            stop.check()

    def _run_epoch(self, stop: StopRequest, progress: Progress) -> EpochRow:
        started = time.monotonic() - self._position.epoch_seconds
        self._train_rest_of_epoch(started, stop, progress)
        progress.validating(self._position.epoch)
        val = self._validate(stop, started)
        sums = self._steps.train_counter.read()
        last_step = (self._position.epoch + 1) * self.steps_per_epoch - 1
        row = EpochRow(
            epoch=self._position.epoch + 1,
            loss=sums.loss,
            accuracy=sums.accuracy,
            val_loss=val.loss if val else None,
            val_accuracy=val.accuracy if val else None,
            learning_rate=self._learning_rate(last_step),
            seconds=time.monotonic() - started,
            compiled=not self._is_compiled,
        )
        self._is_compiled = True
        if history.better(row, history.best_row(self._rows)):
            self._best_weights = [v.numpy().copy() for v in self.model.weights]
        self._rows = (*self._rows, row)
        seconds = self._position.seconds + row.seconds
        self._position = Position(epoch=self._position.epoch + 1, seconds=seconds)
        self._steps.train_counter.set(Sums())
        self._save()
        history.write_csv(self._folder / history.HISTORY_FILE, self._rows)
        progress.epoch(row)
        return row

    def _train_rest_of_epoch(self, started: float, stop: StopRequest, progress: Progress) -> None:
        position, settings = self._position, self._settings
        order = pipeline.epoch_order(len(self._train), settings.seed, position.epoch)
        batches = pipeline.batches(self._train, order, settings.batch_size, first=position.step)
        first_step = position.epoch * self.steps_per_epoch
        shown = saved = time.monotonic()
        for done, batch in enumerate(batches, start=position.step + 1):
            step = first_step + done - 1
            self._steps.train(batch, step, self._learning_rate(step))
            now = time.monotonic()
            if now - shown > _SHOWN_EVERY_S or done == self.steps_per_epoch:
                shown = now
                self._show(progress, done)
            if stop.pending or now - saved > _CHECKPOINT_EVERY_S:
                saved = now
                self._save_within_epoch(done, started)
                stop.check()
        self._position = dataclasses.replace(position, step=self.steps_per_epoch)

    def _learning_rate(self, step: int) -> float:
        return learning_rate(step, self._total_steps, self._settings.learning_rate)

    def _show(self, progress: Progress, done: int) -> None:
        self._refuse_bad_loss()
        sums = self._steps.train_counter.read()
        progress.step(self._position.epoch, done, sums.loss, sums.accuracy)

    def _refuse_bad_loss(self) -> None:
        bad_step = self._steps.bad_step
        if bad_step is not None:
            epoch, step = divmod(bad_step, self.steps_per_epoch)
            raise CheckFailedError(
                f"the loss is no number any more at epoch {epoch + 1}, step {step + 1} of "
                f"{self.steps_per_epoch}",
                self._calmer_remedy(),
            )

    def _calmer_remedy(self) -> str:
        remedy = f"Train with a --learning-rate below {self._settings.learning_rate:g}"
        if self._settings.precision == "float32":
            return remedy
        return f"{remedy}, or without --mixed-precision"

    def _validate(self, stop: StopRequest, started: float) -> Sums | None:
        if len(self._val) == 0:
            return None
        self._steps.eval_counter.set(Sums())
        order = np.arange(len(self._val))
        for batch in pipeline.batches(self._val, order, self._settings.batch_size):
            if stop.pending:
                # The position says that all steps are done: resuming validates first.
                self._save_within_epoch(self.steps_per_epoch, started)
                stop.check()
            self._steps.evaluate(batch)
        sums = self._steps.eval_counter.read()
        if not np.isfinite(sums.loss):
            raise CheckFailedError(
                f"the validation loss is {sums.loss} after epoch {self._position.epoch + 1}",
                self._calmer_remedy(),
            )
        return sums

    def _save_within_epoch(self, done: int, started: float) -> None:
        self._refuse_bad_loss()
        sums = self._steps.train_counter.read()
        self._position = dataclasses.replace(
            self._position,
            step=done,
            loss_sum=sums.loss_sum,
            correct=sums.correct,
            seen=sums.seen,
            epoch_seconds=time.monotonic() - started,
        )
        self._save()

    def _save(self) -> None:
        checkpoint.write_checkpoint(
            self._folder, self._settings, self._position, self._rows, self._tensors()
        )

    def _variables(self) -> dict[str, Any]:
        """Return everything that a step changes, by its name in the checkpoint."""
        named = {f"model/{i:05d}": v for i, v in enumerate(self.model.variables)}
        return named | {f"optimizer/{i:05d}": v for i, v in enumerate(self._optimizer.variables)}

    def _tensors(self) -> Tensors:
        tensors = {name: variable.numpy() for name, variable in self._variables().items()}
        return tensors | {f"best/{i:05d}": array for i, array in enumerate(self._best_weights)}

    def restore(self, record: CheckpointRecord) -> None:
        """Continue from a checkpoint of the run's folder.

        Raises:
            InputError: if its settings differ from this training's, or it is damaged.
        """
        self._settings.refuse_difference(record.settings)
        tensors = checkpoint.read_tensors(self._folder, record)
        variables = self._variables()
        expected = {name: (tuple(v.shape), v.dtype) for name, v in variables.items()}
        found = {
            name: (array.shape, str(array.dtype))
            for name, array in tensors.items()
            if not name.startswith("best/")
        }
        if found != expected:
            raise InputError(
                f"the checkpoint in {self._folder} was written by another version of edgevit, "
                "Keras or TensorFlow: its tensors differ",
                "Resume with the versions that wrote it, or start anew with --force",
            )
        for name, variable in variables.items():
            variable.assign(tensors[name])
        self._best_weights = [tensors[n] for n in sorted(tensors) if n.startswith("best/")]
        self._rows = record.history
        self._position = record.position
        position = record.position
        self._steps.train_counter.set(Sums(position.loss_sum, position.correct, position.seen))
