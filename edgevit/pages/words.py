"""Numbers as people read them: units stand in the headings, a minus is a minus sign."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from edgevit.metrics import SIGNIFICANCE

NOTHING = "–"
_BYTES_PER_MB = 1_000_000
# Below this a p-value is not written out.
_TINY_P = 0.0001


def milliseconds(value: float | None) -> str:
    """Return a time with at least three significant digits; a dash for an unknown one."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value:.2f}"
    # Below 1 ms two decimals would hide what was measured.
    return f"{value:.4f}"


def percent(share: float | None) -> str:
    """Return a share, 0–1, as a percentage without its sign."""
    return NOTHING if share is None else f"{100 * share:.2f}"


def megabytes(size_bytes: int | None) -> str:
    """Return a size in MB (10⁶ bytes) without the unit."""
    return NOTHING if size_bytes is None else f"{size_bytes / _BYTES_PER_MB:,.2f}"


def points(value: float) -> str:
    """Return a difference in percentage points with its sign, such as ``+0.21`` or ``−1.30``."""
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return such as ``(−0.40 to +0.81)``, percentage points."""
    return f"({points(low)} to {points(high)})"


def times(factor: float | None) -> str:
    """Return how many times faster something is, such as ``3.1×``."""
    return NOTHING if factor is None else f"{factor:.2f}×"


def p_value(p: float) -> str:
    """Write a p-value with two digits, or as many as show on which side of 0.05 it is."""
    if p < _TINY_P:
        return f"< {_TINY_P}"
    texts = (f"{p:.{digits}g}" for digits in range(2, 17))
    is_below = p < SIGNIFICANCE
    return next((text for text in texts if (float(text) < SIGNIFICANCE) == is_below), repr(p))


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``45 s``, ``12 min 05 s``, ``3 h 20 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(count: int, noun: str) -> str:
    """Return such as ``1 thread`` or ``4 threads``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(items: tuple[str, ...] | list[str]) -> str:
    """Return such as ``a, b and c``."""
    *rest, last = items or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def shortened(text: str, length: int) -> str:
    """Return the text, cut in its middle where it is longer than ``length``."""
    if len(text) <= length:
        return text
    tail = length // 2
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def shortened_apart(names: Sequence[str], length: int) -> tuple[str, ...]:
    """Return the names, cut where they are longer than ``length``, different ones differently.

    Those that would look alike are cut at their ends, and show what tells them apart; where that
    does not do, all are numbered.
    """
    texts = {name: shortened(name, length) for name in names}
    for text in dict.fromkeys(texts.values()):
        alike = [name for name, other in texts.items() if other == text]
        if len(alike) > 1:
            texts.update(zip(alike, _cut_at_ends(alike, length), strict=True))
    if len(set(texts.values())) < len(texts):
        numbers = {name: f" {number}" for number, name in enumerate(texts, start=1)}
        texts = {name: shortened(name, length - len(no)) + no for name, no in numbers.items()}
    return tuple(texts[name] for name in names)


def _cut_at_ends(names: Sequence[str], length: int) -> list[str]:
    """Cut off what all begin with, at a word if that does, and else what all end with too."""
    begin = _common_start(names)
    rests = [name[len(begin) :] for name in names]
    end = _common_start([rest[::-1] for rest in rests])
    word = re.sub(r"[^\W_]*$", "", begin)
    texts: list[str] = []
    for head, tail in ((word, ""), (begin, ""), (begin, end)):
        marks = "…" if head else "", "…" if tail else ""
        inner = [name[len(head) : len(name) - len(tail)] for name in names]
        texts = [shortened(text.join(marks), length) for text in inner]
        if len(set(texts)) == len(texts):
            break
    return texts


def _common_start(texts: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in alike)


def minute(started: str) -> str:
    """Return an ISO 8601 time to the minute, with its time zone as far as it is given."""
    date, divider, time = started.partition("T")
    if not divider:
        return started
    zone = "" if len(time) <= len("12:34:56") else _zone(time)
    return f"{date} {time[:5]}{zone}"


def _zone(time: str) -> str:
    if time.endswith("Z"):
        return " UTC"
    for sign in "+-":
        if sign in time:
            offset = time[time.index(sign) :]
            return " UTC" if offset in ("+00:00", "-00:00") else f" UTC{offset}"
    return ""
