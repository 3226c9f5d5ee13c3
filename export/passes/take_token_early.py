"""Only the class token is computed where only the class token is read: in the last block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Attention, Op, TakeToken, TokenWise


def take_token_early(graph: DeployGraph) -> DeployGraph:
    """Move each selection of a token up through the ops that treat tokens one by one.

    Attention needs one query but still all keys and values. A value that others read in full
    keeps its selection behind it.
    """
    while (movable := _next_movable(graph)) is not None:
        op, takes = movable
        graph = graph.edit({**_moved(op, takes[0].index), **{take.name: () for take in takes}})
    return graph


def _next_movable(graph: DeployGraph) -> tuple[Op, tuple[TakeToken, ...]] | None:
    """Return an op of which only one token is read, with the selections that read it."""
    for take in graph.of_type(TakeToken):
        op = graph.op(take.inputs[0])
        if not isinstance(op, (TokenWise, Attention)):
            continue
        readers = graph.consumers(op.name)
        takes = tuple(reader for reader in readers if isinstance(reader, TakeToken))
        if len(takes) == len(readers) and all(other.index == take.index for other in takes):
            return op, takes
    return None


def _moved(op: Op, index: int) -> dict[str, Sequence[Op]]:
    """Return replacements that select the token before ``op`` instead of behind it."""
    selected = 1 if isinstance(op, Attention) else len(op.inputs)
    takes = tuple(
        TakeToken(name=f"{op.name}/take_{position}", inputs=(source,), index=index)
        for position, source in enumerate(op.inputs[:selected])
    )
    inputs = (*(take.name for take in takes), *op.inputs[selected:])
    return {op.name: (*takes, replace(op, inputs=inputs))}
