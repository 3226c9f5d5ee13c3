"""``edgevit train``."""

from __future__ import annotations

import dataclasses
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevit import console
from edgevit.errors import InputError

if TYPE_CHECKING:
    from edgevit.run import RunRecord
    from edgevit.training.choices import TrainChoices
    from edgevit.training.settings import TrainSettings

RUNS = Path("runs")
_MAX_BATCH_SIZE = 4096
_MAX_IMAGE_SIZE = 1024
_MODELS_OWN = "the model's"


class _PositiveNumber(click.FloatRange):
    """Above 0, and neither NaN nor infinite, which a range of click's lets through."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.command()
@click.argument("model")
@click.option(
    "--data",
    "data_folder",
    type=click.Path(path_type=Path),
    required=True,
    help="A data set that `edgevit data` made.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The run's folder.  [default: runs/MODEL, else runs/MODEL-2, …]",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    show_default=_MODELS_OWN,
    help="Passes over the training photos.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, _MAX_BATCH_SIZE),
    show_default=_MODELS_OWN,
    help="Photos a step; at most all training photos.",
)
@click.option(
    "--image-size",
    type=click.IntRange(1, _MAX_IMAGE_SIZE),
    show_default=_MODELS_OWN,
    help="Edge in pixels.",
)
@click.option(
    "--learning-rate",
    type=_PositiveNumber(),
    show_default=_MODELS_OWN,
    help="Peak of the schedule.",
)
@click.option(
    "--weights",
    help="Where to start: random, a published name (`edgevit models --json`), or a weight file.  "
    "[default: the model's published ones, else random]",
)
@click.option(
    "--augment",
    show_default=_MODELS_OWN,
    help="Any of flip,rotation,zoom with commas, or none.",
)
@click.option(
    "--mixed-precision",
    is_flag=True,
    help="Compute in 16 bits: float16 on a GPU, bfloat16 on a CPU that has it.",
)
@click.option("--multi-gpu", is_flag=True, help="Split every batch over all GPUs.")
@click.option(
    "--tensorboard",
    is_flag=True,
    help="Log every epoch for TensorBoard, in the run's folder tensorboard/.",
)
@click.option("--resume", is_flag=True, help="Continue a training that was stopped.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    show_default="0",
    help="Same seed, same machine: same weights.",
)
@click.option("--force", is_flag=True, help="Replace the run that is in --out.")
def command(model: str, data_folder: Path, out: Path | None, **options: Any) -> int:
    """Train MODEL on prepared photos and measure it on the test split.

    MODEL is a name that `edgevit models` lists. The run's folder gets the weights of the best
    validation epoch, the full-precision answers on the test split that every export is compared
    with, the history, and pictures of both.

    Ctrl-C (or SIGTERM) stops after the step and writes a checkpoint; --resume continues from it,
    to the same weights as without the stop. Options that --resume is not given are those of the
    checkpoint.

    A log that --tensorboard writes changes nothing else, and --resume continues it. Look at it,
    during the training too, with `tensorboard --logdir RUN/tensorboard` (pip install tensorboard).

    \b
    Examples:
      edgevit train vit-tiny --data data/demo
      edgevit train vit-b32 --data data/dogs --epochs 20 --batch-size 64
      edgevit train vgg16 --data data/dogs --weights imagenet --augment flip,zoom
      edgevit train vit-b32 --data data/dogs --weights ViT-B_32.npz --mixed-precision
      edgevit train vit-b32 --data data/dogs --resume
    """
    from edgevit.data.dataset import Dataset
    from edgevit.models.registry import ARCHITECTURES
    from edgevit.training import checkpoint, job, signals
    from edgevit.training.choices import resolve

    if options["resume"] and options["force"]:
        raise InputError("--resume continues a run and --force replaces it", "Give one of them")
    architecture = ARCHITECTURES.get(model)
    dataset = Dataset.load(data_folder)
    job.check_dataset(dataset)
    folder = out or (newest_unfinished(model) if options["resume"] else free_folder(model))
    job.check_folder(folder, resume=options["resume"], force=options["force"])
    choices = _choices(options)
    saved = checkpoint.read_record(folder).settings if options["resume"] else None
    settings = resolve(architecture, dataset, choices, saved)
    train_job = job.TrainJob(
        architecture,
        dataset,
        settings,
        folder,
        resume=options["resume"],
        force=options["force"],
        tensorboard=options["tensorboard"],
    )
    console.note(f"Training {model} on {data_folder}: {_summary(settings)}")
    again = shlex.join(
        ["edgevit", "train", model, "--data", str(data_folder), "--out", str(folder), "--resume"]
    )
    try:
        record = job.run_job(train_job)
    except signals.StoppedError as stopped:
        console.note(f"Stopped; nothing is lost. Continue with:\n  {again}")
        return stopped.exit_code
    except OSError:
        if checkpoint.checkpoint_path(folder).is_file():
            console.note(f"The last checkpoint is whole. Once this is mended:\n  {again}")
        raise
    _print_result(record, folder)
    return 0


def free_folder(model: str) -> Path:
    """Return the first of ``runs/MODEL``, ``runs/MODEL-2``, … that is absent or empty."""
    number = 1
    while True:
        folder = RUNS / (model if number == 1 else f"{model}-{number}")
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return folder
        number += 1


def newest_unfinished(model: str) -> Path:
    """Return the run of ``model`` below ``runs/`` whose checkpoint is the newest.

    Damaged checkpoints are passed over, with a note.

    Raises:
        InputError: if there is none.
    """
    from edgevit.run import RUN_FILE
    from edgevit.training import checkpoint

    found = []
    for folder in RUNS.glob("*/"):
        path = checkpoint.checkpoint_path(folder)
        if not path.is_file() or (folder / RUN_FILE).exists():
            continue
        try:
            record = checkpoint.read_record(folder)
        except InputError as error:
            console.note(f"Passing over {folder}: {error.problem}")
            continue
        if record.settings.spec.model == model:
            found.append((path.stat().st_mtime_ns, folder))
    if not found:
        raise InputError(
            f"there is no unfinished run of {model} below {RUNS}/",
            "Start it without --resume, or name its folder with --out",
        )
    return max(found)[1]


def _choices(options: dict[str, Any]) -> TrainChoices:
    from edgevit.training import augmentation
    from edgevit.training.choices import TrainChoices

    names = {field.name for field in dataclasses.fields(TrainChoices)}
    given = {name: value for name, value in options.items() if name in names}
    if given["augment"] is not None:
        given["augment"] = augmentation.parse(given["augment"])
    return TrainChoices(**given)


def _summary(settings: TrainSettings) -> str:
    epochs = "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"
    return (
        f"{epochs}, batch {settings.batch_size}, learning rate "
        f"{settings.learning_rate:g}, weights {settings.weights}, augmentation "
        f"{','.join(settings.augment) or 'none'}, {settings.precision}, seed {settings.seed}"
    )


def _print_result(record: RunRecord, folder: Path) -> None:
    from edgevit.training import tensorboard

    accuracy, reference = record.reference.accuracy, record.reference
    run_argument = shlex.quote(str(folder))
    click.echo(
        f"test top-1  {100 * accuracy.top1:.2f} %\n"
        f"test top-5  {100 * accuracy.top5:.2f} %\n"
        f"test loss   {accuracy.loss:.4f}\n"
        f"photos      {accuracy.image_count}\n"
        f"kept        epoch {record.training.best_epoch} of {record.training.epochs}\n"
        f"latency     {reference.latency_ms_p50:.1f} ms p50, {reference.latency_ms_p90:.1f} ms "
        f"p90 on {reference.device} (a short measurement; `edgevit bench` makes a full one)\n"
        f"files       {folder}/ ({', '.join(sorted(record.files))})\n"
        f"next        edgevit export {run_argument} --format tflite --quantize int8"
    )
    if tensorboard.own_files(folder):
        log = shlex.quote(str(folder / tensorboard.FOLDER))
        click.echo(f"curves      tensorboard --logdir {log}")
