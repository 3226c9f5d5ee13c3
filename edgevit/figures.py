"""Matplotlib figures that need no window system, and their files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure whose parts make room for each other."""
    # Not pyplot: no global state, and no window system is looked for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    png = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(png, format="png")
    write_atomically(path, png.getvalue())
