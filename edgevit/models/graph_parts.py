"""Pieces of deployment graphs that several families are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevit.export.graph import GraphBuilder
from edgevit.export.ops import (
    Add,
    Attention,
    BatchNorm,
    Dense,
    Gelu,
    LayerNorm,
    Normalise,
    Softmax,
)
from edgevit.preprocessing import Preprocessing

Weights = Mapping[str, npt.NDArray[np.float32]]

# Keras's default epsilon of BatchNormalization, with which the heads are trained.
BATCH_NORM_EPSILON = 1e-3
LAYER_NORM_EPSILON = 1e-6


def add_normalise(builder: GraphBuilder, preprocessing: Preprocessing) -> str:
    """Append the normalisation of pixels and return the value's name."""
    mean = np.array(preprocessing.mean, dtype=np.float64)
    std = np.array(preprocessing.std, dtype=np.float64)
    return builder.add(
        Normalise(
            name="normalise",
            inputs=(builder.last,),
            scale=(1 / std).astype(np.float32),
            offset=(-mean / std).astype(np.float32),
            swap_channels=preprocessing.channel_order == "bgr",
        )
    )


def add_dense(builder: GraphBuilder, name: str, source: str, weights: Weights, path: str) -> str:
    """Append a dense layer whose weights stand at ``path/kernel`` and ``path/bias``.

    Keras's multi-head kernels (``[in, heads, size]``, ``[heads, size, out]``) are flattened.
    """
    bias = weights[f"{path}/bias"].reshape(-1)
    kernel = weights[f"{path}/kernel"].reshape(-1, len(bias))
    return builder.add(Dense(name=name, inputs=(source,), kernel=kernel, bias=bias))


def add_layer_norm(
    builder: GraphBuilder, name: str, source: str, weights: Weights, path: str
) -> str:
    """Append a layer norm whose weights stand at ``path/gamma`` and ``path/beta``."""
    return builder.add(
        LayerNorm(
            name=name,
            inputs=(source,),
            epsilon=LAYER_NORM_EPSILON,
            gain=weights[f"{path}/gamma"],
            bias=weights[f"{path}/beta"],
        )
    )


def add_batch_norm(builder: GraphBuilder, name: str, weights: Weights, path: str) -> str:
    """Append a batch norm as the affine map that it is at inference."""
    variance = weights[f"{path}/moving_variance"].astype(np.float64)
    scale = weights[f"{path}/gamma"] / np.sqrt(variance + BATCH_NORM_EPSILON)
    offset = weights[f"{path}/beta"] - weights[f"{path}/moving_mean"] * scale
    return builder.add(
        BatchNorm(
            name=name,
            inputs=(builder.last,),
            scale=scale.astype(np.float32),
            offset=offset.astype(np.float32),
        )
    )


@dataclass(frozen=True)
class EncoderPaths:
    """Where one encoder block's weights stand.

    Attributes:
        attention: Prefix of ``query``, ``key``, ``value`` and the output projection.
        attention_out: Last part of the output projection's path.
    """

    norm_1: str
    attention: str
    attention_out: str
    norm_2: str
    mlp_1: str
    mlp_2: str


def add_encoder_block(
    builder: GraphBuilder,
    name: str,
    weights: Weights,
    paths: EncoderPaths,
    *,
    heads: int,
    gelu_after_mlp: bool = False,
) -> str:
    """Append a pre-norm transformer block (Dosovitskiy et al., arXiv:2010.11929, eq. 2 and 3).

    Args:
        builder: Its last value is the block's input ``[tokens, channels]``.
        name: Prefix of the ops' names.
        weights: By Keras variable path.
        paths: Where this block's weights stand.
        heads: Number of attention heads.
        gelu_after_mlp: The second MLP layer has a GELU too, as in the Keras example.
    """
    source = builder.last
    norm_1 = add_layer_norm(builder, f"{name}/norm_1", source, weights, paths.norm_1)
    query, key, value = (
        add_dense(builder, f"{name}/{part}", norm_1, weights, f"{paths.attention}/{part}")
        for part in ("query", "key", "value")
    )
    width = weights[f"{paths.attention}/query/bias"].size
    mixed = builder.add(
        Attention(
            name=f"{name}/attention",
            inputs=(query, key, value),
            heads=heads,
            scale=(width // heads) ** -0.5,
        )
    )
    out_path = f"{paths.attention}/{paths.attention_out}"
    projected = add_dense(builder, f"{name}/out", mixed, weights, out_path)
    middle = builder.add(Add(name=f"{name}/add_1", inputs=(source, projected)))
    norm_2 = add_layer_norm(builder, f"{name}/norm_2", middle, weights, paths.norm_2)
    hidden = add_dense(builder, f"{name}/mlp_1", norm_2, weights, paths.mlp_1)
    active = builder.add(Gelu(name=f"{name}/gelu_1", inputs=(hidden,)))
    result = add_dense(builder, f"{name}/mlp_2", active, weights, paths.mlp_2)
    if gelu_after_mlp:
        result = builder.add(Gelu(name=f"{name}/gelu_2", inputs=(result,)))
    return builder.add(Add(name=f"{name}/add_2", inputs=(middle, result)))


def add_classifier(builder: GraphBuilder, weights: Weights, path: str) -> str:
    """Append the last dense layer and the softmax."""
    logits = add_dense(builder, "logits", builder.last, weights, path)
    return builder.add(Softmax(name="probabilities", inputs=(logits,)))
