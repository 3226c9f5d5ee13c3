"""What ``edgevit sensitivity`` leaves on disk: every number, and a picture of them."""

from __future__ import annotations

import io
from pathlib import Path

from edgevit import documents, storage
from edgevit.export.sensitivity import Sensitivity

MARKER = "sensitivity.json"
PICTURE = "sensitivity.png"
KIND = "edgevit.sensitivity"
SCHEMA_VERSION = 1

_BAR_INCHES = 0.22
_DPI = 110
_KIND_COLOURS = {
    "calibrated": "#4c78a8",
    "per-token": "#54a24b",
    "per-image": "#eeca3b",
}


def write_report(folder: Path, name: str, sensitivity: Sensitivity) -> bool:
    """Write the files into a folder; returns whether there is a picture."""
    picture = _picture(name, sensitivity)
    if picture is not None:
        storage.write_atomically(folder / PICTURE, picture)
    documents.write(folder / MARKER, KIND, SCHEMA_VERSION, sensitivity)
    return picture is not None


def _picture(name: str, sensitivity: Sensitivity) -> bytes | None:
    """Draw a bar for each layer, the most harmful on top; ``None`` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError:
        return None
    layers = sensitivity.layers
    figure = Figure(figsize=(9.0, 1.8 + _BAR_INCHES * len(layers)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes, flips = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    places = range(len(layers))
    colours = [_KIND_COLOURS[layer.operand] for layer in layers]
    axes.barh(places, [layer.sqnr_db for layer in layers], color=colours)
    axes.set_yticks(places, [layer.name for layer in layers], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(sensitivity.sqnr_db, color="0.2", linestyle=":")
    axes.set_xlabel("SQNR of the logits, dB (shorter is worse; dotted: all layers together)")
    flips.barh(places, [100 * (1 - layer.agreement) for layer in layers], color="#e45756")
    flips.set_xlabel("labels changed, %")
    flips.set_xlim(0, max(1.0, *(105 * (1 - layer.agreement) for layer in layers)))
    kinds = dict.fromkeys(layer.operand for layer in layers)
    figure.legend(
        handles=[Patch(color=_KIND_COLOURS[kind], label=f"input range {kind}") for kind in kinds],
        frameon=False,
        loc="outside lower center",
    )
    for side in (axes, flips):
        side.grid(axis="x", alpha=0.25)
        side.set_axisbelow(True)
        side.spines[["top", "right"]].set_visible(False)
        side.set_ylim(len(layers) - 0.4, -0.6)
    count = sensitivity.image_count
    figure.suptitle(f"{name}: one layer at a time in int8, {count} images", parse_math=False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
