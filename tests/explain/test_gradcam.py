from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgevit.explain.gradcam import Tail, feature_gradient, grad_cam, tail_of
from edgevit.export.graph import DeployGraph, GraphBuilder
from edgevit.export.ops import BatchNorm, Conv2D, Dense, MaxPool2D, Relu, Reshape, Softmax
from edgevit.models.registry import ARCHITECTURES
from tests.models.template import stirred

RANDOM = np.random.default_rng(5)


def _normal(*shape: int) -> Any:
    return RANDOM.normal(0, 0.5, shape).astype(np.float32)


@pytest.fixture(scope="module")
def graph() -> DeployGraph:
    """Every op that the gradient goes through; the pool drops a row and a column."""
    builder = GraphBuilder(7, 9)
    builder.add(Conv2D(name="early", inputs=("pixels",), kernel=_normal(3, 3, 3, 4) / 200,
                       bias=_normal(4)))  # fmt: skip
    builder.add(Conv2D(name="conv", inputs=("early",), kernel=_normal(1, 1, 4, 6), bias=_normal(6)))
    builder.add(Relu(name="conv_relu", inputs=("conv",)))
    builder.add(MaxPool2D(name="pool", inputs=("conv_relu",), size=2))
    builder.add(Reshape(name="flatten", inputs=("pool",), target=(2 * 3 * 6,)))
    builder.add(Dense(name="hidden", inputs=("flatten",), kernel=_normal(36, 8), bias=_normal(8)))
    builder.add(Relu(name="hidden_relu", inputs=("hidden",)))
    builder.add(BatchNorm(name="norm", inputs=("hidden_relu",), scale=_normal(8),
                          offset=_normal(8)))  # fmt: skip
    builder.add(Dense(name="logits", inputs=("norm",), kernel=_normal(8, 3), bias=_normal(3)))
    builder.add(Softmax(name="probabilities", inputs=("logits",)))
    return builder.build()


def _values(graph: DeployGraph) -> tuple[Tail, dict[str, Any]]:
    height, width, _ = graph.shapes["pixels"]
    pixels = np.random.default_rng(6).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    tail = tail_of(graph)
    assert tail is not None
    return tail, graph.values(pixels)


def test_gradient_equals_tensorflow_when_the_tail_has_every_op(graph: DeployGraph) -> None:
    import tensorflow as tf

    tail, values = _values(graph)
    assert tail.features == "conv_relu"
    hidden, norm, logits = (graph.op(name) for name in ("hidden", "norm", "logits"))
    assert isinstance(hidden, Dense)
    assert isinstance(norm, BatchNorm)
    assert isinstance(logits, Dense)
    features = tf.constant(values["conv_relu"])
    with tf.GradientTape() as tape:
        tape.watch(features)
        x = tf.reshape(tf.nn.max_pool2d(features, 2, 2, "VALID"), [1, -1])
        x = tf.nn.relu(x @ hidden.kernel + hidden.bias) * norm.scale + norm.offset
        answer = (x @ logits.kernel + logits.bias)[:, 1]
    expected = tape.gradient(answer, features).numpy()
    assert np.abs(expected).max() > 0.01
    # Where several zeros share a maximum, the gradient's place is a convention: only sums count.
    found = feature_gradient(tail, values, 1)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), expected.sum(axis=(1, 2)), atol=1e-5)
    positive = values["conv_relu"] > 0
    np.testing.assert_allclose(found[positive], expected[positive], atol=1e-5)


def test_map_equals_tensorflow_when_the_model_is_a_vgg16() -> None:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    architecture = ARCHITECTURES.get("vgg16")
    spec = architecture.spec(3, 64)
    model = architecture.build_keras(spec)
    weights = stirred(model)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    graph = architecture.build_graph(spec, weights)
    tail = tail_of(graph)
    assert tail is not None
    assert tail.features == "block5_conv3_relu"

    trunk = model.get_layer("vgg16")
    convolved = keras.Model(trunk.inputs, trunk.get_layer("block5_conv3").output)
    features = convolved(model.get_layer("normalise")(pixels.astype(np.float32)))
    with tf.GradientTape() as tape:
        tape.watch(features)
        pooled = trunk.get_layer("block5_pool")(features)
        answer = model.get_layer("head_logits")(tf.reshape(pooled, [1, -1]))[:, 2]
    alpha = tf.reduce_mean(tape.gradient(answer, features), axis=(1, 2))[:, None, None]
    expected = tf.nn.relu(tf.reduce_sum(alpha * features, axis=-1))[0].numpy()
    assert expected.max() > 0
    found = grad_cam(tail, graph.values(pixels), 2)
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())


def test_map_is_zero_when_nothing_speaks_for_the_class(graph: DeployGraph) -> None:
    tail, values = _values(graph)
    logits = tail.ops[-1]
    assert isinstance(logits, Dense)
    silent = replace(logits, kernel=np.zeros_like(logits.kernel))
    assert not grad_cam(replace(tail, ops=(*tail.ops[:-1], silent)), values, 0).any()


def test_there_is_no_tail_when_tokens_follow_the_convolution() -> None:
    architecture = ARCHITECTURES.get("vit-tiny")
    spec = architecture.spec(3)
    weights = {weight.path: weight.numpy() for weight in architecture.build_keras(spec).weights}
    assert tail_of(architecture.build_graph(spec, weights)) is None
