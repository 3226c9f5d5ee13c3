"""Biases make up for what rounding shifts on average.

The error that rounding makes in a product has a mean over tokens and images that is not 0, above
all where the inputs are never negative. Taking that mean off the bias costs nothing at run time
(Nagel et al. 2019, arXiv:1906.04721, section 4.2; here by calibration images).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array
from edgevit.export.plan import RoundedProduct, products_of
from edgevit.preprocessing import Pixels

_BATCH_SIZE = 2
# More images than these change a mean by less than rounding does.
_IMAGES = 32


def bias_corrections(
    calibration: Calibration, products: Mapping[str, RoundedProduct]
) -> dict[str, Array]:
    """Return what to add to the bias of each rounded product, ``float32 [channels]`` by name."""

    def measured(pixels: Pixels) -> dict[str, Array]:
        found = {}
        for op, inputs, value in calibration.graph.walk(pixels):
            if op.name in products:
                lost = value - products[op.name](*inputs)
                columns = lost.reshape(len(lost), -1, lost.shape[-1])
                found[op.name] = columns.mean(axis=1).sum(axis=0)
        return found

    images = calibration.images[:_IMAGES]
    batches = calibration.graph.map_batches(measured, images, _BATCH_SIZE)
    return {
        name: np.asarray(sum(batch[name] for batch in batches) / len(images), dtype=np.float32)
        for name in products
    }


def correct_bias(graph: DeployGraph, corrections: Mapping[str, Array]) -> DeployGraph:
    """Return the graph with corrected biases. Not exact in float: it is for rounded products."""
    return graph.edit(
        {
            op.name: (replace(op, bias=op.bias + corrections[op.name]),)
            for op in products_of(graph)
            if op.name in corrections
        }
    )
