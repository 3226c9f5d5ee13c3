"""Files in the syntax of ``java.util.Properties``, which every Android reads without a library."""

from __future__ import annotations

from collections.abc import Mapping

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
_SPECIAL = "\\=:#!"


def render(entries: Mapping[str, str], comment: str) -> bytes:
    """Return the bytes of a properties file: the same entries give the same bytes.

    They are pure ASCII, so that it does not matter in which encoding Java reads them.

    Args:
        entries: Keys and values, in order; any text.
        comment: One line, ASCII.
    """
    lines = [f"# {comment}"]
    lines += [f"{_escape(key, in_key=True)}={_escape(value)}" for key, value in entries.items()]
    return ("\n".join(lines) + "\n").encode("ascii")


def _escape(text: str, *, in_key: bool = False) -> str:
    """Escape a key, or a value: in a value only leading spaces would be lost."""
    escaped = []
    for position, character in enumerate(text):
        if character in _NAMED:
            escaped.append(_NAMED[character])
        elif character in _SPECIAL or (character == " " and (in_key or position == 0)):
            escaped.append(f"\\{character}")
        elif " " <= character <= "~":
            escaped.append(character)
        else:
            # Java's characters are UTF-16 units.
            units = character.encode("utf-16-be").hex()
            escaped += [f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)]
    return "".join(escaped)
