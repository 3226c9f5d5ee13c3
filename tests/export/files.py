"""Files of any graph, made as an export makes them, without a run around it."""

from __future__ import annotations

from pathlib import Path

from edgevit.calibration.statistics import Calibration
from edgevit.export.card import ModelCard
from edgevit.export.choices import Choices
from edgevit.export.graph import DeployGraph
from edgevit.export.lowering import Recipe, Source
from edgevit.export.plan import with_float
from edgevit.export.precision import Precision
from edgevit.export.preparation import Preparation, Preparations
from edgevit.export.registry import LOWERINGS, Selection
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.runtimes.base import Session
from edgevit.runtimes.registry import RUNTIMES

CARD = ModelCard("small", "", ("a", "b", "c"), Preprocessing(8, 8), "0")


def selected(graph: DeployGraph, format_name: str, precision: Precision) -> Selection:
    lowering = LOWERINGS.get(format_name)
    return Selection(lowering, precision, lowering.recipes(graph)[precision])


def prepared(graph: DeployGraph, recipe: Recipe, pixels: Pixels) -> Preparation:
    """Calibrate a graph on pixels."""
    return Preparations(Calibration(graph, pixels), Choices(), pixels[:2]).of(recipe)


def source_of(
    graph: DeployGraph,
    recipe: Recipe,
    pixels: Pixels,
    card: ModelCard = CARD,
    kept: frozenset[str] = frozenset(),
) -> Source:
    """Return what the recipe's files are made from, with the layers ``kept`` in float."""
    if not recipe.calibrated:
        return Source(graph, card, with_float(recipe.plan(graph), kept))
    preparation = prepared(graph, recipe, pixels)
    plan = with_float(preparation.plan, kept)
    return Source(preparation.graph(kept), card, plan, preparation.ranges)


def write(folder: Path, selection: Selection, source: Source) -> Path:
    """Write the files; returns the one that a runtime opens."""
    for name, data in selection.recipe.write(source).items():
        (folder / name).write_bytes(data)
    return folder / selection.lowering.model_file


def opened(folder: Path, selection: Selection, source: Source) -> Session:
    """Write the files and open them in their real runtime."""
    return RUNTIMES.get(selection.lowering.name).open(write(folder, selection, source), threads=1)
