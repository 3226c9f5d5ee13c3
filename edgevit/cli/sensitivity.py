"""``edgevit sensitivity``."""

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
    from edgevit.export.sensitivity import Sensitivity


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--format", "format_name", default="tflite", show_default=True, help="File format.")
@click.option(
    "--quantize",
    "precision",
    default="int8",
    show_default=True,
    help="A precision with int8 layers: int8, int8-dynamic or int8-full.",
)
@click.option(
    "--images",
    "image_count",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Held-out training photos to try the layers on; at most those of the calibration set.",
)
@calibration_option
@data_option
@ranges_option
@without_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the numbers and their picture.  "
    "[default: results/RUN.FORMAT.PRECISION.sensitivity]",
)
@click.option("--force", is_flag=True, help="Overwrite a folder that exists.")
def command(
    run: Path | None,
    format_name: str,
    precision: str,
    image_count: int,
    calibration: Path | None,
    data: Path | None,
    ranges: tuple[str, ...],
    skipped_passes: tuple[str, ...],
    out: Path | None,
    force: bool,
) -> None:
    """Rank the layers of RUN (default: the newest one below runs/) by the damage that int8 does.

    Each dense layer and convolution alone is computed as the int8 file computes it, everything else
    in float: the loss of the logits as a signal-to-quantisation-noise ratio (less is worse), and
    the share of photos that keep their label. Computed in NumPy, on training photos that no range
    was calibrated on. The budget of `edgevit export --max-drop` keeps layers in float in this
    order.

    \b
    Examples:
      edgevit sensitivity runs/vit-b32 --format onnx
      edgevit sensitivity runs/vgg16 --format tflite --ranges relu=percentile
      edgevit export runs/vit-b32 --format onnx --keep-float block_11/mlp_2
    """
    from edgevit import storage
    from edgevit.errors import InputError
    from edgevit.export.budget import sensitivity_of
    from edgevit.export.choices import choose
    from edgevit.export.job import open_job
    from edgevit.export.registry import ALL, check_names, select
    from edgevit.export.sensitivity_report import MARKER, write_report
    from edgevit.run import Run, newest_run

    if ALL in (format_name, precision):
        raise InputError("one format and one precision at a time", "Name them instead of 'all'")
    check_names([format_name], [precision])
    choices = choose(skipped_passes, ranges)
    job = open_job(Run.load(run or newest_run(Path("runs"))), data, calibration, choices)
    name = f"{job.run.name}.{format_name}.{precision}"
    target = out or Path("results") / f"{name}.sensitivity"
    # The folder first: one that cannot be written is noticed before the work.
    with storage.folder_in_one_piece(target, force=force, marker=MARKER) as folder:
        (selection,), _ = select(job.graph, [format_name], [precision])
        images = job.calibration_set.held_out[:image_count]
        sensitivity = sensitivity_of(job, selection.recipe, images)
        _print(name, sensitivity)
        picture = write_report(folder, name, sensitivity)
    missing = "" if picture else ", without a picture: that needs pip install 'edgevit[report]'"
    click.echo(f"Written: {target}{missing}")


def _print(name: str, sensitivity: Sensitivity) -> None:
    count = sensitivity.image_count
    click.echo(f"{name}, one layer at a time in int8, {count} held-out training images:")
    width = max(len("layer"), *(len(layer.name) for layer in sensitivity.layers))
    click.echo(f"  {'layer':<{width}}  {'input range':<11}  SQNR dB  agreement %     weights")
    for layer in sensitivity.layers:
        click.echo(
            f"  {layer.name:<{width}}  {layer.operand:<11}  {layer.sqnr_db:7.1f}  "
            f"{100 * layer.agreement:11.1f}  {layer.weight_count:10,}"
        )
    click.echo(
        f"All layers together: {sensitivity.sqnr_db:.1f} dB, "
        f"{100 * sensitivity.agreement:.1f} % agreement"
    )
