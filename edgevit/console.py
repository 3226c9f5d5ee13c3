"""Progress and notes for people, on standard error; results go to standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def note(message: str) -> None:
    """Print one line for people."""
    print(message, file=sys.stderr, flush=True)


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yield the items while showing a bar with the time left (one line where no terminal is)."""
    if not sys.stderr.isatty():
        with step(f"{description} ({total})"):
            yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(
        items, description=description, total=total, console=Console(stderr=True), transient=False
    )


@contextmanager
def step(description: str) -> Iterator[None]:
    """Say what is being done and, when it is done, how long it took."""
    interactive = sys.stderr.isatty()
    started = time.monotonic()
    print(f"{description} …", end=" " if interactive else "\n", file=sys.stderr, flush=True)
    yield
    seconds = time.monotonic() - started
    print(
        f"{seconds:.1f} s" if interactive else f"{description}: {seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )
