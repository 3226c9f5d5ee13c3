"""GitHub-flavoured Markdown in which every text is shown as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from edgevit.pages.markup import clean

# What starts markup within a line, and what would at the start of one.
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_LEADING = re.compile(r"^(\d*)([-+#]|(?<=\d)[.)](?=\s|$))")


def escape(text: str) -> str:
    """Return Markdown that shows the text as it is, in a table or not."""
    line = " ".join(clean(text).split())
    line = _LEADING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", line))
    return html.escape(line, quote=False)


def table(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Args:
        columns: Heading of each, and whether numbers stand below it.
        rows: Markdown of each cell.
    """
    names = [name for name, _ in columns]
    rules = ["---:" if is_numeric else "---" for _, is_numeric in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rules, *rows))
