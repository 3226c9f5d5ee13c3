"""HTML and SVG in which every text is escaped, unless it is markup already."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# Not allowed in HTML, half of a pair that UTF-8 cannot hold, or turning the direction of the text
# that follows.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_VOID = {"br", "hr", "img", "input", "link", "meta"}
_REPLACEMENT = "\ufffd"

Attribute = str | int | float | bool | None


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def clean(text: str) -> str:
    """Replace the characters that no page or table may hold."""
    return _FORBIDDEN.sub(_REPLACEMENT, text)


def escape(text: str) -> Html:
    """Return markup that shows the text as it is; markup stays markup."""
    return text if isinstance(text, Html) else Html(html.escape(clean(text)))


def join(parts: Iterable[str]) -> Html:
    """Put texts and markup behind each other."""
    return Html("".join(map(escape, parts)))


def element(name: str, /, *children: str, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        name: Of the tag.
        children: Texts, which are escaped, and markup.
        attributes: ``class_`` is ``class`` and ``aria_label`` is ``aria-label``; ``None`` and
            ``False`` are left out, ``True`` stands without a value.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{join(children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(clean(_text(value)))}"'


def _text(value: str | int | float) -> str:
    if not isinstance(value, float):
        return str(value)
    # Hundredths of a pixel are enough, and shorter.
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
