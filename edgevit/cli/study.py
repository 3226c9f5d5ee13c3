"""``edgevit study``: several models on the same photos, from training to the conclusion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevit.cli import options as shared

if TYPE_CHECKING:
    from edgevit.study.recipe import Recipe

C = TypeVar("C", bound=Callable[..., Any])
_NO_EXPORTS = "none"
# (option of a training, how its value is read, metavar, help)
_OF_TRAINING: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("epochs", int, "N", "Passes over the training photos."),
    ("batch_size", int, "N", "Photos a step."),
    ("image_size", int, "PIXELS", "Edge of the model's input."),
    ("learning_rate", float, "RATE", "Peak of the schedule."),
    ("weights", str, "WHERE", "Where to start: random, a published name, or a weight file."),
    ("augment", str, "NAMES", "Any of flip,rotation,zoom with commas, or none."),
    ("seed", int, "N", "Same seed, same machine: same weights."),
)


def _training_options(command: C) -> C:
    for name, _, metavar, text in reversed(_OF_TRAINING):
        option = click.option(
            f"--{name.replace('_', '-')}",
            name,
            multiple=True,
            metavar=f"[MODEL=]{metavar}",
            help=text,
        )
        command = option(command)
    return command


@click.command(short_help="Train several models on the same photos and compare them.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A data set that `edgevit data` made.  [default: the recipe's]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("study"),
    show_default=True,
    help="The study's folder: runs, exports, measurements, report.",
)
@click.option(
    "--models",
    help="Names that `edgevit models` lists, with commas.  [default: vgg16,vit-scratch,vit-b32, "
    "or none with --run]",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A finished run to take as it is; may be repeated.",
)
@click.option("--recipe", metavar="NAME|FILE", help="A study as a TOML file, or one of edgevit's.")
@_training_options
@click.option("--mixed-precision", is_flag=True, help="Train in 16 bits where the machine can.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    help="Export as tflite, onnx, openvino or all; none for no exports.  [default: tflite]",
)
@click.option(
    "--quantize", "precisions", multiple=True, help="Export in a precision.  [default: int8]"
)
@shared.thread_counts("1")
@click.option(
    "--protocol",
    type=click.Choice(["short", "quick", "full"]),
    help="How long each export is timed: 3 s, 10 s, or the minutes that a comparison with other "
    "machines needs.  [default: short]",
)
@click.option("--title", help="Of the report.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's logs while training.")
@click.option("--force", is_flag=True, help="Train anew what is damaged or has other settings.")
def command(out: Path, force: bool, tensorboard: bool, **options: Any) -> int:
    """Train several models on the same photos, export, measure and compare them.

    OUT/report.html shows the photos, the models, how they learned, how often and where they are
    wrong, what their exports weigh and how fast they are, and a conclusion: which is faster to
    train, more accurate, lighter. It is one file that works offline; OUT/report.md is its summary.

    The same command again continues a study that was stopped: what is trained, exported and
    measured already is not done again. Options of the training may name a model:
    --epochs 20 --epochs vgg16=5. A model is called by its name in the recipe, or by what it is.

    \b
    A recipe is a TOML file; paths in it are relative to its folder:
      title = "Two ways to start"
      data = "data/mine"
      [[model]]                       # any number; options as above: epochs, weights, …
      model = "vit-b32"               # … to train,
      name = "from-nothing"           # its folder below OUT/runs
      weights = "random"
      [[model]]
      run = "runs/vit-b32"            # or a finished run
      [exports]                       # formats, precisions, threads, protocol
      precisions = ["int8"]

    \b
    Examples:
      edgevit study --data data/dogs
      edgevit study --data data/dogs --models vgg16,vit-b32 --epochs 10 --weights vgg16=vgg.h5
      edgevit study --data data/dogs --run runs/vgg16 --run runs/vit-b32
      edgevit study --data data/dogs --recipe scratch-vit-sweep --out sweep

    \b
    Exit codes: 0 done, 1 a model or an export failed and the report says which, 2 bad usage.
    """
    import shlex
    import sys

    from edgevit import console
    from edgevit.data.dataset import Dataset
    from edgevit.errors import InputError
    from edgevit.study.conclusion import conclude
    from edgevit.study.results import notes_of
    from edgevit.study.runner import run_study
    from edgevit.study.writing import conclusion_lines, write_study
    from edgevit.training.signals import StoppedError

    recipe = _recipe(options)
    data = options["data"] or recipe.data
    if data is None:
        raise InputError("no photos are named", "Add --data DIR, which `edgevit data` made")
    dataset = Dataset.load(Path(data))
    try:
        study = run_study(recipe, dataset, out, force=force, tensorboard=tensorboard)
    except StoppedError as stopped:
        again = shlex.join(["edgevit", *sys.argv[1:]])
        console.note(f"Stopped; nothing is lost. Continue with:\n  {again}")
        return stopped.exit_code
    paths = write_study(study, out)
    click.echo("\n".join(conclusion_lines(study, conclude(study))))
    for text in notes_of(study):
        console.note(f"Note: {text}")
    click.echo("\n".join(map(str, paths)))
    failed_rows = 0 if study.bench is None else study.bench.failed_count
    return 1 if study.failures or failed_rows else 0


def _recipe(options: dict[str, Any]) -> Recipe:
    """Return what is to be done: a recipe or the named models, with the options' choices."""
    import dataclasses

    from edgevit.errors import InputError
    from edgevit.study import recipe as recipes

    source, models, runs = options["recipe"], options["models"], options["runs"]
    if source is not None and (models is not None or runs):
        given = "--models" if models is not None else "--run"
        raise InputError(f"--recipe and {given} both say what to study", "Give one of them")
    if source is not None:
        recipe = recipes.read_recipe(source)
    else:
        default = () if runs else recipes.DEFAULT_MODELS
        names = default if models is None else _names(models)
        for name in names:
            if "/" in name:
                raise InputError(f"{name} is no model's name", f"Take a run with --run {name}")
        recipe = recipes.recipe_of(names, runs)
    for name, read, _, _ in _OF_TRAINING:
        if options[name]:
            recipe = recipes.with_choices(recipe, name, _values(name, read, options[name]))
    if options["mixed_precision"]:
        recipe = recipes.with_choices(recipe, "mixed_precision", {None: True})
    if options["title"] is not None:
        recipe = dataclasses.replace(recipe, title=options["title"])
    return dataclasses.replace(recipe, exports=_exports(recipe.exports, options))


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _values(name: str, read: Callable[[str], Any], texts: tuple[str, ...]) -> dict[str | None, Any]:
    """Read ``MODEL=VALUE`` and ``VALUE``."""
    from edgevit.errors import InputError
    from edgevit.training import augmentation

    option = f"--{name.replace('_', '-')}"
    found: dict[str | None, Any] = {}
    for text in texts:
        model, divider, value = text.partition("=")
        # A slash: the path of a weight file that has an = in it.
        named = bool(divider) and "/" not in model
        key, value = (model, value) if named else (None, text)
        if key in found:
            whom = "all models" if key is None else key
            raise InputError(f"{option} is given twice for {whom}", "Give it once")
        try:
            found[key] = augmentation.parse(value) if name == "augment" else read(value)
        except ValueError:
            kind = "a whole number" if read is int else "a number"
            raise InputError(f"{option} {text}: {value!r} is not {kind}", "Give one") from None
    return found


def _exports(exports: Any, options: dict[str, Any]) -> Any:
    import dataclasses

    changed: dict[str, Any] = {
        name: options[name] for name in ("formats", "precisions", "threads") if options[name]
    }
    if _NO_EXPORTS in options["formats"]:
        changed["formats"] = ()
    if options["protocol"] is not None:
        changed["protocol"] = options["protocol"]
    return dataclasses.replace(exports, **changed)
