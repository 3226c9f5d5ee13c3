"""The pictures of a run: learning curves and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevit.figures import new_figure, save_png
from edgevit.metrics import Labels
from edgevit.training.history import EpochRow, best_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"
CONFUSION_FILE = "confusion.png"

_TRAIN_COLOUR, _VAL_COLOUR = "#4c78a8", "#e45756"
# Up to so many classes every cell carries its number, and every class its name.
_MAX_NUMBERED_CLASSES = 20
_MAX_NAMED_CLASSES = 150
_MAX_NAME_LENGTH = 32


def write_curves(path: Path, rows: Sequence[EpochRow]) -> None:
    """Draw loss and accuracy over the epochs, with the epoch marked whose weights are kept."""
    figure = new_figure(10.0, 4.2)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    _draw_curve(loss_axes, rows, "loss", 1.0)
    loss_axes.set_ylabel("cross-entropy, nats")
    loss_axes.set_ylim(bottom=0.0)
    _draw_curve(accuracy_axes, rows, "accuracy", 100.0)
    accuracy_axes.set_ylabel("top-1 accuracy, %")
    accuracy_axes.set_ylim(0.0, 100.0)
    best = best_row(rows)
    for axes in (loss_axes, accuracy_axes):
        if best is not None:
            axes.axvline(
                best.epoch, color="0.45", linestyle=":", label=f"weights kept: epoch {best.epoch}"
            )
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    save_png(figure, path)


def _draw_curve(axes: Axes, rows: Sequence[EpochRow], field: str, scale: float) -> None:
    for name, label, colour in (
        (field, "training (augmented photos)", _TRAIN_COLOUR),
        (f"val_{field}", "validation", _VAL_COLOUR),
    ):
        points = [(r.epoch, getattr(r, name)) for r in rows if getattr(r, name) is not None]
        if points:
            epochs, values = zip(*points, strict=True)
            marker = "o" if len(points) <= 40 else None
            scaled = [scale * value for value in values]
            axes.plot(epochs, scaled, color=colour, label=label, marker=marker, markersize=3)


def write_confusion(path: Path, counts: Labels, labels: Sequence[str]) -> None:
    """Draw the confusion matrix; each row is shaded by its share of the true class.

    Args:
        path: The ``.png`` to write.
        counts: ``int64 [classes, classes]``; rows are true labels, columns predictions.
        labels: Name of every class.
    """
    from matplotlib.colors import PowerNorm

    size = len(labels)
    edge = float(np.clip(0.34 * size, 4.0, 0.16 * size + 3.6))
    figure = new_figure(edge + 3.0, edge + 2.2)
    axes = figure.subplots()
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100.0 * counts / np.maximum(totals, 1)
    # By the square root: a single confusion among many photos would be invisible otherwise.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0.0, 100.0))
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("share of the true class's photos, %")
    right = int(np.trace(counts))
    axes.set_title(f"{right} of {int(counts.sum())} test photos right")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    _name_ticks(axes, labels)
    if size <= _MAX_NUMBERED_CLASSES:
        _number_cells(axes, counts, shares)
    save_png(figure, path)


def _name_ticks(axes: Axes, labels: Sequence[str]) -> None:
    size = len(labels)
    if size > _MAX_NAMED_CLASSES:
        return
    names = [n if len(n) <= _MAX_NAME_LENGTH else f"{n[: _MAX_NAME_LENGTH - 1]}…" for n in labels]
    points = float(np.clip(190.0 / size, 7.0, 10.0))
    axes.set_xticks(range(size), names, rotation=90, fontsize=points)
    axes.set_yticks(range(size), names, fontsize=points)
    # Underscores and dollars in class names are not mathematics.
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)


def _number_cells(axes: Axes, counts: Labels, shares: Any) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 55 else "black"
        axes.text(
            column, row, str(counts[row, column]), ha="center", va="center", color=colour, size=8
        )
