"""Numbers as people read them: units stand in the headings, a minus is a minus sign."""

from __future__ import annotations

NOTHING = "–"
_BYTES_PER_MB = 1_000_000


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
