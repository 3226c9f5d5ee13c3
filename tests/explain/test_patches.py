from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevit.explain.patches import (
    cut_patches,
    filter_components,
    patch_numbers,
    position_similarity,
)
from edgevit.export.graph import DeployGraph, GraphBuilder
from edgevit.export.ops import (
    AddConstant,
    Attention,
    Conv2D,
    Dense,
    PrependToken,
    Reshape,
    Softmax,
)
from edgevit.models.registry import ARCHITECTURES

# Places on a circle: neighbours on it are alike, opposite ones are not.
ANGLES = np.arange(6) * np.pi / 3


def _tiny_graph(kernel: Any) -> DeployGraph:
    """Return 2 × 3 patches of 4 × 4 on 9 × 12 pixels, a class token and one attention."""
    channels = kernel.shape[3]
    positions = np.zeros((7, channels), dtype=np.float32)
    positions[0] = 100  # the class token's, which is no patch's
    positions[1:, 0], positions[1:, 1] = np.cos(ANGLES), np.sin(ANGLES)
    builder = GraphBuilder(9, 12)
    zeros = np.zeros(channels, dtype=np.float32)
    builder.add(Conv2D(name="patch_embedding", inputs=("pixels",), kernel=kernel, bias=zeros,
                       stride=4))  # fmt: skip
    builder.add(Reshape(name="patches", inputs=("patch_embedding",), target=(6, channels)))
    builder.add(PrependToken(name="class", inputs=("patches",), token=zeros))
    builder.add(AddConstant(name="positions", inputs=("class",), value=positions))
    builder.add(Attention(name="attention", inputs=("positions",) * 3, heads=1, scale=1.0))
    square = np.eye(channels, dtype=np.float32)
    builder.add(Dense(name="logits", inputs=("attention",), kernel=square, bias=zeros))
    builder.add(Softmax(name="probabilities", inputs=("logits",)))
    return builder.build()


@pytest.fixture
def graph() -> DeployGraph:
    """Two kinds of filters, one of them three times as strong."""
    random = np.random.default_rng(0)
    kernel = np.zeros((4, 4, 3, 4), dtype=np.float32)
    kernel[..., 0] = random.normal(size=(4, 4, 3))
    kernel[..., 1] = -kernel[..., 0]
    kernel[..., 2] = random.normal(size=(4, 4, 3))
    kernel[..., 2] -= (
        kernel[..., 0] * (kernel[..., 0] * kernel[..., 2]).sum() / (kernel[..., 0] ** 2).sum()
    )
    kernel[..., 2] *= np.linalg.norm(kernel[..., 0]) / np.linalg.norm(kernel[..., 2]) / 3
    kernel[..., 3] = -kernel[..., 2]
    return _tiny_graph(kernel)


def test_numbers_are_the_studys_when_the_model_is_vit_scratch() -> None:
    architecture = ARCHITECTURES.get("vit-scratch")
    spec = architecture.spec(3)
    weights = {weight.path: weight.numpy() for weight in architecture.build_keras(spec).weights}
    numbers = patch_numbers(architecture.build_graph(spec, weights))
    assert numbers is not None
    assert (numbers.image_height, numbers.image_width) == (72, 72)
    assert numbers.patch_size == 6
    assert numbers.patches_per_image == 144
    assert numbers.elements_per_patch == 108
    assert not numbers.class_token
    assert numbers.sentences.splitlines() == [
        "Image 72 × 72 pixels, patch size 6 × 6",
        "12 × 12 = 144 patches per image, 6 × 6 × 3 = 108 elements per patch → 64 channels",
    ]


def test_unseen_edge_is_said_when_patches_do_not_divide_the_image(graph: DeployGraph) -> None:
    numbers = patch_numbers(graph)
    assert numbers is not None
    assert (numbers.rows, numbers.columns, numbers.class_token) == (2, 3, True)
    assert numbers.sentences.splitlines()[-1] == (
        "Not seen, as it is less than a patch: 1 px at the bottom, 0 px on the right"
    )


def test_patches_are_the_squares_of_the_image_when_cut(graph: DeployGraph) -> None:
    numbers = patch_numbers(graph)
    assert numbers is not None
    pixels = np.random.default_rng(2).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    patches = cut_patches(pixels, numbers)
    assert patches.shape == (2, 3, 4, 4, 3)
    np.testing.assert_array_equal(patches[1, 2], pixels[4:8, 8:12])


def test_similarity_is_the_cosine_of_places_when_positions_lie_on_a_circle(
    graph: DeployGraph,
) -> None:
    numbers = patch_numbers(graph)
    assert numbers is not None
    similarity = position_similarity(graph, numbers)
    expected = np.cos(ANGLES[:, None] - ANGLES[None]).reshape(2, 3, 2, 3)
    np.testing.assert_allclose(similarity, expected, atol=1e-6)


def test_components_are_the_filters_when_they_are_orthogonal(graph: DeployGraph) -> None:
    tiles, shares = filter_components(graph)
    kernel = next(graph.of_type(Conv2D)).kernel
    np.testing.assert_allclose(shares[:2], [0.9, 0.1], atol=1e-5)
    for tile, source in zip(tiles[:2], (kernel[..., 0], kernel[..., 2]), strict=True):
        assert abs((tile * source).sum()) == pytest.approx(np.linalg.norm(source), rel=1e-5)
        assert tile.flat[np.abs(tile).argmax()] > 0


def test_no_numbers_when_the_model_has_no_attention() -> None:
    builder = GraphBuilder(2, 2)
    builder.add(Reshape(name="flatten", inputs=("pixels",), target=(12,)))
    builder.add(Softmax(name="probabilities", inputs=("flatten",)))
    assert patch_numbers(builder.build()) is None
