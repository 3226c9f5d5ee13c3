"""Reading the small files in which a kernel describes its machine; none is sure to be there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# One core or a range; Linux has at most 8192 of them.
_CORES = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)


def read_bytes(path: Path) -> bytes:
    """Return the file's content, or nothing where it cannot be read."""
    try:
        # Unbuffered: most of these files hold a few bytes, and some are read once a second.
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def read_text(path: Path) -> str:
    """Return the file's text without the white space and NULs around it, or nothing."""
    return read_bytes(path).decode("utf-8", errors="replace").strip(" \t\r\n\0")


def read_int(path: Path, base: int = 10) -> int | None:
    """Return the number in the file, or ``None`` where there is none."""
    try:
        return int(read_text(path), base)
    except ValueError:
        return None


def key_values(text: str, separator: str) -> dict[str, list[str]]:
    """Return every value of every key of ``key SEPARATOR value`` lines."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, divider, value = line.partition(separator)
        if divider:
            found.setdefault(key.strip(), []).append(value.strip().strip('"'))
    return found


def first_value(found: dict[str, list[str]], key: str) -> str:
    """Return the first value of a key of :func:`key_values`, or nothing."""
    return found.get(key, [""])[0]


def parse_core_list(text: str) -> tuple[int, ...]:
    """Return the core numbers of a list such as ``0-3,6`` or ``0 1 2 3``; none if it is garbage."""
    cores: list[int] = []
    for part in text.replace(",", " ").split():
        match = _CORES.fullmatch(part)
        if match is None:
            return ()
        cores.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(cores)


def format_core_list(cores: Iterable[int]) -> str:
    """Return core numbers as the kernel lists them: ``0-3,6``."""
    runs: list[list[int]] = []
    for core in sorted(set(cores)):
        if runs and core == runs[-1][1] + 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
