"""Attention: each head's weights, and how they add up over the blocks (rollout)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevit.export.ops import Array, Attention
from edgevit.metrics import softmax

Map = npt.NDArray[np.float64]


def attention_weights(op: Attention, queries: Array, keys: Array) -> Array:
    """Compute ``softmax(Q Kᵀ · scale)`` of one image, which the op itself does not return.

    Args:
        op: The attention of an encoder block.
        queries: ``float32 [tokens, heads * size]``.
        keys: ``float32 [tokens, heads * size]``.

    Returns:
        ``float32 [heads, tokens, tokens]``; every row adds up to 1.
    """
    split = [x.reshape(len(x), op.heads, -1).transpose(1, 0, 2) for x in (queries, keys)]
    return softmax(split[0] @ split[1].transpose(0, 2, 1) * np.float32(op.scale))


def rollout(weights: Sequence[Array]) -> Map:
    """Follow attention from the last block's tokens to the patches.

    Abnar & Zuidema 2020 (arXiv:2005.00928), eq. 1 and 2: A = ½ W + ½ I, where W is the mean over
    the heads and I stands for the residual connection, rows normalised; then the product of all
    blocks, the last one on the left.

    Args:
        weights: Of each block from the first, ``[heads, tokens, tokens]``.

    Returns:
        ``float64 [tokens, tokens]``: row i says how much of token i came from each input token;
        every row adds up to 1.
    """
    product: Map = np.eye(weights[0].shape[-1])
    for block in weights:
        mixed = 0.5 * block.mean(axis=0, dtype=np.float64) + 0.5 * np.eye(block.shape[-1])
        product = mixed / mixed.sum(axis=1, keepdims=True) @ product
    return product


def shares_of_patches(matrix: Map, *, class_token: bool) -> Map:
    """Return how attention is shared out among the patches.

    Args:
        matrix: ``[tokens, tokens]``, of a rollout or of a head.
        class_token: Token 0 is the class token: its row is taken, without its share of itself.
            Otherwise the mean over all tokens is taken.

    Returns:
        ``float64 [patches]``, which adds up to 1.
    """
    shares = matrix[0, 1:] if class_token else matrix.mean(axis=0)
    shares = shares.astype(np.float64)
    total = shares.sum()
    # A class token that looks at nothing but itself has no map: an even one says so.
    return shares / total if total > 0 else np.full(len(shares), 1 / len(shares))


def entropy_nats(weights: Array) -> Map:
    """Return how widely each head looks: the mean entropy of its rows.

    Args:
        weights: ``[heads, tokens, tokens]``.

    Returns:
        ``float64 [heads]``, nats: from 0 (one token each) to the logarithm of the token count.
    """
    shares = weights.astype(np.float64)
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropies: Map = -(shares * logarithms).sum(axis=-1).mean(axis=-1)
    return entropies
