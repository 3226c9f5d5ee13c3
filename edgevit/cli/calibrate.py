"""``edgevit calibrate``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The prepared photos; by default those that RUN was trained on.",
)
@click.option(
    "--images",
    "image_count",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Photos for the ranges; a quarter as many more are held out for the checks.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the choice."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the set.  [default: calibration/RUN]",
)
@click.option("--force", is_flag=True, help="Overwrite a set that exists.")
def command(
    run: Path | None,
    data: Path | None,
    image_count: int,
    seed: int,
    out: Path | None,
    force: bool,
) -> None:
    """Choose training photos on which int8 ranges are computed.

    The photos are drawn evenly over the classes, from the training split only, and kept as the
    pixels that RUN (default: the newest one below runs/) takes. One set serves every format.
    `edgevit export` draws one by itself where the photos of the run are at hand.

    \b
    Examples:
      edgevit calibrate runs/vit-b32 --images 128
      edgevit export runs/vit-b32 --calibration calibration/vit-b32
    """
    from edgevit import storage
    from edgevit.calibration.sampling import HELD_OUT_SHARE, sample
    from edgevit.calibration.store import CALIBRATION_FILE, check_classes, check_set, write_set
    from edgevit.data.dataset import Dataset
    from edgevit.errors import InputError
    from edgevit.run import Run, newest_run

    opened = Run.load(run or newest_run(Path("runs")))
    target = out or Path("calibration") / opened.name
    storage.refuse_existing(target, force=force, marker=CALIBRATION_FILE)
    photos = data or Path(opened.record.dataset.path)
    if not photos.is_dir():
        raise InputError(
            f"the photos of the run {opened.root} are not at {photos}",
            "Say where they are with --data DIR",
        )
    dataset = Dataset.load(photos)
    preprocessing = opened.record.spec.preprocessing
    held_out = max(1, image_count // HELD_OUT_SHARE)
    check_classes(dataset.classes, opened.record.labels, str(photos))
    chosen = sample(dataset, preprocessing, images=image_count, held_out=held_out, seed=seed)
    check_set(
        chosen,
        str(photos),
        preprocessing=preprocessing,
        labels=opened.record.labels,
        dataset_sha256=opened.record.dataset.sha256,
        forbidden=opened.reference().image_sha256,
    )
    write_set(target, chosen, force=force)
    classes = len(set(chosen.labels[: len(chosen.images)]))
    click.echo(
        f"{target}: {len(chosen.images)} images of {classes} classes for ranges, "
        f"{len(chosen.held_out)} held out"
    )
