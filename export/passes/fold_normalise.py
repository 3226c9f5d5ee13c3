"""The normalisation of pixels becomes part of the first convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Conv2D, Normalise


def fold_normalise(graph: DeployGraph) -> DeployGraph:
    """Fold the normalisation into a convolution without padding.

    A convolution that pads with zeros (VGG16's first) pads *after* the normalisation, so there the
    normalisation stays: folding it would change the border.
    """
    for normalise in tuple(graph.of_type(Normalise)):
        readers = graph.consumers(normalise.name)
        if len(readers) != 1:
            continue
        (conv,) = readers
        if not isinstance(conv, Conv2D) or conv.padding != "valid":
            continue
        kernel = conv.kernel.astype(np.float64)
        bias = conv.bias + np.einsum("c,hwco->o", normalise.offset.astype(np.float64), kernel)
        kernel = kernel * normalise.scale.astype(np.float64)[:, None]
        if normalise.swap_channels:
            kernel = kernel[:, :, ::-1]
        folded = replace(
            conv,
            kernel=np.ascontiguousarray(kernel, dtype=np.float32),
            bias=bias.astype(np.float32),
        )
        graph = graph.edit({conv.name: (folded,), normalise.name: ()})
    return graph
