"""How many answers each export changes, beside the obvious files: ``make accuracy``.

Trains models on procedural photos, exports each run in every format and precision, and compares
the answers to all test photos with full precision's. The same is done for a variant of each ViT
that has outlier channels, which is the same in float and harder to quantise. Photos, runs and the
obvious files are kept in the work folder.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import accuracy_exports as files
import accuracy_runs
import click
import stress
from accuracy_picture import write_picture
from accuracy_report import (
    KIND,
    SCHEMA_VERSION,
    Outcome,
    Row,
    RunResult,
    Study,
    goal_of,
    goals_met,
    outcome_of,
    render,
)
from peers import PEERS

from edgevit import console, documents, storage
from edgevit.data.dataset import Dataset
from edgevit.errors import EdgevitError, InputError
from edgevit.export.registry import LOWERINGS, check_names
from edgevit.machine import describe_machine, installed_versions, version_of
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import Run

_WORK = Path(__file__).parent / ".cache" / "accuracy"
_TRUNK_MODEL = "vgg16"
# The exporter crashed with one variant of a run and not with the other.
_ABSENT = Outcome(None, "it was not made", None)


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        formats: edgevit's, and those of the obvious files.
        precisions: edgevit's.
        obvious: Names of the peers to compare with.
        outliers: The factor; 0 for none.
    """

    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    obvious: tuple[str, ...]
    outliers: float


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def _seeds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _names(context, parameter, value))
    except ValueError:
        raise click.BadParameter("give numbers, such as 0 or 0,1") from None


def _weights(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return where to start by model: ``MODEL=WHERE``, or a file for the trunk of VGG16."""
    found = {}
    for value in values:
        model, given, where = value.partition("=")
        found.update({model: where} if given else {_TRUNK_MODEL: value})
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--models", callback=_names, default="vit-tiny", show_default=True)
@click.option("--seeds", callback=_seeds, default="0,1", show_default=True, help="Of the training.")
@click.option("--classes", type=int, default=24, show_default=True)
@click.option("--per-class", type=int, default=140, show_default=True, help="A fifth is tested.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Prepared photos, instead of drawing some."
)
@click.option("--epochs", type=click.IntRange(min=1), show_default="the model's")
@click.option(
    "--weights",
    multiple=True,
    callback=_weights,
    help="Where training starts: a file for VGG16's trunk, or MODEL=WHERE; can be repeated.",
)
@click.option("--mixed-precision", is_flag=True, help="Train in 16 bits.")
@click.option(
    "--train-options", default="", help="More options of `edgevit train`, in one pair of quotes."
)
@click.option(
    "--outliers",
    type=click.FloatRange(min=0),
    default=40,
    show_default=True,
    help="Factor of the outlier channels, from half to one and a half times it; 0 for none.",
)
@click.option("--formats", callback=_names, default="tflite,onnx,openvino", show_default=True)
@click.option("--precisions", callback=_names, default="fp16,int8,int8-full", show_default=True)
@click.option(
    "--peers", callback=_names, default=",".join(files.OBVIOUS), help="The obvious files to make."
)
@click.option("--no-peers", is_flag=True, help="Make none of them.")
@click.option("--work", type=click.Path(path_type=Path), default=_WORK, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/accuracy.md"),
    show_default=True,
    help="The table; the numbers and the picture go beside it as .json and .png.",
)
def main(
    models: tuple[str, ...],
    seeds: tuple[int, ...],
    classes: int,
    per_class: int,
    data: Path | None,
    epochs: int | None,
    weights: dict[str, str],
    mixed_precision: bool,
    train_options: str,
    outliers: float,
    formats: tuple[str, ...],
    precisions: tuple[str, ...],
    peers: tuple[str, ...],
    no_peers: bool,
    work: Path,
    out: Path,
) -> None:
    """Compare the answers of every export with full precision's, and print the table."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    others = tuple(shlex.split(train_options))
    training = accuracy_runs.Training(epochs, weights, mixed_precision, others)
    try:
        _check(models, formats, precisions, peers)
        obvious = () if no_peers else files.choose_obvious(formats, peers)
        plan = Plan(formats, precisions, obvious, outliers)
        dataset = _dataset(data, work.resolve(), classes, per_class)
        study = _empty_study(dataset, plan)
        # Runs on other photos are other runs.
        folder = work.resolve() / dataset.sha256[:12]
        for model in models:
            for seed in seeds:
                run = accuracy_runs.trained(model, seed, dataset, training, folder)
                result = _measure(run, seed, dataset, plan, folder)
                study = dataclasses.replace(study, runs=(*study.runs, result))
                # After each run: what goes wrong later shall not cost what is measured.
                _write(study, out)
    except EdgevitError as error:
        raise click.ClickException(str(error)) from error
    click.echo(render(study, out.with_suffix(".png").name))
    met, goals = goals_met(study)
    console.note(f"{met} of {goals} goals reached; the table, .json and .png are at {out}")


def _check(
    models: Sequence[str], formats: Sequence[str], precisions: Sequence[str], peers: Sequence[str]
) -> None:
    """Check the spelling of what was asked for, before any work."""
    for model in models:
        ARCHITECTURES.get(model)
    for name in formats:
        LOWERINGS.get(name)
    check_names(formats, precisions)
    if unknown := sorted(set(peers) - set(files.OBVIOUS)):
        raise InputError(f"unknown peer {unknown[0]!r}", f"Valid: {', '.join(files.OBVIOUS)}")


def _dataset(data: Path | None, work: Path, classes: int, per_class: int) -> Dataset:
    if data is not None:
        return Dataset.load(data.resolve())
    return accuracy_runs.make_photos(work, classes, per_class)


def _empty_study(dataset: Dataset, plan: Plan) -> Study:
    libraries = {library for name in plan.obvious for library in PEERS[name].libraries}
    versions = {name: version_of(name) for name in sorted(libraries)}
    return Study(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=describe_machine(),
        versions=installed_versions() | {name: text for name, text in versions.items() if text},
        dataset=str(dataset.root),
        dataset_sha256=dataset.sha256,
        classes=len(dataset.classes),
        train_count=len(dataset.split("train").photos),
        test_count=len(dataset.split("test").photos),
        outliers=plan.outliers,
        outlier_channels=stress.CHANNELS,
        runs=(),
    )


def _measure(run: Run, seed: int, dataset: Dataset, plan: Plan, work: Path) -> RunResult:
    variant = None
    if plan.outliers:
        variant = accuracy_runs.with_outliers(run, dataset, plan.outliers, seed, work)
    plain = _outcomes(run, dataset, plan, work)
    harder = {} if variant is None else _outcomes(variant, dataset, plan, work)
    rows = tuple(
        Row(
            name=name,
            ours=precision is not None,
            at_least=goal_of(run.record.spec.model, precision),
            plain=plain.get((name, precision), _ABSENT),
            outlier=None if variant is None else harder.get((name, precision), _ABSENT),
        )
        for name, precision in dict.fromkeys((*plain, *harder))
    )
    difference = stress.read_outliers(variant.root).max_difference if variant else None
    return RunResult(
        model=run.record.spec.model,
        seed=seed,
        run_sha256=run.sha256,
        epochs=run.record.training.epochs,
        top1=run.record.reference.accuracy.top1,
        unsure_count=files.count_unsure(run.reference()),
        outlier_difference=difference,
        rows=rows,
    )


def _outcomes(
    run: Run, dataset: Dataset, plan: Plan, work: Path
) -> dict[tuple[str, str | None], Outcome]:
    """Make, ask and judge every file of a run; return what came of it by name and precision."""
    made = (
        *files.make_exports(run, dataset.root, plan.formats, plan.precisions, work),
        *files.make_obvious(run, dataset.root, plan.obvious, work),
    )
    outcomes = {}
    for number, file in enumerate(made):
        log = work / "logs" / f"{run.name}.{number}.log"
        measured = files.measure(file, run, dataset.root, log)
        goal = goal_of(run.record.spec.model, file.precision)
        outcomes[file.name, file.precision] = outcome_of(measured, goal)
    return outcomes


def _write(study: Study, out: Path) -> None:
    picture = out.with_suffix(".png")
    documents.write(out.with_suffix(".json"), KIND, SCHEMA_VERSION, study)
    write_picture(picture, study)
    storage.write_atomically(out, render(study, picture.name).encode())


if __name__ == "__main__":
    main()
