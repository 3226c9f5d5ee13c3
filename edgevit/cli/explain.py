"""``edgevit explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevit.explain.report import Explanation


@click.command(short_help="Show what a model looks at.")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN|BUNDLE")
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE..."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the pictures."
)
@click.option(
    "--layer",
    type=int,
    help="Encoder block whose heads are drawn, counted from 0 as in block_0.  [default: the last]",
)
@click.option("--force", is_flag=True, help="Overwrite a folder that this command wrote.")
def command(
    model: Path, images: tuple[Path, ...], out: Path, layer: int | None, force: bool
) -> None:
    """Show what a model looks at on one photo or many.

    Of a Vision Transformer: the image as patches, attention rolled out over all blocks, the heads
    of one block, the similarity of the learned position embeddings, and the patch filters. Of
    VGG16: Grad-CAM. Computed in NumPy from the run's full-precision weights: a bundle is explained
    through its run. DIR/explain.json holds the numbers.

    \b
    Examples:
      edgevit explain runs/vit-b32 dog.jpg --out explained
      edgevit explain runs/vit-b32 photos/*.jpg --layer 0 --out explained
    """
    from edgevit import storage
    from edgevit.explain.report import MARKER, write_explanation
    from edgevit.explain.subject import open_subject

    # The folder first: one that cannot be written is noticed before the work.
    with storage.folder_in_one_piece(out, force=force, marker=MARKER) as folder:
        explanation = write_explanation(folder, open_subject(model), images, layer)
    _print(explanation)
    click.echo(f"Written: {out}")


def _print(explanation: Explanation) -> None:
    if explanation.bundle is not None:
        click.echo(f"{explanation.bundle} is explained through its run, in full precision:")
    kind = explanation.spec.model
    click.echo(explanation.run if explanation.run == kind else f"{explanation.run}: {kind}")
    if explanation.patches is not None:
        for line in explanation.patches.sentences.splitlines():
            click.echo(f"  {line}")
    for name in explanation.pictures:
        click.echo(f"  {name}")
    for image in explanation.images:
        click.echo(image.image)
        for prediction in image.predictions:
            click.echo(f"  {100 * prediction.probability:5.1f} %  {prediction.label}")
        for name in image.pictures:
            click.echo(f"  {name}")
