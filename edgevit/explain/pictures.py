"""The pictures of an explanation, in the style of a run's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgevit.explain.patches import PatchNumbers
from edgevit.figures import new_figure, save_png
from edgevit.preprocessing import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Readable without colour vision, and by lightness alone.
_HEAT, _SIMILARITY = "inferno", "viridis"
_OVERLAY_OPACITY = 0.6
_TITLE_POINTS, _TEXT_POINTS = 12, 10
# A title holds two such names, of a file and of a class.
_MAX_NAME_LENGTH = 40
# Edge of a drawn image, pixels: small inputs are enlarged, so that the gaps between patches are
# thin against the patches.
_CANVAS = 720
_HEAD_COLUMNS = 5


@dataclass(frozen=True)
class Shown:
    """What is drawn of a photo.

    Attributes:
        title: Its name and the model's answer.
        pixels: As the model sees it, ``uint8 [height, width, 3]``.
        seen: A sentence on how that came from the photo.
    """

    title: str
    pixels: Pixels
    seen: str


def shorten(name: str) -> str:
    """Return a name that fits into a title."""
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"


def draw_patches(path: Path, shown: Shown, patches: Pixels, numbers: PatchNumbers) -> None:
    """Draw an image beside its patches, ``uint8 [rows, columns, size, size, 3]``."""
    figure = new_figure(10.0, 6.0)
    whole, cut = figure.subplots(1, 2)
    _draw_photo(whole, shown, "what the model sees")
    _draw_pixels(cut, _apart(patches), f"its {numbers.patches_per_image} patches")
    _caption(figure, shown.title, f"{numbers.sentences}\n{shown.seen}")
    save_png(figure, path)


def draw_map(
    path: Path, shown: Shown, values: Any, *, name: str, unit: str, caption: str, low: float | None
) -> None:
    """Draw an image, the image under a map, and the map with its scale.

    Args:
        path: The ``.png`` to write.
        shown: The image.
        values: ``[rows, columns]``.
        name: Of the map.
        unit: Of the values, for the colour bar.
        caption: What the map says.
        low: Where the colours start; by default at the lowest value.
    """
    figure = new_figure(12.5, 4.95)
    photo, overlay, alone = figure.subplots(1, 3)
    height, width = shown.pixels.shape[:2]
    bottom = float(values.min()) if low is None else low
    scale = {"vmin": bottom, "vmax": max(float(values.max()), bottom + 1e-6), "cmap": _HEAT}
    place = (-0.5, width - 0.5, height - 0.5, -0.5)
    _draw_photo(photo, shown, "what the model sees")
    # Grey below the colours: otherwise the photo's own colours pass for values of the map.
    _draw_pixels(overlay, _grey(shown.pixels), f"{name} over it")
    smooth = _enlarged(values, height, width)
    overlay.imshow(smooth, alpha=_OVERLAY_OPACITY, extent=place, **scale)
    image = alone.imshow(values, extent=place, interpolation="nearest", **scale)
    _bare(alone, f"{name}, {values.shape[0]} × {values.shape[1]}")
    figure.colorbar(image, ax=alone, fraction=0.046, pad=0.03).set_label(
        unit, fontsize=_TEXT_POINTS
    )
    _caption(figure, shown.title, f"{caption}\n{shown.seen}")
    save_png(figure, path)


def draw_heads(
    path: Path, shown: Shown, maps: Any, entropies: Sequence[float], caption: str
) -> None:
    """Draw the map of each head of one block, on one scale.

    Args:
        path: The ``.png`` to write.
        shown: The image.
        maps: Share of each patch, ``[heads, rows, columns]``, 0–1.
        entropies: Of each head, nats.
        caption: Which block, and what the maps are.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm

    cells = len(maps) + 1
    columns = min(cells, _HEAD_COLUMNS)
    rows = math.ceil(cells / columns)
    figure = new_figure(2.6 * columns + 1.0, 2.85 * rows + 1.3)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[cells:]:
        spare.set_axis_off()
    _draw_photo(axes[0], shown, "what the model sees")
    # By the square root: a head that looks at one patch would leave all others black.
    norm = PowerNorm(0.5, 0.0, 100.0 * float(maps.max()))
    for head, (cell, values) in enumerate(zip(axes[1:], maps, strict=False)):
        cell.imshow(100.0 * values, cmap=_HEAT, norm=norm)
        _bare(cell, f"head {head}: {entropies[head]:.2f} nats")
    scale = ScalarMappable(norm, _HEAT)
    bar = figure.colorbar(scale, ax=list(axes), fraction=0.03, pad=0.02)
    bar.set_label("share of the attention to patches, %", fontsize=_TEXT_POINTS)
    _caption(figure, shown.title, f"{caption}\n{shown.seen}")
    save_png(figure, path)


def draw_positions(path: Path, name: str, similarity: Any) -> None:
    """Draw a map for each patch: ``[rows, columns, rows, columns]`` cosines."""
    rows, columns = similarity.shape[:2]
    # A quarter of a map is the gap between maps.
    gap = max(1, rows // 4)
    tall, wide = rows + gap, columns + gap
    canvas = np.full((rows * tall - gap, columns * wide - gap), np.nan, dtype=np.float32)
    for row, column in np.ndindex(rows, columns):
        top, left = row * tall, column * wide
        canvas[top : top + rows, left : left + columns] = similarity[row, column]
    figure = new_figure(8.6, 7.8)
    axes = figure.subplots()
    image = axes.imshow(canvas, cmap=_SIMILARITY, vmin=float(similarity.min()), vmax=1.0)
    _ticks(axes.set_xticks, columns, wide)
    _ticks(axes.set_yticks, rows, tall)
    axes.set_xlabel("column of the patch", fontsize=_TEXT_POINTS)
    axes.set_ylabel("row of the patch", fontsize=_TEXT_POINTS)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("cosine similarity", fontsize=_TEXT_POINTS)
    caption = (
        f"Each small map belongs to one of the {rows} × {columns} patches: how similar the "
        "embeddings of all\npatches' places are to that of its own place (which is 1)"
    )
    _caption(figure, f"{name}: learned position embeddings", caption)
    save_png(figure, path)


def draw_filters(path: Path, name: str, tiles: Any, shares: Any) -> None:
    """Draw principal components, ``[n, size, size, 3]``, and the share that each explains."""
    columns = min(7, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    figure = new_figure(1.35 * columns + 0.6, 1.55 * rows + 1.6)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[len(tiles) :]:
        spare.set_axis_off()
    for cell, tile, share in zip(axes, tiles, shares, strict=False):
        # Grey is 0; a channel above it is positive, below it negative.
        cell.imshow(0.5 + 0.5 * tile / max(float(np.abs(tile).max()), 1e-12))
        _bare(cell, f"{100 * share:.1f} %", points=9)
    caption = (
        f"The first {len(tiles)} principal components of the patch embedding's filters as RGB "
        f"(grey is 0),\neach with its share of the filters' variance; together "
        f"{100 * float(shares.sum()):.0f} %"
    )
    _caption(figure, f"{name}: patch embedding", caption)
    save_png(figure, path)


def _ticks(set_ticks: Any, count: int, pitch: int) -> None:
    step = 1 if count <= 16 else 4
    numbers = range(0, count, step)
    middle = (pitch - max(1, count // 4) - 1) / 2
    set_ticks([number * pitch + middle for number in numbers], [str(number) for number in numbers])


def _apart(patches: Pixels) -> Pixels:
    """Put patches on white, with a gap between them; returns ``uint8 [height, width, 3]``."""
    rows, columns, size = patches.shape[:3]
    enlargement = max(1, _CANVAS // (max(rows, columns) * size))
    edge = enlargement * size
    gap = max(3, edge // 12)
    height, width = rows * (edge + gap) - gap, columns * (edge + gap) - gap
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    for row, column in np.ndindex(rows, columns):
        large = patches[row, column].repeat(enlargement, axis=0).repeat(enlargement, axis=1)
        top, left = row * (edge + gap), column * (edge + gap)
        canvas[top : top + edge, left : left + edge] = large
    return canvas


def _enlarged(values: Any, height: int, width: int) -> Any:
    """Interpolate a map to the size of the image, between its cells' centres."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _draw_photo(axes: Axes, shown: Shown, title: str) -> None:
    height, width = shown.pixels.shape[:2]
    _draw_pixels(axes, shown.pixels, f"{title}, {height} × {width}")


def _draw_pixels(axes: Axes, pixels: Pixels, title: str) -> None:
    axes.imshow(pixels, interpolation="nearest")
    _bare(axes, title)


def _bare(axes: Axes, title: str, points: float = _TEXT_POINTS) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=points)


def _caption(figure: Figure, title: str, caption: str) -> None:
    # Underscores and dollars in the names of files and classes are not mathematics.
    figure.suptitle(title, fontsize=_TITLE_POINTS, parse_math=False)
    figure.supxlabel(caption, fontsize=_TEXT_POINTS, parse_math=False)
