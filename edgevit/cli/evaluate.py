"""``edgevit evaluate``: accuracy on prepared photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevit.cli import options

if TYPE_CHECKING:
    from edgevit.bench.accuracy import AccuracyResult
    from edgevit.runtimes.classifier import Classifier


@click.command(short_help="Measure a run's or a bundle's accuracy on prepared photos.")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN|BUNDLE")
@options.photos("the run")
@options.split
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: Path, data: Path | None, split: str, threads: int, as_json: bool) -> None:
    """Measure a run's or a bundle's accuracy on prepared photos.

    On the test split the drop against full precision is given too: paired, photo by photo, with
    the answers that the run saved, if the run's folder is still there.

    \b
    Examples:
      edgevit evaluate runs/pets
      edgevit evaluate exports/pets.tflite.int8 --data data/pets --json
    """
    import json

    from edgevit import documents
    from edgevit.bench.accuracy import evaluate
    from edgevit.bench.evaluation import DatasetPhotos
    from edgevit.bench.harness import check_threads
    from edgevit.bench.table import claim_text
    from edgevit.data.dataset import SPLITS, Dataset
    from edgevit.errors import InputError
    from edgevit.runtimes.classifier import open_classifier

    check_threads(threads)
    classifier = open_classifier(model, threads)
    data = data or _trained_on(classifier)
    dataset = Dataset.load(data)
    (split_name,) = (name for name in SPLITS if name == split)
    if not dataset.split(split_name).photos:
        raise InputError(
            f"the {split} split of {data} is empty",
            "Choose another --split, or prepare the photos again with a share for it",
        )
    result = evaluate(classifier, DatasetPhotos(dataset, split_name))
    if not as_json:
        click.echo(f"{classifier.name} on the {split} photos of {data}")
        _print(result, len(classifier.labels))
        return
    body = {
        "name": classifier.name,
        "kind": classifier.kind,
        "format": classifier.format,
        "precision": classifier.precision,
        "dataset": str(data),
        "same_photos": dataset.sha256 == classifier.dataset.sha256,
        "split": split,
        "threads": threads,
        "result": documents.encode(result),
        "flips": None if result.paired is None else result.paired.flips,
        "mcnemar_p": None if result.paired is None else result.paired.mcnemar_p,
        "claim": claim_text(result),
    }
    click.echo(json.dumps(body, indent=2, ensure_ascii=False))


def _trained_on(classifier: Classifier) -> Path:
    from edgevit.errors import InputError

    path = Path(classifier.dataset.path)
    if not path.is_dir():
        raise InputError(
            f"the photos that {classifier.name} was trained on are not at {path}",
            "Copy the data set here and name it: --data DIR",
        )
    return path


def _print(result: AccuracyResult, class_count: int) -> None:
    from edgevit.bench.table import claim_text, drop_text
    from edgevit.metrics import has_top5

    measured = result.accuracy
    click.echo(f"  photos     {measured.image_count:,}")
    click.echo(f"  top-1      {100 * measured.top1:.2f} %")
    if has_top5(class_count):
        click.echo(f"  top-5      {100 * measured.top5:.2f} %")
    click.echo(f"  loss       {measured.loss:.4f}")
    if result.paired is not None or result.unpaired_drop_points is not None:
        click.echo(f"  drop       {drop_text(result)} points, 95 % interval, + is worse")
    if (paired := result.paired) is not None:
        click.echo(
            f"  agreement  {100 * paired.agreement:.2f} %: {paired.flips:,} of "
            f"{paired.image_count:,} labels changed, {paired.newly_wrong:,} newly wrong, "
            f"{paired.newly_right:,} newly right (McNemar's p {paired.mcnemar_p:.2g})"
        )
    if (text := claim_text(result)) is not None:
        click.echo(f"  claim      {text}")
    for note in result.notes:
        click.echo(f"  note       {note}")
