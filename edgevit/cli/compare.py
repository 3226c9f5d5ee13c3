"""``edgevit compare``: two models side by side on the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevit.cli import options, outputs

if TYPE_CHECKING:
    from edgevit.compare.candidates import Candidate
    from edgevit.compare.comparison import Disagreement
    from edgevit.compare.side_by_side import SideBySide
    from edgevit.data.dataset import Dataset, Photo, SplitName

# Classes and disagreements on a terminal; the page has more, and JSON all.
_FEW = 5


@click.command(short_help="Put two models side by side on the same photos.")
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@options.photos("A")
@options.split
@click.option(
    "--across-sizes",
    is_flag=True,
    help="Compare models of different image sizes too, each at its own.",
)
@options.threads
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("compare.html"),
    show_default=True,
    help="The page: one file that needs no network.",
)
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    help="Write the result as Markdown tables too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--force", is_flag=True, help="Overwrite --out and --markdown.")
def command(
    first: Path,
    second: Path,
    data: Path | None,
    split: SplitName,
    across_sizes: bool,
    threads: int,
    out: Path,
    markdown: Path | None,
    as_json: bool,
    force: bool,
) -> None:
    """Put two models side by side on the same photos.

    A and B are folders of runs or bundles, of the same labels and preprocessing. The page shows
    how accurate each is, whether the photos show a difference at all (McNemar's test), class by
    class, and the photos on which the two disagree. A run's own answers to its test photos are
    taken from its folder.

    \b
    Examples:
      edgevit compare runs/vgg16 runs/vit-b32
      edgevit compare runs/pets exports/pets.tflite.int8 -o drop.html --markdown drop.md
      edgevit compare runs/vit-b32 runs/vit-tiny --across-sizes --json
    """
    import json

    from edgevit import storage
    from edgevit.bench.harness import check_threads
    from edgevit.compare.candidates import load_candidate, refuse_same, refuse_unlike
    from edgevit.compare.page import build_comparison_markdown, build_comparison_page
    from edgevit.compare.side_by_side import put_side_by_side

    check_threads(threads)
    wanted = outputs.files_to_write(out, markdown, force=force)
    models = (load_candidate(first), load_candidate(second))
    refuse_same(*models)
    refuse_unlike(*models, across_sizes=across_sizes)
    dataset = _open_dataset(models[0], data, split)
    for path in wanted:
        _refuse_inside(path, (first, second))
        storage.try_writing(path)
    pair = put_side_by_side(*models, dataset, split, threads)
    storage.write_atomically(out, build_comparison_page(pair).encode())
    if markdown is not None:
        storage.write_atomically(markdown, build_comparison_markdown(pair).encode())
    if as_json:
        body = {**_body(pair), "threads": threads, "written": list(map(str, wanted))}
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    _print(pair)
    for path in wanted:
        click.echo(f"Written: {path}")


def _refuse_inside(path: Path, models: Sequence[Path]) -> None:
    """Refuse to write among a model's own files."""
    from edgevit.errors import InputError

    for model in models:
        if model.resolve() in path.resolve().parents:
            raise InputError(
                f"{path} lies in the folder of {model}", "Choose another place for the output"
            )


def _open_dataset(first: Candidate, data: Path | None, split: SplitName) -> Dataset:
    """Open the photos, by default those that the first model was trained on."""
    from edgevit.bench.accuracy import check_classes
    from edgevit.bench.evaluation import DatasetPhotos
    from edgevit.data.dataset import Dataset
    from edgevit.errors import InputError

    path = data or Path(first.dataset.path)
    if data is None and not path.is_dir():
        raise InputError(
            f"the photos that {first.name} was trained on are not at {path}",
            "Copy the data set here and name it: --data DIR",
        )
    dataset = Dataset.load(path)
    if not dataset.split(split).photos:
        raise InputError(
            f"the {split} split of {path} is empty",
            "Choose another --split, or prepare the photos again with a share for it",
        )
    check_classes(first, DatasetPhotos(dataset, split))
    return dataset


def _print(pair: SideBySide) -> None:
    from edgevit.compare.comparison import difference_text
    from edgevit.pages.words import p_value

    comparison, (one, other) = pair.comparison, pair.names
    paired, outcomes = comparison.paired, comparison.outcomes
    facts = [
        (", ".join(filter(None, (fact.heading.lower(), fact.unit))), *fact.texts)
        for fact in pair.facts()
    ]
    click.echo(f"{one} and {other} on {pair.photos_text} of {pair.dataset.root}")
    _print_columns([("", one, other), *facts])
    click.echo()
    click.echo(
        f"  difference  {difference_text(comparison)} points, 95 % interval, + says that {one} is "
        "right more often"
    )
    same = paired.image_count - paired.flips
    click.echo(
        f"  agreement   {100 * paired.agreement:.2f} %: the same label for {same:,} of "
        f"{pair.photos_text}"
    )
    click.echo(f"  McNemar's p {p_value(paired.mcnemar_p)}")
    click.echo(f"  verdict     {pair.verdict}.")
    for note in pair.notes:
        click.echo(f"  note        {note}.")
    click.echo()
    _print_columns(
        [
            ("photos", f"{other} right", f"{other} wrong"),
            (f"{one} right", f"{outcomes.both_right:,}", f"{outcomes.only_first:,}"),
            (f"{one} wrong", f"{outcomes.only_second:,}", f"{outcomes.both_wrong:,}"),
        ]
    )
    _print_classes(pair)
    _print_disagreements(pair)


def _print_classes(pair: SideBySide) -> None:
    comparison = pair.comparison
    rows = [
        (
            pair.labels[item.label],
            f"{item.first_right:,} of {item.photo_count:,}",
            f"{item.second_right:,} of {item.photo_count:,}",
        )
        for item in comparison.differing_classes()[:_FEW]
    ]
    if rows:
        click.echo("\nClasses that differ most, by photos right")
        _print_columns([("", *pair.names), *rows])
    if empty := [pair.labels[item.label] for item in comparison.empty_classes]:
        names = ", ".join(empty[:_FEW]) + (", …" if len(empty) > _FEW else "")
        click.echo(f"\nWithout a {pair.split} photo, so unknown: {len(empty):,} ({names})")


def _print_disagreements(pair: SideBySide) -> None:
    from edgevit.compare.page import answer_text

    click.echo(f"\n{pair.disagreement_text}")
    photos = pair.dataset.split(pair.split).photos
    for item in pair.comparison.disagreements[:_FEW]:
        answers = [
            f"{name}: {answer_text(pair, answer)}"
            for name, answer in zip(pair.names, item.answers, strict=True)
        ]
        click.echo(f"  {pair.labels[item.truth]}: {pair.dataset.photo_path(photos[item.index])}")
        click.echo(f"    {', '.join(answers)}")


def _print_columns(rows: Sequence[tuple[str, str, str]]) -> None:
    """Print a table, the first column to the left, the others to the right."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        gaps = [" " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
        click.echo(f"  {row[0]}{gaps[0]}  {gaps[1]}{row[1]}  {gaps[2]}{row[2]}")


def _body(pair: SideBySide) -> dict[str, Any]:
    """Return everything as plain JSON values."""
    from edgevit import documents

    comparison, labels = pair.comparison, pair.labels
    photos = pair.dataset.split(pair.split).photos
    return {
        "first": _model_body(pair, 0),
        "second": _model_body(pair, 1),
        "dataset": str(pair.dataset.root),
        "dataset_sha256": pair.dataset.sha256,
        "split": pair.split,
        "image_count": comparison.photo_count,
        "paired": documents.encode(comparison.paired),
        "mcnemar_p": comparison.paired.mcnemar_p,
        "outcomes": documents.encode(comparison.outcomes),
        "verdict": pair.verdict,
        "notes": list(pair.notes),
        "classes": [
            {
                **documents.encode(item),
                "label": labels[item.label],
                "first_top1": item.first_top1,
                "second_top1": item.second_top1,
            }
            for item in comparison.classes
        ],
        "disagreements": [
            _disagreement_body(pair, item, photos[item.index]) for item in comparison.disagreements
        ],
    }


def _model_body(pair: SideBySide, index: int) -> dict[str, Any]:
    from edgevit import documents

    candidate = pair.candidates[index]
    accuracy = (pair.comparison.first, pair.comparison.second)[index]
    return {
        "name": candidate.name,
        "path": str(candidate.path),
        "kind": candidate.kind,
        "format": candidate.format,
        "precision": candidate.precision,
        "spec": documents.encode(candidate.spec),
        "parameter_count": candidate.parameter_count,
        "size_bytes": candidate.size_bytes,
        "run_name": candidate.run_name,
        "run_sha256": candidate.run_sha256,
        "same_photos": candidate.dataset.sha256 == pair.dataset.sha256,
        "answers": pair.sources[index],
        "accuracy": documents.encode(accuracy),
    }


def _disagreement_body(pair: SideBySide, item: Disagreement, photo: Photo) -> dict[str, Any]:
    first, second = (
        {"label": pair.labels[answer.label], "probability": answer.probability}
        for answer in item.answers
    )
    return {
        "photo": str(pair.dataset.photo_path(photo)),
        "sha256": photo.sha256,
        "truth": pair.labels[item.truth],
        "right": item.right,
        "first": first,
        "second": second,
    }
