"""The photos and trained runs of the accuracy study: made once, then taken from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import processes
import stress

from edgevit import console
from edgevit.data.dataset import DATASET_FILE, Dataset
from edgevit.data.demo import write_demo
from edgevit.data.prepare import prepare
from edgevit.errors import CheckFailedError, InputError
from edgevit.preprocessing import Preprocessing
from edgevit.run import RUN_FILE, Run
from edgevit.training.checkpoint import checkpoint_path

# Large enough for every model; smaller sizes are cached when one needs them.
_SIZE = 224


@dataclass(frozen=True)
class Training:
    """What `edgevit train` is told beside the model, the photos and the seed.

    Attributes:
        epochs: ``None`` for the model's own.
        weights: Where to start, by model.
        mixed_precision: Compute in 16 bits.
        others: Options of `edgevit train`, as they are typed.
    """

    epochs: int | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    mixed_precision: bool = False
    others: tuple[str, ...] = ()

    def options(self, model: str) -> list[str]:
        """Return them as `edgevit train` takes them."""
        options = [] if self.epochs is None else ["--epochs", str(self.epochs)]
        if model in self.weights:
            options += ["--weights", self.weights[model]]
        if self.mixed_precision:
            options.append("--mixed-precision")
        return [*options, *self.others]

    def check(self, run: Run, seed: int) -> None:
        """Check that a finished run is what would be trained now, as far as it is recorded.

        Raises:
            InputError: naming what differs.
        """
        training, model = run.record.training, run.record.spec.model
        mixed = training.precision != "float32"
        asked = {
            "seed": (seed, training.seed),
            "epochs": (self.epochs, training.epochs),
            "weights": (self.weights.get(model), training.weights),
            "mixed precision": (self.mixed_precision or None, mixed),
        }
        for name, (wanted, found) in asked.items():
            if wanted is not None and wanted != found:
                raise InputError(
                    f"the run {run.root} was trained with {name} {found}, not {wanted}",
                    "Move it away to train it again, or give another --work",
                )


def make_photos(work: Path, classes: int, per_class: int) -> Dataset:
    """Draw and prepare the procedural photos, unless they are there."""
    folder = work / f"photos-{classes}x{per_class}"
    if not (folder / "data" / DATASET_FILE).is_file():
        write_demo(
            folder / "photos",
            class_count=classes,
            per_class=per_class,
            size=_SIZE,
            seed=0,
            force=True,
        )
        prepare(folder / "photos", folder / "data", preprocessing=Preprocessing(_SIZE, _SIZE))
    return Dataset.load(folder / "data")


def trained(model: str, seed: int, dataset: Dataset, training: Training, work: Path) -> Run:
    """Return the run of a model and a seed; train it if it is not finished.

    Raises:
        CheckFailedError: if the training fails.
        InputError: if there is a finished run of other settings.
    """
    root = work / "runs" / f"{model}.seed{seed}"
    if not (root / RUN_FILE).is_file():
        resume = ["--resume"] if checkpoint_path(root).is_file() else []
        log = work / "logs" / f"{root.name}.train.log"
        command = [
            *(processes.edgevit(), "train", model, "--data", str(dataset.root)),
            *("--seed", str(seed), "--out", str(root), *training.options(model), *resume),
        ]
        console.note(f"Training {root.name}; it says how far it is in {log}")
        with console.step(f"Training {root.name}"):
            outcome = processes.run(command, log=log)
        if outcome.error is not None:
            raise CheckFailedError(f"no run of {root.name}: {outcome.error}", f"See {log}")
    run = Run.load(root)
    if run.record.dataset.sha256 != dataset.sha256:
        raise InputError(
            f"the run {root} was trained on other photos than those in {dataset.root}",
            "Move it away to train it again",
        )
    training.check(run, seed)
    return run


def with_outliers(run: Run, dataset: Dataset, factor: float, seed: int, work: Path) -> Run | None:
    """Return a variant of the run that is harder to quantise; ``None`` if its model has none.

    Raises:
        CheckFailedError: if it could not be made, or is not the same in float32.
    """
    if not stress.fits(run):
        return None
    root = work / "runs" / f"{run.name}.outliers{factor:g}"
    log = work / "logs" / f"{root.name}.log"
    with console.step(f"Making {root.name}"):
        outcome = processes.call(
            stress.write_outliers, run.root, dataset.root, root, factor, seed, log=log
        )
    if outcome.error is not None:
        raise CheckFailedError(f"no run {root.name}: {outcome.error}", f"See {log}")
    return Run.load(root)
