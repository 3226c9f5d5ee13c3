"""The passes that every export runs, in order, each checked against the graph before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgevit.errors import CheckFailedError
from edgevit.export.graph import DeployGraph
from edgevit.export.passes.centre_residual import centre_residual
from edgevit.export.passes.fold_attention_scale import fold_attention_scale
from edgevit.export.passes.fold_batch_norm import fold_batch_norm
from edgevit.export.passes.fold_layer_norm import fold_layer_norm
from edgevit.export.passes.fold_normalise import fold_normalise
from edgevit.export.passes.pad_pixels import pad_pixels
from edgevit.export.passes.take_token_early import take_token_early
from edgevit.export.passes.unfold_patches import unfold_patches
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels

GraphPass = Callable[[DeployGraph], DeployGraph]

# Batch norms first: the layer norm before the head then has a dense reader to fold into. The
# residual stream last: its first writer must be a dense layer by then.
EXACT_PASSES: tuple[GraphPass, ...] = (
    fold_normalise,
    pad_pixels,
    fold_batch_norm,
    fold_layer_norm,
    fold_attention_scale,
    take_token_early,
    unfold_patches,
    centre_residual,
)

# Largest change of a probability that rounding may explain.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class PassReport:
    """What a pass did: whether it changed the graph, and the largest change of a probability."""

    name: str
    changed: bool
    max_difference: float


def run_passes(
    graph: DeployGraph, probe: Pixels, passes: Sequence[GraphPass] = EXACT_PASSES
) -> tuple[DeployGraph, tuple[PassReport, ...]]:
    """Run passes and check each against the graph before it.

    Args:
        graph: The graph to rewrite.
        probe: ``uint8 [n, height, width, 3]``, the images of the check.
        passes: In order.

    Raises:
        CheckFailedError: naming the pass that changed an answer by more than :data:`TOLERANCE`.
    """
    reports = []
    before = graph.evaluate(probe)
    for graph_pass in passes:
        rewritten = graph_pass(graph)
        changed = rewritten is not graph
        after = rewritten.evaluate(probe) if changed else before
        difference = check_same(graph_pass.__name__, before, after)
        reports.append(PassReport(graph_pass.__name__, changed, difference))
        graph, before = rewritten, after
    return graph, tuple(reports)


def check_same(name: str, before: Scores, after: Scores) -> float:
    """Return the largest change of a probability that a pass made.

    Raises:
        CheckFailedError: if it is above :data:`TOLERANCE`.
    """
    difference = float(np.max(np.abs(after - before)))
    if not difference <= TOLERANCE:  # NaN fails too
        raise CheckFailedError(
            f"the pass {name} changed a probability by {difference:.2g}, allowed is {TOLERANCE:g}",
            "This is a bug in edgevit, or the weights are not finite: please report it",
        )
    return difference
