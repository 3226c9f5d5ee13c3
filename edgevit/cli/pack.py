"""``edgevit pack``: bundles, photos and the full-precision reference in one file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Put bundles, photos and the reference into one file for a device.")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path), metavar="[EXPORTS|BUNDLE]...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Prepared photos. [default: the ones that the first bundle's run was trained on]",
)
@click.option(
    "--images",
    "image_limit",
    type=click.IntRange(min=1),
    help="Pack at most so many photos, evenly over the classes. [default: the whole test split]",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bench.zip"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Overwrite --out.")
def command(
    bundles: tuple[Path, ...],
    data: Path | None,
    image_limit: int | None,
    out: Path,
    force: bool,
) -> None:
    """Put bundles, photos and the full-precision reference into one file for a device.

    EXPORTS is a folder of bundles (default: exports). The file holds the models, the test photos as
    pixels with their hashes and labels, and each run's full-precision answers, accuracy, latency
    and device, but no weights of the run and no TensorFlow.

    \b
    Examples:
      edgevit pack exports/ --data data/pets -o bench.zip
      scp bench.zip pi@raspberrypi.local:
      ssh pi@raspberrypi.local edgevit bench bench.zip
    """
    from edgevit.bench.evaluation import DatasetPhotos
    from edgevit.bench.pack import write_pack
    from edgevit.bundle import BUNDLE_FILE, Bundle, find_bundles
    from edgevit.data.dataset import Dataset
    from edgevit.errors import InputError

    folders: list[Path] = []
    for path in bundles or (Path("exports"),):
        folders += [path] if (path / BUNDLE_FILE).is_file() else find_bundles(path)
    opened = [Bundle.load(folder) for folder in folders]
    root = data or Path(opened[0].record.source.dataset.path)
    if not root.is_dir():
        raise InputError(
            f"the photos that {opened[0].name} was trained on are not at {root}",
            "Say where they are: --data DIR",
        )
    photos = DatasetPhotos(Dataset.load(root), "test", image_limit)
    write_pack(out, opened, photos, force=force)
    click.echo(
        f"{out}: {len(opened)} bundle{'' if len(opened) == 1 else 's'}, "
        f"{len(photos.labels):,} photos, {out.stat().st_size / 1e6:.1f} MB"
    )
    click.echo(f"next  copy it to the device and run: edgevit bench {out.name}")
