"""The ops of a deployment graph: for each, its weights, its shape rule and its meaning in NumPy.

``evaluate`` is the definition of an op, in float32; a lowering is right when it computes the same.
Shapes leave out the batch dimension, which is always first. Tokens are ``[tokens, channels]``,
images are ``[height, width, channels]``. Adding an op is one class here and one function in each
lowering.
"""

from __future__ import annotations

from edgevit.export.ops.base import (
    Array,
    Moving,
    Op,
    Shape,
    TokenWise,
)
from edgevit.export.ops.images import (
    Conv2D,
    Input,
    MaxPool2D,
    Normalise,
    PadConstant,
    Padding,
    SpaceToDepth,
)
from edgevit.export.ops.tokens import (
    Add,
    AddConstant,
    Attention,
    BatchNorm,
    Dense,
    Gelu,
    LayerNorm,
    PrependToken,
    Relu,
    Reshape,
    Softmax,
    TakeToken,
)

__all__ = [
    "Add",
    "AddConstant",
    "Array",
    "Attention",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Gelu",
    "Input",
    "LayerNorm",
    "MaxPool2D",
    "Moving",
    "Normalise",
    "Op",
    "PadConstant",
    "Padding",
    "PrependToken",
    "Relu",
    "Reshape",
    "Shape",
    "Softmax",
    "SpaceToDepth",
    "TakeToken",
    "TokenWise",
]
