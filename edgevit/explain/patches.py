"""Patches: how an image is cut, what is learned about their places, and the filters on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevit.export.graph import DeployGraph
from edgevit.export.ops import AddConstant, Array, Attention, Conv2D, PrependToken
from edgevit.preprocessing import Pixels

# As many as the original paper shows (arXiv:2010.11929, figure 7).
FILTER_COUNT = 28


@dataclass(frozen=True)
class PatchNumbers:
    """How a ViT cuts its image.

    Attributes:
        image_height: Pixels.
        image_width: Pixels.
        patch_size: Edge of a square patch, pixels.
        rows: Patches from top to bottom.
        columns: Patches from left to right.
        patches_per_image: Number of patches.
        elements_per_patch: Numbers in a patch: pixels × 3 channels.
        token_channels: Numbers that a patch is projected to.
        class_token: Whether a learned token stands before those of the patches.
    """

    image_height: int
    image_width: int
    patch_size: int
    rows: int
    columns: int
    patches_per_image: int
    elements_per_patch: int
    token_channels: int
    class_token: bool

    @property
    def sentences(self) -> str:
        """The numbers in words."""
        text = (
            f"Image {self.image_height} × {self.image_width} pixels, patch size "
            f"{self.patch_size} × {self.patch_size}\n"
            f"{self.rows} × {self.columns} = {self.patches_per_image} patches per image, "
            f"{self.patch_size} × {self.patch_size} × 3 = {self.elements_per_patch} elements per "
            f"patch → {self.token_channels} channels"
        )
        lost_rows = self.image_height - self.rows * self.patch_size
        lost_columns = self.image_width - self.columns * self.patch_size
        if lost_rows or lost_columns:
            text += (
                f"\nNot seen, as it is less than a patch: {lost_rows} px at the bottom, "
                f"{lost_columns} px on the right"
            )
        return text


def _embedding(graph: DeployGraph) -> Conv2D:
    return next(graph.of_type(Conv2D))


def patch_numbers(graph: DeployGraph) -> PatchNumbers | None:
    """Return how a graph's model cuts images; ``None`` for a model without attention."""
    if next(graph.of_type(Attention), None) is None:
        return None
    embedding = _embedding(graph)
    height, width, colours = graph.shapes[graph.ops[0].name]
    rows, columns, channels = graph.shapes[embedding.name]
    return PatchNumbers(
        image_height=height,
        image_width=width,
        patch_size=embedding.stride,
        rows=rows,
        columns=columns,
        patches_per_image=rows * columns,
        elements_per_patch=embedding.stride**2 * colours,
        token_channels=channels,
        class_token=next(graph.of_type(PrependToken), None) is not None,
    )


def cut_patches(pixels: Pixels, numbers: PatchNumbers) -> Pixels:
    """Cut an image into its patches.

    Args:
        pixels: ``uint8 [height, width, 3]``.
        numbers: How.

    Returns:
        ``uint8 [rows, columns, patch_size, patch_size, 3]``.
    """
    rows, columns, size = numbers.rows, numbers.columns, numbers.patch_size
    seen = pixels[: rows * size, : columns * size]
    return seen.reshape(rows, size, columns, size, 3).transpose(0, 2, 1, 3, 4)


def position_similarity(graph: DeployGraph, numbers: PatchNumbers) -> Array:
    """Compare the learned position embeddings of all patches with each other.

    Returns:
        Cosines, ``float32 [rows, columns, rows, columns]``: ``[i, j]`` is the map of the patch in
        row i and column j.
    """
    positions = next(graph.of_type(AddConstant)).value[int(numbers.class_token) :]
    lengths = np.linalg.norm(positions, axis=1, keepdims=True)
    unit = positions / np.maximum(lengths, np.finfo(np.float32).tiny)
    grid = (numbers.rows, numbers.columns)
    return np.asarray((unit @ unit.T).reshape(*grid, *grid), dtype=np.float32)


def filter_components(graph: DeployGraph, count: int = FILTER_COUNT) -> tuple[Array, Array]:
    """Return the principal components of the filters that project patches to tokens.

    Args:
        graph: Of a ViT.
        count: At most so many.

    Returns:
        The components, ``float32 [n, size, size, 3]`` of length 1 (their sign means nothing: the
        largest value is made positive), and the share of the filters' variance that each
        explains, ``float32 [n]``, falling.
    """
    kernel = _embedding(graph).kernel
    filters = kernel.reshape(-1, kernel.shape[3]).T.astype(np.float64)
    _, strengths, components = np.linalg.svd(filters - filters.mean(axis=0), full_matrices=False)
    variances = strengths**2 / max(float((strengths**2).sum()), np.finfo(np.float64).tiny)
    components, variances = components[:count], variances[:count]
    largest = np.abs(components).argmax(axis=1)[:, None]
    components = components * np.sign(np.take_along_axis(components, largest, axis=1))
    tiles = components.reshape(-1, *kernel.shape[:3])
    return tiles.astype(np.float32), variances.astype(np.float32)
