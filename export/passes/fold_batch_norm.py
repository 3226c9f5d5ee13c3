"""Batch norms become part of the next dense layer."""

from __future__ import annotations

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import BatchNorm
from edgevit.export.passes.affine import fold_into_readers


def fold_batch_norm(graph: DeployGraph) -> DeployGraph:
    """Fold each batch norm whose readers are all dense layers into them, and drop it."""
    # Last first: an edit does not touch the ops before it.
    for norm in reversed(tuple(graph.of_type(BatchNorm))):
        replacements = fold_into_readers(graph, norm.name, norm.scale, norm.offset)
        if replacements is not None:
            graph = graph.edit({**replacements, norm.name: ()})
    return graph
