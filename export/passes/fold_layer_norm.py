"""A layer norm's gain and bias become part of the dense layers that read it."""

from __future__ import annotations

from dataclasses import replace

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import LayerNorm
from edgevit.export.passes.affine import fold_into_readers


def fold_layer_norm(graph: DeployGraph) -> DeployGraph:
    """Fold gain and bias of each layer norm whose readers are all dense layers into them."""
    for norm in tuple(graph.of_type(LayerNorm)):
        if norm.gain is None or norm.bias is None:
            continue
        replacements = fold_into_readers(graph, norm.name, norm.gain, norm.bias)
        if replacements is not None:
            graph = graph.edit({**replacements, norm.name: (replace(norm, gain=None, bias=None),)})
    return graph
