"""Attention's 1/√d becomes part of the query projection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Attention, Dense


def fold_attention_scale(graph: DeployGraph) -> DeployGraph:
    """Scale each query projection that only its attention reads, and set the scale to 1."""
    for attention in tuple(graph.of_type(Attention)):
        query = graph.op(attention.inputs[0])
        if not isinstance(query, Dense) or len(graph.consumers(query.name)) != 1:
            continue
        scale = np.float32(attention.scale)
        scaled = replace(query, kernel=query.kernel * scale, bias=query.bias * scale)
        graph = graph.edit(
            {query.name: (scaled,), attention.name: (replace(attention, scale=1.0),)}
        )
    return graph
