"""Meeting an accuracy budget: the layers that rounding harms most stay float, as few as needed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgevit import console, storage
from edgevit.bundle import FloatLayersRecord
from edgevit.errors import CheckFailedError, InputError
from edgevit.export import ladder as rungs
from edgevit.export.job import ExportJob
from edgevit.export.ladder import CHECK_THREADS, Ladder, RoundingFailedError
from edgevit.export.lowering import Recipe
from edgevit.export.plan import rounded_products
from edgevit.export.registry import Selection
from edgevit.export.sensitivity import Sensitivity, measure
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import Session
from edgevit.runtimes.registry import RUNTIMES

# With more than this in float it is no int8 model any more.
_LARGEST_SHARE = 0.5
_LATENCY_ROUNDS = 40
_WARM_UP_ROUNDS = 5
_NS_PER_MS = 1e6

KeepFloat = frozenset[str]


def sensitivity_of(job: ExportJob, recipe: Recipe, images: Pixels) -> Sensitivity:
    """Rank a recipe's layers by the damage that each does alone.

    Raises:
        InputError: if the recipe rounds no layers.
    """
    plan = recipe.plan(job.graph)
    if not plan:
        raise InputError("nothing is rounded to int8 here", "Ask for int8 or int8-dynamic")
    if not recipe.calibrated:
        return measure(job.graph, plan, rounded_products(job.graph, plan, {}), images)
    prepared = job.preparation(recipe)
    return measure(prepared.calibration.graph, prepared.plan, prepared.products(), images)


def keep_in_float(job: ExportJob, selection: Selection) -> KeepFloat:
    """Find the fewest of the worst layers that must stay float for the budget to hold.

    The number is doubled until it does and then bisected, so that a bundle of 74 layers takes about
    ten files. The budget is met by what was measured; what can be claimed is another matter.

    Args:
        job: With a budget.
        selection: The format and precision; its recipe may keep layers in float.

    Raises:
        CheckFailedError: if half of the layers in float are not enough.
    """
    ranking = sensitivity_of(job, selection.recipe, job.calibration_set.held_out).layers
    wanted = job.choices.float_layers
    names = [layer.name for layer in ranking if layer.name not in wanted]
    most = max(1, int(_LARGEST_SHARE * len(ranking))) - len(wanted)
    if most < 1:
        raise CheckFailedError(
            f"the budget of {job.choices.max_drop_points:g} points is missed with "
            f"{len(wanted)} of {len(ranking)} layers in float, and half of them is the limit",
            "No bundle was kept. Allow a larger --max-drop, or export fp16",
        )

    def problem(count: int) -> str | None:
        found = _problem(job, selection, wanted | frozenset(names[:count]))
        total = len(wanted) + count
        console.note(f"  {total} of {len(ranking)} layers in float: {found or 'that is enough'}")
        return found

    low, high = 0, 1  # with `low` it is too little
    while (found := problem(high)) is not None:
        if high == most:
            raise CheckFailedError(
                f"the budget of {job.choices.max_drop_points:g} points cannot be met: with "
                f"{len(wanted) + high} of {len(ranking)} layers in float, {found}",
                "No bundle was kept. Allow a larger --max-drop, or export fp16",
            )
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if problem(middle) is None:
            high = middle
        else:
            low = middle
    return wanted | frozenset(names[:high])


def _problem(job: ExportJob, selection: Selection, kept: KeepFloat) -> str | None:
    """Write a file that is thrown away, and say which check of rounding it fails, if any."""
    assert job.validation is not None  # check_budget sees to it
    ladder = Ladder(lambda rung: None)
    lowering, precision = selection.lowering, selection.precision
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        path = _written(job, selection, kept, Path(scratch))
        session = _open(selection, path)
        graph = job.source(selection.recipe, kept).graph
        try:
            rungs.check_weights(ladder, lowering.describe(path), graph, precision)
            rungs.check_values(ladder, session, job.held_out, precision)
            rungs.check_accuracy(ladder, session, job.validation, job.choices.max_drop_points)
        except RoundingFailedError:
            failed = ladder.rungs[-1]
            if failed.name == "accuracy":
                return failed.detail.split(" on ")[0]  # "drop +0.30 points"
            return f"the {failed.name} are not the graph's"
    return None


def _written(job: ExportJob, selection: Selection, kept: KeepFloat, folder: Path) -> Path:
    for name, data in selection.recipe.write(job.source(selection.recipe, kept)).items():
        storage.write_atomically(folder / name, data)
    return folder / selection.lowering.model_file


def _open(selection: Selection, path: Path) -> Session:
    return RUNTIMES.get(selection.lowering.name).open(path, CHECK_THREADS)


def float_layers_record(
    job: ExportJob, selection: Selection, kept: KeepFloat, path: Path
) -> FloatLayersRecord:
    """Time a file side by side with the one that has every layer in int8.

    Args:
        job: The job.
        selection: The format and precision.
        kept: The layers in float.
        path: The file that has them.
    """
    pixels = job.calibration_set.held_out[:1]
    with tempfile.TemporaryDirectory(prefix="edgevit-") as scratch:
        all_int8 = _open(selection, _written(job, selection, frozenset(), Path(scratch)))
        with console.step("Timing what the float layers cost"):
            all_int8_ms, mixed_ms = _medians_ms((all_int8, _open(selection, path)), pixels)
    return FloatLayersRecord(
        names=tuple(sorted(kept)),
        latency_ms_p50=mixed_ms,
        latency_ms_p50_all_int8=all_int8_ms,
        threads=CHECK_THREADS,
    )


def _medians_ms(sessions: Sequence[Session], pixels: Pixels) -> list[float]:
    """Return the median time of each session, milliseconds; they take turns."""
    times: list[list[int]] = [[] for _ in sessions]
    for turn in range(_WARM_UP_ROUNDS + _LATENCY_ROUNDS):
        for session, samples in zip(sessions, times, strict=True):
            started = time.perf_counter_ns()
            session.invoke(pixels)
            if turn >= _WARM_UP_ROUNDS:
                samples.append(time.perf_counter_ns() - started)
    return [float(np.median(samples)) / _NS_PER_MS for samples in times]
