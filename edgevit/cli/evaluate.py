"""``edgevit evaluate``: accuracy on prepared photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevit.bench.accuracy import AccuracyResult


@click.command(short_help="Measure a run's or a bundle's accuracy on prepared photos.")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN|BUNDLE")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of prepared photos."
)
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="Which of the photos.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: Path, data: Path, split: str, threads: int, as_json: bool) -> None:
    """Measure a run's or a bundle's accuracy on prepared photos.

    On the test split the drop against full precision is given too: paired, photo by photo, with
    the answers that the run saved, if the run's folder is still there.

    \b
    Examples:
      edgevit evaluate runs/pets --data data/pets
      edgevit evaluate exports/pets.tflite.int8 --data data/pets --json
    """
    import json

    from edgevit import documents
    from edgevit.bench.accuracy import evaluate_split
    from edgevit.bench.harness import check_threads
    from edgevit.data.dataset import SPLITS, Dataset
    from edgevit.runtimes.classifier import open_classifier

    check_threads(threads)
    dataset = Dataset.load(data)
    classifier = open_classifier(model, threads)
    (split_name,) = (name for name in SPLITS if name == split)
    result = evaluate_split(classifier, dataset, split_name)
    if not as_json:
        click.echo(f"{classifier.name} on the {split} photos of {data}")
        _print(result)
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
    }
    click.echo(json.dumps(body, indent=2, ensure_ascii=False))


def _print(result: AccuracyResult) -> None:
    from edgevit.bench.table import drop_text

    measured = result.accuracy
    click.echo(f"  photos     {measured.image_count:,}")
    click.echo(f"  top-1      {100 * measured.top1:.2f} %")
    click.echo(f"  top-5      {100 * measured.top5:.2f} %")
    click.echo(f"  loss       {measured.loss:.4f}")
    if result.paired is not None or result.unpaired_drop_points is not None:
        click.echo(f"  drop       {drop_text(result)} points, 95 % interval, + is worse")
    if result.paired is not None:
        click.echo(f"  agreement  {100 * result.paired.agreement:.2f} %")
    for note in result.notes:
        click.echo(f"  note       {note}")
