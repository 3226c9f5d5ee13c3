"""``edgevit reference``: the full-precision model on this machine's accelerator."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Measure a run in full precision on this machine's accelerator.")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax", "torch"]),
    help="What computes the Keras model. [default: the first of these that is installed]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Prepared photos. [default: the ones that the run was trained on]",
)
@click.option("--quick", is_flag=True, help="Time it for 10 s instead of minutes: not comparable.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Photos at a time for the accuracy; the latency is that of one.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file with every number and sample. [default: results/reference-DATE-TIME.json]",
)
@click.option("--force", is_flag=True, help="Overwrite --out.")
def command(
    run: Path | None,
    backend: str | None,
    data: Path | None,
    quick: bool,
    batch_size: int,
    out: Path | None,
    force: bool,
) -> None:
    """Measure RUN (default: the newest one below runs/) in full precision.

    The Keras model itself is timed, one photo at a time, and predicts the whole test split, on the
    first accelerator that the backend finds, else on the CPU, and says which. It computes in
    float32 without TensorFloat-32. Its answers are compared with those that the run saved when it
    was trained. `edgevit report` puts the result beside those of other devices.

    \b
    Examples:
      edgevit reference
      edgevit reference runs/pets --backend jax
      edgevit reference runs/pets --data data/pets --out results/h100.json
    """
    from datetime import datetime

    from edgevit import console, storage
    from edgevit.bench import protocol, table
    from edgevit.bench.reference import measure_reference, open_photos
    from edgevit.bench.result import refuse_other_file, write_result
    from edgevit.errors import InputError
    from edgevit.run import Run, newest_run
    from edgevit.runtimes.keras_backends import choose_backend

    if out is None:
        out = Path("results") / f"reference-{datetime.now():%Y%m%d-%H%M%S}.json"
    if out.exists() and not force:
        raise InputError(f"{out} exists already", "Choose another --out, or add --force")
    chosen = choose_backend(backend)
    opened = Run.load(run or newest_run(Path("runs")))
    photos = open_photos(opened, data)
    refuse_other_file(out)
    # Before minutes of measuring: a folder that cannot be written to is noticed now.
    storage.try_writing(out)
    rules = protocol.QUICK if quick else protocol.FULL
    result = measure_reference(opened, chosen, photos, rules, batch_size)
    write_result(out, result)
    table.print_result(result)
    console.note(f"Every number is in {out}")
