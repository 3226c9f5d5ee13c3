"""Our rollout beside vit-keras's ``visualize.attention_map`` on the same random model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevit.explain.attention import attention_weights, rollout, shares_of_patches
from edgevit.export.ops import Array, Attention
from edgevit.models.registry import ARCHITECTURES
from tests.models.template import stirred


@pytest.fixture(scope="module")
def image() -> Any:
    """``uint8 [64, 64, 3]``, smooth."""
    coarse = np.random.default_rng(3).integers(60, 256, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture(scope="module")
def model() -> Any:
    """A vit-tiny whose heads look at some patches much more than at others."""
    import keras

    keras.utils.set_random_seed(0)
    model = ARCHITECTURES.get("vit-tiny").build_keras(ARCHITECTURES.get("vit-tiny").spec(3))
    stirred(model)
    for weight in model.weights:
        if weight.path.endswith("query/kernel"):
            weight.assign(weight * 6)
    return model


@pytest.fixture(scope="module")
def weights(model: Any, image: Any) -> list[Array]:
    """Each block's attention from the graph."""
    architecture = ARCHITECTURES.get("vit-tiny")
    paths = {weight.path: weight.numpy() for weight in model.weights}
    graph = architecture.build_graph(architecture.spec(3), paths)
    return [
        attention_weights(op, inputs[0][0], inputs[1][0])
        for op, inputs, _ in graph.walk(image[None])
        if isinstance(op, Attention)
    ]


def test_attention_equals_keras_when_taken_from_the_graph(
    model: Any, weights: list[Array], image: Any
) -> None:
    import keras
    from vit_keras.layers import TransformerBlock

    trunk = model.get_layer("trunk")
    blocks = [layer.output[1] for layer in trunk.layers if isinstance(layer, TransformerBlock)]
    normalised = image[None].astype(np.float32) / 127.5 - 1
    found = keras.Model(trunk.inputs, blocks).predict(normalised, verbose=0)
    np.testing.assert_allclose(np.stack(weights), np.stack(found)[:, 0], atol=1e-4)


def test_rollout_is_theirs_times_a_constant_when_they_divide_by_the_whole_sum(
    weights: list[Array],
) -> None:
    tokens = weights[0].shape[-1]
    # vit_keras/visualize.py, line by line.
    reshaped = np.stack(weights).mean(axis=1) + np.eye(tokens)
    reshaped = reshaped / reshaped.sum(axis=(1, 2))[:, np.newaxis, np.newaxis]
    theirs = reshaped[-1]
    for index in range(1, len(reshaped)):
        theirs = theirs @ reshaped[-1 - index]
    np.testing.assert_allclose(rollout(weights), theirs * tokens ** len(weights), rtol=1e-5)


def test_map_equals_theirs_when_scaled_to_its_maximum(
    model: Any, weights: list[Array], image: Any
) -> None:
    import cv2
    from vit_keras import visualize

    theirs = visualize.attention_map(model.get_layer("trunk"), image)
    ours = shares_of_patches(rollout(weights), class_token=True).reshape(8, 8)
    assert ours.max() > 1.5 * ours.min()  # no even map, or the test could not fail
    mask = cv2.resize(ours / ours.max(), (64, 64))[..., None]
    difference = (mask * image).astype(int) - theirs.astype(int)
    assert np.abs(difference).max() <= 1  # they cut off to whole numbers
