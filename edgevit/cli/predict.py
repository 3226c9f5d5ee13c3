"""``edgevit predict``: what is on a photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevit.cli import options

if TYPE_CHECKING:
    from edgevit.runtimes.classifier import Classifier


@click.command(short_help="Name what is on one photo or many.")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN|BUNDLE")
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE..."
)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Labels for each photo."
)
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: Path, images: tuple[Path, ...], top: int, threads: int, as_json: bool) -> int:
    """Name what is on one photo or many.

    A photo that cannot be read is reported and skipped; the exit code is then 2. A photo on
    standard input is called /dev/stdin.

    \b
    Examples:
      edgevit predict runs/pets cat.jpg
      edgevit predict exports/pets.tflite.int8 photos/*.jpg --top 1 --json
    """
    import json

    from edgevit.bench.harness import check_threads
    from edgevit.errors import UnreadableImageError
    from edgevit.runtimes.classifier import open_classifier

    check_threads(threads)
    classifier = open_classifier(model, threads)
    answers: list[dict[str, Any]] = []
    failed = False
    for image in images:
        try:
            predictions = _predictions(classifier, image, top)
        except UnreadableImageError as error:
            click.echo(f"edgevit: error: {error}", err=True)
            failed = True
            continue
        answers.append({"image": str(image), "predictions": predictions})
        if not as_json:
            _print(image, predictions)
    if as_json:
        click.echo(json.dumps(answers, indent=2, ensure_ascii=False))
    return UnreadableImageError.exit_code if failed else 0


def _predictions(classifier: Classifier, image: Path, top: int) -> list[dict[str, Any]]:
    """Return the best labels, best first."""
    from edgevit.metrics import top_k

    pixels = classifier.spec.preprocessing.pixels(image)
    probabilities = classifier.session.invoke(pixels[None])
    return [
        {"label": classifier.labels[index], "probability": float(probabilities[0, index])}
        for index in top_k(probabilities, top)[0].tolist()
    ]


def _print(image: Path, predictions: list[dict[str, Any]]) -> None:
    click.echo(str(image))
    for prediction in predictions:
        click.echo(f"  {100 * prediction['probability']:5.1f} %  {prediction['label']}")
