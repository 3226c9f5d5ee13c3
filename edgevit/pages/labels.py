"""Labels of a chart's points that cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

FONT_PIXELS = 11.0
# The width of a system font's average character, as a share of its size; a little too wide.
_CHARACTER_WIDTH = 0.56
_LINE_HEIGHT = 1.15
# Labels further from their point than this get a line to it.
_BESIDE = 4.0
_DISTANCES = (_BESIDE, 16.0, 30.0, 46.0)
_LEADER_CHECKS = 8

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Box:
    """A rectangle, pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Tell whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def contains(self, other: Box) -> bool:
        """Tell whether the other lies inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )

    def holds(self, x: float, y: float) -> bool:
        """Tell whether a point lies inside."""
        return self.left < x < self.right and self.top < y < self.bottom


@dataclass(frozen=True)
class Label:
    """A text that has found a place.

    Attributes:
        index: Of its point.
        x: Where the text is anchored.
        baseline: Where its letters stand.
        leader: End of the line from the point, if the text is not beside it.
    """

    index: int
    text: str
    x: float
    baseline: float
    anchor: Anchor
    box: Box
    leader: tuple[float, float] | None


def text_width(text: str, font_pixels: float = FONT_PIXELS) -> float:
    """Return about how wide a text is, pixels."""
    return len(text) * font_pixels * _CHARACTER_WIDTH


def place_labels(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    bounds: Box,
    *,
    radius: float,
    obstacles: Sequence[Box] = (),
) -> tuple[Label, ...]:
    """Place a text near each point where there is room; the others get none.

    Args:
        points: Centres, pixels; the most important first.
        texts: One for each point; empty ones are left out.
        bounds: What no label may leave.
        radius: Of the points' marks.
        obstacles: What else must stay free.
    """
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    taken = [*marks, *obstacles]
    placed: list[Label] = []
    for index, ((x, y), text) in enumerate(zip(points, texts, strict=True)):
        if not text:
            continue
        for label in _candidates(index, text, x, y, radius):
            if _fits(label, bounds, taken) and not _leader_crosses(label, x, y, taken, index):
                placed.append(label)
                taken.append(label.box)
                break
    return tuple(placed)


def _fits(label: Label, bounds: Box, taken: Sequence[Box]) -> bool:
    return bounds.contains(label.box) and not any(label.box.overlaps(box) for box in taken)


def _leader_crosses(label: Label, x: float, y: float, taken: Sequence[Box], index: int) -> bool:
    if label.leader is None:
        return False
    end_x, end_y = label.leader
    steps = [step / _LEADER_CHECKS for step in range(1, _LEADER_CHECKS)]
    path = [(x + share * (end_x - x), y + share * (end_y - y)) for share in steps]
    # The boxes begin with one for each point, its own among them.
    others = [box for place, box in enumerate(taken) if place != index]
    return any(box.holds(*point) for box in others for point in path)


def _candidates(index: int, text: str, x: float, y: float, radius: float) -> Iterator[Label]:
    """Yield places from the nearest on: right, left, above and below, then the corners."""
    sides: tuple[tuple[int, int], ...] = (
        (1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1),
    )  # fmt: skip
    width, height = text_width(text), FONT_PIXELS * _LINE_HEIGHT
    for distance, (across, down) in product(_DISTANCES, sides):
        reach = radius + distance
        # On a corner both ways count, so that the label is as near as on a side.
        shift = 0.75 if across and down else 1.0
        touch_x, touch_y = x + across * reach * shift, y + down * reach * shift
        left = touch_x - width * (1 - across) / 2
        top = touch_y - height * (1 - down) / 2
        anchors: dict[int, Anchor] = {1: "start", 0: "middle", -1: "end"}
        yield Label(
            index=index,
            text=text,
            x=touch_x,
            baseline=top + 0.82 * FONT_PIXELS,
            anchor=anchors[across],
            box=Box(left, top, left + width, top + height),
            leader=(touch_x, touch_y) if distance > _BESIDE else None,
        )
