"""``edgevit bench``: latency, accuracy and drop on this device."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Measure latency, accuracy and drop of bundles on this device.")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path), metavar="[BUNDLE]...")
@click.option(
    "--exports",
    type=click.Path(path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Where bundles are looked for when none is named.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Prepared photos. [default: the ones that each bundle's run was trained on]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads for each model, at most the machine's logical cores.",
)
@click.option(
    "--quick", is_flag=True, help="Time each model for 10 s instead of 60 s: not comparable."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file with every number and sample. [default: results/bench-DATE-TIME.json]",
)
@click.option("--force", is_flag=True, help="Overwrite --out.")
def command(
    bundles: tuple[Path, ...],
    exports: Path,
    data: Path | None,
    threads: int,
    quick: bool,
    out: Path | None,
    force: bool,
) -> int:
    """Measure latency, accuracy and drop of bundles on this device.

    Each BUNDLE is timed on real test photos, one at a time, and then predicts the whole test
    split. Its drop is paired, photo by photo, with the full-precision run it was exported from.
    A run's folder can stand for a BUNDLE, which times Keras on this device.

    \b
    Examples:
      edgevit bench                              every bundle below exports/
      edgevit bench --quick exports/pets.tflite.int8
      edgevit bench --threads 4 --data data/pets --out results/pi5.json

    \b
    Exit codes: 0 all measured, 1 a bundle failed (the others are still measured), 2 bad usage.
    """
    from datetime import datetime

    from edgevit import console
    from edgevit.bench import harness, protocol, table
    from edgevit.bundle import find_bundles
    from edgevit.errors import InputError

    if out is None:
        out = Path("results") / f"bench-{datetime.now():%Y%m%d-%H%M%S}.json"
    if out.exists() and not force:
        raise InputError(f"{out} exists already", "Choose another --out, or add --force")
    result = harness.run_bench(
        bundles or find_bundles(exports),
        data=data,
        threads=threads,
        protocol=protocol.QUICK if quick else protocol.FULL,
        out=out,
    )
    table.print_result(result)
    console.note(f"Every number is in {out}")
    return 1 if result.failed_count else 0
