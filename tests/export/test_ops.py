"""Each op's meaning, against hand-computed values or TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from edgevit.export import ops

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 1, "same"), (3, 1, "valid"), (3, 2, "valid"), (4, 4, "valid"), (2, 1, "same")],
)
def test_convolution_equals_tensorflow_when_padded_or_strided(
    kernel: int, stride: int, padding: ops.Padding
) -> None:
    x, weights, bias = normal(2, 9, 10, 3), normal(kernel, kernel, 3, 5), normal(5)
    op = ops.Conv2D(
        name="c", inputs=("x",), kernel=weights, bias=bias, stride=stride, padding=padding
    )
    expected = tf.nn.conv2d(x, weights, stride, padding.upper()) + bias
    actual = op.evaluate(x)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert op.shape(x.shape[1:]) == actual.shape[1:]


def test_convolution_is_refused_when_channels_differ() -> None:
    op = ops.Conv2D(name="c", inputs=("x",), kernel=normal(1, 1, 3, 5), bias=normal(5))
    with pytest.raises(ValueError, match="4 channels for a kernel of 3"):
        op.shape((8, 8, 4))


def test_pooling_drops_the_edge_when_the_size_is_odd() -> None:
    op = ops.MaxPool2D(name="p", inputs=("x",), size=2)
    x = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    np.testing.assert_array_equal(op.evaluate(x)[0, :, :, 0], [[6, 8], [16, 18]])


def test_normalise_swaps_first_when_the_order_is_bgr() -> None:
    scale, offset = np.float32([1, 2, 3]), np.float32([0.5, 0, 0])
    op = ops.Normalise(name="n", inputs=("x",), scale=scale, offset=offset, swap_channels=True)
    np.testing.assert_array_equal(op.evaluate(np.float32([[10, 20, 30]])), [[30.5, 40, 30]])


def test_layer_norm_equals_keras_when_it_has_gain_and_bias() -> None:
    import keras

    gain, bias, x = normal(6), normal(6), normal(2, 4, 6) * 3 + 1
    layer = keras.layers.LayerNormalization(epsilon=1e-6)
    layer.build(x.shape)
    layer.set_weights([gain, bias])
    op = ops.LayerNorm(name="l", inputs=("x",), epsilon=1e-6, gain=gain, bias=bias)
    np.testing.assert_allclose(op.evaluate(x), layer(x), atol=1e-5)


def test_gelu_is_exact_when_far_from_zero() -> None:
    x = np.float32([-6, -1, 0, 1, 6])
    expected = tf.nn.gelu(x, approximate=False)
    np.testing.assert_allclose(
        ops.Gelu(name="g", inputs=("x",)).evaluate(x), expected, rtol=1e-5, atol=1e-7
    )


def test_attention_takes_the_matching_value_when_scores_are_sharp() -> None:
    # Two heads of size 1: each query points at one key, far from the others.
    op = ops.Attention(name="a", inputs=("q", "k", "v"), heads=2, scale=1.0)
    query = np.float32([[[100, -100]]])
    keys = np.float32([[[1, 1], [-1, -1]]])
    values = np.float32([[[10, 20], [30, 40]]])
    np.testing.assert_allclose(op.evaluate(query, keys, values), [[[10, 40]]])
    assert op.shape((1, 2), (2, 2), (2, 2)) == (1, 2)


@pytest.mark.parametrize(("height", "width", "block"), [(4, 6, 2), (6, 3, 3), (2, 2, 1), (4, 4, 4)])
def test_space_to_depth_equals_loops_when_squares_fit(height: int, width: int, block: int) -> None:
    op = ops.SpaceToDepth(name="s", inputs=("x",), block=block)
    x = np.arange(2 * height * width * 3, dtype=np.float32).reshape(2, height, width, 3)
    shape = (height // block, width // block, block * block * 3)
    expected = np.full((2, *shape), np.nan, dtype=np.float32)
    for image, row, column, channel in np.ndindex(x.shape):
        place = (row % block * block + column % block) * 3 + channel
        expected[image, row // block, column // block, place] = x[image, row, column, channel]
    np.testing.assert_array_equal(op.evaluate(x), expected)
    assert op.shape(x.shape[1:]) == shape


def test_space_to_depth_equals_tensorflow_when_channels_are_last() -> None:
    x = normal(2, 6, 4, 3)
    op = ops.SpaceToDepth(name="s", inputs=("x",), block=2)
    np.testing.assert_array_equal(op.evaluate(x), tf.nn.space_to_depth(x, 2))


@pytest.mark.parametrize("shape", [(5, 4, 3), (4, 5, 3)])
def test_space_to_depth_is_refused_when_squares_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no whole number of squares"):
        ops.SpaceToDepth(name="s", inputs=("x",), block=2).shape(shape)
