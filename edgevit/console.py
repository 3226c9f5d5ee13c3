"""Progress and notes for people, on standard error; results go to standard output."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_STANDARD_ERROR = 2
# LiteRT's and absl's information and warning lines, tqdm's bars, and warnings of Python modules
# that speak to developers.
_CHATTER = re.compile(
    rb"^INFO: |^[IWE]\d{4} |^WARNING: All log messages before absl|\d+/\d+ \[\d|Warning: |"
    rb"^  warnings\.warn\("
)


def note(message: str, end: str = "\n") -> None:
    """Print one line for people; a terminal that went away does not stop the work."""
    with contextlib.suppress(OSError):
        print(message, end=end, file=sys.stderr, flush=True)


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
def without_native_chatter() -> Iterator[None]:
    """Hold back what libraries print to standard error, and show what is not mere chatter.

    TensorFlow, LiteRT and progress bars write to the file descriptor, past Python, and some do so
    before they have read their log level. If the block fails, everything is shown.
    """
    try:
        original = os.dup(_STANDARD_ERROR)
    except OSError:  # no standard error at all
        yield
        return
    sys.stderr.flush()
    hidden: re.Pattern[bytes] | None = None
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STANDARD_ERROR)
        try:
            yield
            hidden = _CHATTER
        except Exception:
            raise
        except BaseException:
            hidden = _CHATTER  # Ctrl-C is no failure that the chatter could explain
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, _STANDARD_ERROR)
            os.close(original)
            held.seek(0)
            for line in re.split(rb"(?<=[\r\n])", held.read()):
                if line.strip() and not (hidden and hidden.search(line)):
                    os.write(_STANDARD_ERROR, line)


@contextmanager
def step(description: str) -> Iterator[None]:
    """Say what is being done and, when it is done, how long it took."""
    interactive = sys.stderr.isatty()
    started = time.monotonic()
    if interactive:
        note(f"{description} …", end=" ")
    yield
    seconds = time.monotonic() - started
    note(f"{seconds:.1f} s" if interactive else f"{description}: {seconds:.1f} s")
