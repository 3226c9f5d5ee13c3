"""``edgevit data``: make the demo photos, or prepare photos for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevit.data import limits

if TYPE_CHECKING:
    from edgevit.data.dataset import Dataset

_SHOWN_SKIPS = 5

_out = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write; made in one go."
)
_seed = click.option(
    "--seed",
    type=click.IntRange(*limits.SEED),
    default=0,
    show_default=True,
    help="Another seed gives another set; the same seed gives the same one.",
)
_force = click.option("--force", is_flag=True, help="Replace what the same command wrote before.")


@click.group(name="data")
def command() -> None:
    """Make or prepare a set of labelled photos.

    \b
    No photos at hand? Draw some, then prepare them:
      edgevit data demo --out photos
      edgevit data prepare photos --out data/demo
    """


@command.command()
@_out
@click.option(
    "--classes",
    type=click.IntRange(*limits.DEMO_CLASSES),
    default=12,
    show_default=True,
    help="Kinds of things.",
)
@click.option(
    "--per-class",
    type=click.IntRange(*limits.DEMO_PER_CLASS),
    default=80,
    show_default=True,
    help="Photos of each kind.",
)
@click.option(
    "--size",
    type=click.IntRange(*limits.DEMO_SIZE),
    default=224,
    show_default=True,
    help="Height and width, pixels.",
)
@_seed
@_force
def demo(out: Path, classes: int, per_class: int, size: int, seed: int, force: bool) -> None:
    """Draw a demo set: photos of patterned things, a folder per kind.

    The things are told apart by colour, pattern and shape. About 5 photos in 100 are drawn
    between two kinds, so that even a perfect classifier reaches 97 to 98 %: room for a quantised
    model to be measurably worse.

    \b
    Examples:
      edgevit data demo --out photos
      edgevit data demo --out photos --classes 24 --per-class 200 --seed 7
    """
    from edgevit.data.demo import write_demo

    write_demo(out, class_count=classes, per_class=per_class, size=size, seed=seed, force=force)
    click.echo(f"{classes * per_class} photos of {classes} classes are in {out}")
    click.echo(f"Next: edgevit data prepare {_quoted(out)} --out data/demo")


@command.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@_out
@click.option(
    "--size",
    type=click.IntRange(16, 1024),
    default=224,
    show_default=True,
    help="Height and width to cache, pixels; other sizes are cached when a model needs them.",
)
@click.option(
    "--val-share",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of each class for choosing the best epoch.",
)
@click.option(
    "--test-share",
    type=float,
    default=None,
    help="Share of each class for the final measurement.  [default: 0.2, or the official list]",
)
@_seed
@_force
def prepare(
    source: Path,
    out: Path,
    size: int,
    val_share: float,
    test_share: float | None,
    seed: int,
    force: bool,
) -> None:
    """Check, split and cache photos, so that models can be trained on them.

    SRC is a folder that holds one folder of photos per class, or the official Stanford Dogs
    download (its folder Images with the lists, or images.tar and lists.tar), or a tar file of
    either. Photos that cannot be read, and copies of others, are left out and listed.

    \b
    Examples:
      edgevit data prepare photos --out data/mine
      edgevit data prepare ~/stanford_dogs --out data/dogs
      edgevit data prepare photos.tar.gz --out data/mine --size 64 --test-share 0.3
    """
    from edgevit.data.prepare import prepare as prepare_photos
    from edgevit.preprocessing import Preprocessing

    dataset = prepare_photos(
        source,
        out,
        preprocessing=Preprocessing(size, size),
        val_share=val_share,
        test_share=test_share,
        seed=seed,
        force=force,
    )
    _summarise(dataset)
    if dataset.split("test").photos:
        click.echo(f"Next: edgevit train vit-tiny --data {_quoted(out)}")
    else:
        click.echo(
            "There is no test photo, and training needs some: prepare the photos again with "
            "--test-share above 0, or add photos",
            err=True,
        )


def _summarise(dataset: Dataset) -> None:
    from edgevit.data.dataset import DATASET_FILE, SPLITS

    counts = ", ".join(f"{len(dataset.split(name).photos)} {name}" for name in SPLITS)
    click.echo(
        f"{len(dataset.photos)} photos of {len(dataset.classes)} classes ({counts}) "
        f"are in {dataset.root}"
    )
    skipped = dataset.record.skipped
    if not skipped:
        return
    files = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    click.echo(f"{files} left out:", err=True)
    for item in skipped[:_SHOWN_SKIPS]:
        click.echo(f"  {item.path}: {item.reason}", err=True)
    if len(skipped) > _SHOWN_SKIPS:
        path = dataset.root / DATASET_FILE
        click.echo(f"  … and {len(skipped) - _SHOWN_SKIPS} more, in {path}", err=True)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
