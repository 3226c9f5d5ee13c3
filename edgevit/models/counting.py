"""Numbers of weights of the usual layers, by formula."""

from __future__ import annotations


def dense(inputs: int, outputs: int) -> int:
    """A matrix and a bias."""
    return inputs * outputs + outputs


def convolution(size: int, inputs: int, outputs: int) -> int:
    """A square kernel and a bias."""
    return size * size * inputs * outputs + outputs


def layer_norm(channels: int) -> int:
    """A gain and a bias."""
    return 2 * channels


def encoder_block(channels: int, attention_width: int, mlp_width: int) -> int:
    """Two layer norms, four attention projections and a two-layer MLP."""
    projections = 3 * dense(channels, attention_width) + dense(attention_width, channels)
    mlp = dense(channels, mlp_width) + dense(mlp_width, channels)
    return 2 * layer_norm(channels) + projections + mlp
