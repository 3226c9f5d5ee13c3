"""Every format, by name, and the (format, precision) pairs that a request stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgevit.errors import InputError
from edgevit.export.graph import DeployGraph
from edgevit.export.lowering import Lowering, Recipe
from edgevit.export.onnx import OnnxLowering
from edgevit.export.openvino import OpenVinoLowering
from edgevit.export.precision import PRECISIONS, Precision
from edgevit.export.tflite import TFLiteLowering
from edgevit.registry import Registry

_ENTRIES: tuple[Lowering, ...] = (TFLiteLowering(), OnnxLowering(), OpenVinoLowering())
LOWERINGS: Registry[Lowering] = Registry("format", _ENTRIES)
ALL = "all"


@dataclass(frozen=True)
class Selection:
    """One file to make.

    Attributes:
        lowering: The format.
        precision: One that the format can have.
        recipe: How it is made for the graph at hand.
    """

    lowering: Lowering
    precision: Precision
    recipe: Recipe


def check_names(formats: Iterable[str], precisions: Iterable[str]) -> tuple[Precision, ...]:
    """Check the spelling of what a user asked for, before any work.

    Returns:
        The precisions that are meant.

    Raises:
        InputError: listing the valid names.
    """
    for name in formats:
        if name not in (*LOWERINGS.names(), ALL):
            valid = ", ".join((*LOWERINGS.names(), ALL))
            raise InputError(f"unknown format {name!r}", f"Valid: {valid}")
    asked = tuple(dict.fromkeys(precisions))
    for precision in asked:
        if precision not in (*PRECISIONS, ALL):
            raise InputError(
                f"unknown precision {precision!r}", f"Valid: {', '.join((*PRECISIONS, ALL))}"
            )
    return tuple(known for known in PRECISIONS if ALL in asked or known in asked)


def select(
    graph: DeployGraph, formats: Iterable[str], precisions: Iterable[str]
) -> tuple[tuple[Selection, ...], tuple[str, ...]]:
    """Return the files that a request stands for, and why ``all`` leaves any out.

    Args:
        graph: After the passes.
        formats: Names; ``all`` stands for every format that can have the precision.
        precisions: Names; ``all`` stands for every precision that the format can have.

    Raises:
        InputError: if a pair that was named cannot be made, listing the valid ones.
    """
    formats, precisions = tuple(formats), tuple(precisions)
    meant = check_names(formats, precisions)
    chosen: dict[tuple[str, str], Selection] = {}
    left_out: dict[str, None] = {}
    for format_name in LOWERINGS.names() if ALL in formats else dict.fromkeys(formats):
        lowering = LOWERINGS.get(format_name)
        recipes = lowering.recipes(graph)
        for precision in meant:
            problem = _problem(lowering, recipes.get(precision), precision, graph)
            if problem is None:
                pair = Selection(lowering, precision, recipes[precision])
                chosen[format_name, precision] = pair
            elif ALL in formats or ALL in precisions:
                left_out[problem] = None
            else:
                raise InputError(problem, f"Valid for {format_name}: {_valid(lowering, graph)}")
    if not chosen:
        raise InputError("; ".join(left_out), "Ask for another precision")
    return tuple(chosen.values()), tuple(left_out)


def _problem(
    lowering: Lowering, recipe: Recipe | None, precision: str, graph: DeployGraph
) -> str | None:
    if recipe is None:
        return f"{lowering.name} cannot have {precision}"
    refusal = recipe.refusal(graph)
    return refusal and f"{lowering.name} should not have {precision} here: {refusal}"


def _valid(lowering: Lowering, graph: DeployGraph) -> str:
    recipes = lowering.recipes(graph)
    return ", ".join(name for name, recipe in recipes.items() if recipe.refusal(graph) is None)
