"""Options that several commands share."""

from __future__ import annotations

import click

threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads for the model, at most the machine's logical cores.",
)
