"""An offset in front of a convolution that pads becomes part of its bias after all.

The zeros that such a convolution puts around ``x + offset`` are pixels of ``-offset`` around ``x``.
With those put there first, the convolution reads plain pixels: integers, which int8 holds exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Conv2D, Normalise, PadConstant


def pad_pixels(graph: DeployGraph) -> DeployGraph:
    """Replace each normalisation that only adds an offset, if one padding convolution reads it."""
    for normalise in tuple(graph.of_type(Normalise)):
        readers = graph.consumers(normalise.name)
        conv = readers[0]
        if len(readers) != 1 or not isinstance(conv, Conv2D) or conv.padding != "same":
            continue
        rows, columns = conv.kernel.shape[:2]
        if normalise.swap_channels or not np.all(normalise.scale == 1) or rows != columns:
            continue
        before = (rows - 1) // 2
        pad = PadConstant(
            name=f"{conv.name}/padded",
            inputs=normalise.inputs,
            before=before,
            after=rows - 1 - before,
            value=-normalise.offset,
        )
        added = np.einsum(
            "c,hwco->o", normalise.offset.astype(np.float64), conv.kernel.astype(np.float64)
        )
        valid = replace(
            conv,
            inputs=(pad.name,),
            bias=(conv.bias + added).astype(np.float32),
            padding="valid",
        )
        graph = graph.edit({conv.name: (pad, valid)})
    return graph
