"""``edgevit export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevit.bundle import RungRecord


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    default="tflite",
    show_default=True,
    help="File format of the model: tflite.",
)
@click.option(
    "--quantize",
    "precisions",
    multiple=True,
    default=("int8",),
    help="Precision: int8 or fp32. Repeat the option for several.  [default: int8]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The prepared photos of the run, if they were moved since it was trained.",
)
@click.option(
    "--max-drop",
    "max_drop_points",
    type=click.FloatRange(min=0),
    help="Fail if top-1 on validation photos drops by more percentage points than this.",
)
@click.option(
    "--out",
    "exports",
    type=click.Path(path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Folder of the bundles.",
)
@click.option("--force", is_flag=True, help="Overwrite bundles that exist.")
def command(
    run: Path | None,
    format_name: str,
    precisions: tuple[str, ...],
    data: Path | None,
    max_drop_points: float | None,
    exports: Path,
    force: bool,
) -> None:
    """Export RUN (default: the newest one below runs/) as checked bundles.

    A bundle is a folder EXPORTS/RUN.FORMAT.PRECISION with the model, its labels and a record of
    what was done and checked. The model takes uint8 RGB pixels and returns probabilities. It is
    kept only if it loads in its real runtime and gives the full-precision model's answers on
    photos; otherwise the exit code is 1 and nothing is left behind.

    \b
    Examples:
      edgevit export
      edgevit export runs/vit-b32 --format tflite --quantize int8
      edgevit export runs/vgg16 --quantize int8 --quantize fp32 --max-drop 0.5
    """
    import shlex

    from edgevit import console, storage
    from edgevit.bundle import BUNDLE_FILE
    from edgevit.export.exporter import bundle_path, export, open_job
    from edgevit.export.registry import find_lowering
    from edgevit.run import Run, newest_run

    chosen = [find_lowering(format_name, precision) for precision in dict.fromkeys(precisions)]
    job = open_job(Run.load(run or newest_run(Path("runs"))), data)
    console.note(f"Exporting {job.run.root}")
    targets = [bundle_path(exports, job.run, *pair) for pair in chosen]
    for target in targets:
        storage.refuse_existing(target, force=force, marker=BUNDLE_FILE)
    for (lowering, precision), target in zip(chosen, targets, strict=True):
        bundle = export(
            job,
            lowering,
            precision,
            target,
            announce=_print_rung,
            max_drop_points=max_drop_points,
            force=force,
        )
        click.echo(f"{bundle.root}: {bundle.model_size_bytes / 1e6:.1f} MB")
    click.echo(f"Next: edgevit bench {shlex.join(str(target) for target in targets)}")


def _print_rung(rung: RungRecord) -> None:
    click.echo(f"  {'✓' if rung.passed else '✗'} {rung.name}: {rung.detail}")
