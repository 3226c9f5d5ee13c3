"""The accuracy study as a picture: agreement with full precision, export by export."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accuracy_report import Outcome, RunResult, Study

from edgevit.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OURS_COLOUR, _OBVIOUS_COLOUR, _GOAL_COLOUR = "#1b6ca8", "#d1603d", "#2e8b57"
# Inches: of the picture, left and right of a panel, above and below it, of a line, of the legend.
_WIDTH, _LEFT, _RIGHT, _ABOVE, _BELOW, _LINE, _LEGEND = 11.5, 2.75, 2.0, 0.75, 0.65, 0.44, 0.45
_DPI = 120
_FONT_POINTS = 11
_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 100)
# Distance of a line's two marks from its middle, in lines.
_OFFSET = 0.15
# Where the two columns of numbers stand, in widths of the panel.
_PLAIN_COLUMN, _OUTLIER_COLUMN = 1.085, 1.215


def write_picture(path: Path, study: Study) -> None:
    """Draw a panel for each model, a line for each export, and a mark for each seed and variant."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models = dict.fromkeys(run.model for run in study.runs)
    panels = [[run for run in study.runs if run.model == model] for model in models]
    heights = [_ABOVE + _LINE * len(_names(panel)) + _BELOW for panel in panels]
    height = sum(heights) + _LEGEND
    with rc_context({"font.size": _FONT_POINTS}):
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
        FigureCanvasAgg(figure)
        top = height
        for panel, panel_height in zip(panels, heights, strict=True):
            top -= panel_height
            lower, upper = top + _BELOW, top + panel_height - _ABOVE
            right = _WIDTH - _RIGHT
            axes = figure.add_axes(
                (
                    _LEFT / _WIDTH,
                    lower / height,
                    (right - _LEFT) / _WIDTH,
                    (upper - lower) / height,
                )
            )
            _draw_panel(axes, panel, study)
        figure.legend(handles=_legend(study), loc="lower center", ncols=5, frameon=False)
        png = io.BytesIO()
        figure.savefig(png, format="png")
    write_atomically(path, png.getvalue())


def _names(runs: Sequence[RunResult]) -> list[str]:
    return list(dict.fromkeys(row.name for run in runs for row in run.rows))


def _place(agreement: float, photos: int) -> float:
    """Return where an agreement in per cent stands: logarithmic in the photos that differ."""
    return -math.log10(1.0 + (1.0 - agreement / 100.0) * photos)


def _draw_panel(axes: Axes, runs: Sequence[RunResult], study: Study) -> None:
    names, photos = _names(runs), study.test_count
    for line, name in enumerate(names):
        rows = [row for run in runs for row in run.rows if row.name == name]
        colour = _OURS_COLOUR if rows[0].ours else _OBVIOUS_COLOUR
        if rows[0].at_least is not None:
            goal = _place(100 * rows[0].at_least, photos)
            axes.plot([goal, goal], [line - 0.38, line + 0.38], color=_GOAL_COLOUR, linewidth=2)
        for offset, marker, fill, column, outcomes in (
            (-_OFFSET, "o", colour, _PLAIN_COLUMN, [row.plain for row in rows]),
            (_OFFSET, "D", "white", _OUTLIER_COLUMN, [row.outlier for row in rows]),
        ):
            found = list(_agreements(outcomes))
            axes.plot(
                [_place(agreement, photos) for agreement in found],
                [line + offset] * len(found),
                *(marker,),
                color=colour,
                markerfacecolor=fill,
                markersize=8,
                markeredgewidth=1.6,
                linestyle="",
                clip_on=False,
                zorder=3,
            )
            transform = axes.get_yaxis_transform()
            text = _numbers(outcomes, found)
            axes.text(column, line, text, transform=transform, ha="center", va="center", size=10)
    for column, heading in ((_PLAIN_COLUMN, "plain"), (_OUTLIER_COLUMN, "outliers")):
        if heading == "plain" or any(row.outlier for run in runs for row in run.rows):
            axes.text(
                column, -0.75, heading, transform=axes.get_yaxis_transform(), ha="center", size=10
            )
    _finish_axes(axes, names, runs, photos)


def _finish_axes(axes: Axes, names: Sequence[str], runs: Sequence[RunResult], photos: int) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(_place(0, photos), 0.08)
    axes.set_xticks([_place(tick, photos) for tick in _TICKS], [f"{tick:g}" for tick in _TICKS])
    axes.grid(axis="x", alpha=0.3)
    for line in range(len(names) - 1):
        axes.axhline(line + 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(
        f"test photos with the same top-1 answer as in full precision, % "
        f"({photos} photos, one is {100 / photos:.2f})"
    )
    seeds = "seed" if len(runs) == 1 else "seeds"
    numbers = ", ".join(str(run.seed) for run in runs)
    right = ", ".join(f"{100 * run.top1:.1f} %" for run in runs)
    axes.set_title(
        f"{runs[0].model}, {seeds} {numbers}: {right} top-1 in full precision", loc="left", pad=24
    )


def _agreements(outcomes: Sequence[Outcome | None]) -> Iterator[float]:
    for outcome in outcomes:
        if outcome is not None and outcome.measured is not None:
            yield 100 * outcome.measured.drop.agreement


def _numbers(outcomes: Sequence[Outcome | None], found: Sequence[float]) -> str:
    if not found:
        return "none" if any(outcomes) else ""
    low, high = f"{min(found):.2f}", f"{max(found):.2f}"
    return low if low == high else f"{low}\nto {high}"


def _legend(study: Study) -> list[object]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(marker: str, fill: str, label: str) -> Line2D:
        line = Line2D([], [], color="0.25", marker=marker, linestyle="", label=label)
        line.set(markerfacecolor=fill, markersize=8)
        return line

    handles: list[object] = [Patch(color=_OURS_COLOUR, label="edgevit")]
    rows = [row for run in study.runs for row in run.rows]
    if not all(row.ours for row in rows):
        handles.append(Patch(color=_OBVIOUS_COLOUR, label="the toolchain's own way"))
    handles.append(mark("o", "0.25", "as trained"))
    if any(row.outlier for row in rows):
        handles.append(mark("D", "white", f"with outliers (×{study.outliers:g})"))
    handles.append(Line2D([], [], color=_GOAL_COLOUR, linewidth=2, label="to reach"))
    return handles
