"""``edgevit export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevit.cli.options import (
    calibration_option,
    data_option,
    ranges_option,
    without_option,
)

if TYPE_CHECKING:
    from edgevit.bundle import RungRecord


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=("tflite",),
    help="File format: tflite, onnx, openvino or all. Repeat it for several.  [default: tflite]",
)
@click.option(
    "--quantize",
    "precisions",
    multiple=True,
    default=("int8",),
    help="Precision: fp32, fp16, int8, int8-full, int8-dynamic or all. Repeat it for several.  "
    "[default: int8]",
)
@calibration_option
@data_option
@click.option(
    "--max-drop",
    "max_drop_points",
    type=click.FloatRange(min=0),
    help="Budget: top-1 on all validation photos may drop by so many percentage points. An int8 "
    "file that misses it keeps its worst layers in float; if that is not enough, the export fails.",
)
@click.option(
    "--keep-float",
    "float_layers",
    multiple=True,
    metavar="LAYER",
    help="Keep a layer in float in int8 files, such as block_3/mlp_2. Repeat it for several; "
    "`edgevit sensitivity` ranks them.",
)
@ranges_option
@without_option
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
    formats: tuple[str, ...],
    precisions: tuple[str, ...],
    calibration: Path | None,
    data: Path | None,
    max_drop_points: float | None,
    float_layers: tuple[str, ...],
    ranges: tuple[str, ...],
    skipped_passes: tuple[str, ...],
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
      edgevit export runs/vit-b32 --format all --quantize all
      edgevit export runs/vgg16 --format onnx --quantize int8 --max-drop 0.5
      edgevit export runs/vit-b32 --format onnx --ranges gelu=mse --without balance-norms
    """
    import shlex

    from edgevit import console, storage
    from edgevit.bundle import BUNDLE_FILE
    from edgevit.cli.inspect import float_layers_text
    from edgevit.errors import CheckFailedError
    from edgevit.export.choices import choose
    from edgevit.export.exporter import bundle_path, check_budget, export
    from edgevit.export.job import open_job
    from edgevit.export.registry import check_names, select
    from edgevit.run import Run, newest_run
    from edgevit.runtimes.registry import require_runtime

    check_names(formats, precisions)
    choices = choose(skipped_passes, ranges, max_drop_points, float_layers)
    job = open_job(Run.load(run or newest_run(Path("runs"))), data, calibration, choices)
    check_budget(job)
    console.note(f"Exporting {job.run.root}")
    selections, left_out = select(job.graph, formats, precisions)
    for problem in left_out:
        console.note(f"Left out: {problem}")
    targets = {bundle_path(exports, job.run, selection): selection for selection in selections}
    for target, selection in targets.items():
        storage.refuse_existing(target, force=force, marker=BUNDLE_FILE)
        require_runtime(selection.lowering.name)
    failed: list[CheckFailedError] = []
    made: list[Path] = []
    for target, selection in targets.items():
        click.echo(f"{target}:")
        try:
            bundle = export(
                job,
                selection,
                target,
                announce=_print_rung,
                force=force,
            )
        except CheckFailedError as error:  # the others may still be good
            failed.append(error)
            continue
        made.append(target)
        click.echo(f"  {bundle.model_size_bytes / 1e6:.1f} MB")
        for text in (*float_layers_text(bundle.record.float_layers), *bundle.record.notes):
            click.echo(f"  Note: {text}")
    if made:
        click.echo(f"Next: edgevit bench {shlex.join(map(str, made))}")
    if failed and len(targets) == 1:
        raise failed[0]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(targets)} exports failed, the first: {failed[0].problem}",
            failed[0].remedy,
        )


def _print_rung(rung: RungRecord) -> None:
    from edgevit.cli.inspect import mark_of

    click.echo(f"  {mark_of(rung.passed)} {rung.name}: {rung.detail}")
