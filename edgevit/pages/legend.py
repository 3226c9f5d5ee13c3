"""What stands beside a chart: what its marks and lines mean."""

from __future__ import annotations

from collections.abc import Sequence

from edgevit.pages.markup import Html, element

ICON_PIXELS = 18.0


def key(heading: str, items: Sequence[tuple[Html, str]]) -> Html:
    """Return a part of a legend; nothing without an item.

    Args:
        heading: What is told apart.
        items: Picture and text of each.
    """
    if not items:
        return Html("")
    entries = [element("li", picture, text) for picture, text in items]
    return element("div", element("h4", heading), element("ul", *entries))


def icon(content: Html) -> Html:
    """Return an SVG of 18×18 pixels that says nothing which is not written beside it."""
    return element(
        "svg",
        content,
        viewBox=f"0 0 {ICON_PIXELS:g} {ICON_PIXELS:g}",
        width=ICON_PIXELS,
        height=ICON_PIXELS,
        aria_hidden="true",
        class_="icon",
    )
