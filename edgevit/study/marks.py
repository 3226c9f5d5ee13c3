"""How a model is told apart in every chart: the colour of its place, then the shape of its mark."""

from __future__ import annotations

from edgevit.pages.axes import COLOURS
from edgevit.pages.legend import ICON_PIXELS, icon
from edgevit.pages.markup import Html, element

RADIUS = 4.0
# Corners from the centre, in units of the radius. The first of each colour is a circle.
_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)),
    ((0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)),
)


def colour(series: int) -> str:
    """Return the CSS class of a model's colour.

    Args:
        series: Place of the model in the study.
    """
    return f"s{series % COLOURS}"


def mark(series: int, x: float, y: float, title: str, *, radius: float = RADIUS) -> Html:
    """Draw a model's mark in an SVG.

    Args:
        series: Place of the model in the study.
        x: Centre, pixels.
        y: Centre, pixels.
        title: Shown when one points at it; none if empty.
        radius: Pixels.
    """
    inner = [element("title", title)] if title else []
    corners = _SHAPES[series // COLOURS % len(_SHAPES)]
    classes = f"model {colour(series)}"
    if not corners:
        return element("circle", *inner, class_=classes, cx=x, cy=y, r=radius)
    points = " ".join(f"{x + radius * a:.1f},{y + radius * b:.1f}" for a, b in corners)
    return element("polygon", *inner, class_=classes, points=points)


def swatch(series: int) -> Html:
    """Return a model's mark as a picture of its own, for legends and headings."""
    return icon(mark(series, ICON_PIXELS / 2, ICON_PIXELS / 2, "", radius=RADIUS + 1))


def meter(share: float, width: float, style: str) -> Html:
    """Draw a bar that is filled from the left, to stand behind a number.

    Args:
        share: How much of it is filled, 0–1.
        width: Pixels.
        style: CSS class of the colour.
    """
    height = 10.0
    filled = max(1.0, width * min(1.0, share)) if share > 0 else 0.0
    return element(
        "svg",
        element("rect", class_="rest", width=width, height=height),
        element("rect", class_="filled", width=filled, height=height),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        aria_hidden="true",
        class_=f"meter {style}",
    )
