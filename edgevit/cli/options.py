"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_ALL_CORES = "all"

C = TypeVar("C", bound=Callable[..., Any])

threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads for the model, at most the machine's logical cores.",
)

split = click.option(
    "--split",
    type=click.Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="Which of the photos.",
)


def photos(whose: str) -> Callable[[C], C]:
    """Return ``--data``; by default the photos that ``whose`` was trained on."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path),
        help=f"Folder of prepared photos. [default: the ones that {whose} was trained on]",
    )


def _read_thread_counts(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Return the numbers, each once, in order."""
    if value is None:
        return None
    from edgevit.machine import logical_cores

    words = [word.strip() for word in value.split(",")]
    try:
        counts = [logical_cores() if word == _ALL_CORES else int(word) for word in words]
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no list of numbers, such as 1,4 or 1,{_ALL_CORES}"
        ) from None
    return tuple(dict.fromkeys(counts))


def thread_counts(default: str) -> Callable[[C], C]:
    """Return ``--threads`` for several numbers; ``default`` says in words what is taken else."""
    return click.option(
        "--threads",
        callback=_read_thread_counts,
        metavar="N,N,…",
        help=f"Measure each model with each number of threads, such as 1,4. [default: {default}]",
    )


ranges_option = click.option(
    "--ranges",
    multiple=True,
    metavar="[KIND=]ESTIMATOR",
    help="Where calibrated ranges come from, instead of the format's default: min-max, percentile, "
    "running-mean, mse or entropy, for all values or for one kind (norm, gelu, relu, attention, "
    "residual, product, …). Repeat it for several kinds.",
)

without_option = click.option(
    "--without",
    "skipped_passes",
    multiple=True,
    metavar="PASS",
    help="Leave a graph pass out, such as balance-norms or correct-bias. Repeat it for several; a "
    "name that does not exist lists all.",
)

calibration_option = click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="A set that `edgevit calibrate` made; by default one is drawn from the run's photos.",
)

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The prepared photos of the run, if they were moved since it was trained.",
)
