"""What ``edgevit explain`` leaves on disk: pictures, and every number behind them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit import console, documents
from edgevit.explain import pictures
from edgevit.explain.attention import attention_weights, entropy_nats, rollout, shares_of_patches
from edgevit.explain.gradcam import Tail, grad_cam, tail_of
from edgevit.explain.patches import (
    PatchNumbers,
    cut_patches,
    filter_components,
    patch_numbers,
    position_similarity,
)
from edgevit.explain.subject import Subject
from edgevit.export.ops import Array
from edgevit.metrics import top_k
from edgevit.preprocessing import Pixels, Preprocessing, decode
from edgevit.spec import ModelSpec

MARKER = "explain.json"
KIND = "edgevit.explanation"
SCHEMA_VERSION = 1
POSITIONS_FILE = "model-positions.png"
FILTERS_FILE = "model-filters.png"

_TOP = 5
# File names hold at most 255 bytes; a character may take four.
_MAX_STEM_LENGTH = 40

Grid = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class PredictionRecord:
    """One label with its probability, 0–1."""

    label: str
    probability: float


@dataclass(frozen=True)
class AttentionRecord:
    """Attention on one image.

    Attributes:
        rollout: Share of each patch, by row and column; together 1.
        head_entropy_nats: By block and head: the mean entropy of a token's attention.
        even_entropy_nats: That of attention to all tokens alike, the largest possible.
    """

    rollout: Grid
    head_entropy_nats: Grid
    even_entropy_nats: float


@dataclass(frozen=True)
class GradCamRecord:
    """Grad-CAM on one image.

    Attributes:
        label: The class that is explained: the predicted one.
        values: By the last convolution's rows and columns, at least 0.
    """

    label: str
    values: Grid


@dataclass(frozen=True)
class ImageRecord:
    """One image.

    Attributes:
        image: As the user named it.
        seen: How the model's input came from it.
        predictions: The best labels of the full-precision run, best first.
        attention: ``None`` for a model without attention.
        grad_cam: ``None`` where the last convolution is no dense layers away from the answer.
        pictures: Names of its files.
    """

    image: str
    seen: str
    predictions: tuple[PredictionRecord, ...]
    attention: AttentionRecord | None
    grad_cam: GradCamRecord | None
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """The body of ``explain.json``.

    Attributes:
        bundle: The bundle that was asked about; what is explained is the run behind it.
        layer: The encoder block whose heads are drawn, counted from 0.
        patches: ``None`` for a model without attention.
        pictures: Those of the model itself.
    """

    run: str
    run_sha256: str
    bundle: str | None
    spec: ModelSpec
    layer: int | None
    patches: PatchNumbers | None
    images: tuple[ImageRecord, ...]
    pictures: tuple[str, ...]


def write_explanation(
    folder: Path, subject: Subject, photos: Sequence[Path], layer: int | None
) -> Explanation:
    """Explain a model on photos.

    Args:
        folder: Where the files go.
        subject: The model.
        photos: At least one.
        layer: The encoder block whose heads are drawn; by default the last.

    Raises:
        InputError: if there is no such block.
        UnreadableImageError: if a photo cannot be read.
    """
    chosen = subject.choose_layer(layer)
    numbers = patch_numbers(subject.graph)
    # All photos first: one that cannot be read is noticed before the work.
    preprocessing = subject.run.record.spec.preprocessing
    read = [(photo, *read_photo(photo, preprocessing)) for photo in photos]
    names = () if numbers is None else _draw_model(folder, subject, numbers)
    explainer = _Explainer(folder, subject, numbers, chosen)
    images = tuple(
        explainer.explain(photo, pixels, seen, f"{number:02}-{_stem_of(photo)}")
        for number, (photo, pixels, seen) in enumerate(
            console.track(read, "Explaining", len(read)), start=1
        )
    )
    explanation = Explanation(
        run=subject.run.name,
        run_sha256=subject.run.sha256,
        bundle=subject.bundle_name,
        spec=subject.run.record.spec,
        layer=chosen,
        patches=numbers,
        images=images,
        pictures=names,
    )
    documents.write(folder / MARKER, KIND, SCHEMA_VERSION, explanation)
    return explanation


def _draw_model(folder: Path, subject: Subject, numbers: PatchNumbers) -> tuple[str, ...]:
    """Draw what does not depend on an image."""
    name = pictures.shorten(subject.run.name)
    similarity = position_similarity(subject.graph, numbers)
    pictures.draw_positions(folder / POSITIONS_FILE, name, similarity)
    pictures.draw_filters(folder / FILTERS_FILE, name, *filter_components(subject.graph))
    return (POSITIONS_FILE, FILTERS_FILE)


def _stem_of(photo: Path) -> str:
    return re.sub(r"[^\w-]+", "_", photo.stem)[:_MAX_STEM_LENGTH] or "image"


def read_photo(photo: Path, preprocessing: Preprocessing) -> tuple[Pixels, str]:
    """Read a photo as the model sees it, ``uint8 [height, width, 3]``, and say how it came to be.

    Raises:
        UnreadableImageError: if it cannot be read.
    """
    image = decode(photo)
    height, width = preprocessing.height, preprocessing.width
    text = f"The photo of {image.width} × {image.height} pixels was "
    if image.width * height == image.height * width:
        text += "resized"
    elif preprocessing.resize_mode == "crop":
        text += "cropped to its middle and resized: what lies outside, the model never saw"
    else:
        text += "squashed into the model's shape"
    return preprocessing.fit(image), text


@dataclass(frozen=True)
class _Explainer:
    """Explains photo after photo.

    Attributes:
        folder: Where pictures go.
        subject: The model.
        numbers: Of its patches, if it has any.
        layer: The block whose heads are drawn, if it has any.
    """

    folder: Path
    subject: Subject
    numbers: PatchNumbers | None
    layer: int | None

    def explain(self, photo: Path, pixels: Pixels, seen: str, prefix: str) -> ImageRecord:
        """Compute and draw one photo; its files' names start with ``prefix``."""
        subject = self.subject
        values, weights = self._values(pixels)
        probabilities = values[subject.graph.output]
        labels = subject.run.record.labels
        best = top_k(probabilities, _TOP)[0].tolist()
        predictions = tuple(
            PredictionRecord(labels[index], float(probabilities[0, index])) for index in best
        )
        file, label = pictures.shorten(photo.name), pictures.shorten(predictions[0].label)
        title = f"{file}: {label}, {100 * predictions[0].probability:.1f} %"
        shown = pictures.Shown(title, pixels, seen)
        names: list[str] = []
        attention = grad = None
        if self.numbers is not None:
            attention = self._attention(shown, weights, prefix, names)
        tail = tail_of(subject.graph)
        if tail is not None:
            grad = self._grad_cam(shown, tail, values, best[0], prefix, names)
        return ImageRecord(str(photo), seen, predictions, attention, grad, tuple(names))

    def _values(self, pixels: Pixels) -> tuple[dict[str, Array], list[Array]]:
        """Compute the values that are needed, and each block's attention."""
        graph, tail = self.subject.graph, tail_of(self.subject.graph)
        wanted = {graph.output} | (tail.value_names if tail else frozenset())
        attention = {op.name: op for op in self.subject.attention}
        values: dict[str, Array] = {}
        weights: list[Array] = []
        for op, inputs, value in graph.walk(pixels[None]):
            if op.name in wanted:
                values[op.name] = value
            if op.name in attention:
                queries, keys = inputs[0][0], inputs[1][0]
                weights.append(attention_weights(attention[op.name], queries, keys))
        return values, weights

    def _attention(
        self, shown: pictures.Shown, weights: list[Array], prefix: str, names: list[str]
    ) -> AttentionRecord:
        numbers, layer = self.numbers, self.layer
        assert numbers is not None
        assert layer is not None
        grid = (numbers.rows, numbers.columns)
        count = numbers.patches_per_image
        reader = (
            "attention of the class token"
            if numbers.class_token
            else "mean attention of all tokens (this model has no class token)"
        )

        def shares(matrix: Any) -> Any:
            return shares_of_patches(matrix, class_token=numbers.class_token).reshape(grid)

        rolled = shares(rollout(weights))
        heads = np.stack([shares(head) for head in weights[layer]])
        entropies = [entropy_nats(block).tolist() for block in weights]
        even = math.log(weights[0].shape[-1])
        name = f"{prefix}-patches.png"
        pictures.draw_patches(
            self.folder / name, shown, cut_patches(shown.pixels, numbers), numbers
        )
        names.append(name)
        name = f"{prefix}-rollout.png"
        pictures.draw_map(
            self.folder / name,
            shown,
            count * rolled,
            name="attention rollout",
            unit="attention, × an even share",
            caption=f"All {len(weights)} blocks, residual connections included: {reader} to the "
            "patches",
            low=None,
        )
        names.append(name)
        name = f"{prefix}-heads-block-{layer}.png"
        caption = (
            f"Block {layer} of 0–{len(weights) - 1}, each head: {reader} to the patches\n"
            f"nats: entropy of the head's attention, mean over all tokens; {even:.2f} would be even"
        )
        pictures.draw_heads(self.folder / name, shown, heads, entropies[layer], caption)
        names.append(name)
        return AttentionRecord(_grid(rolled), _grid(entropies), even)

    def _grad_cam(
        self,
        shown: pictures.Shown,
        tail: Tail,
        values: dict[str, Array],
        class_index: int,
        prefix: str,
        names: list[str],
    ) -> GradCamRecord:
        label = self.subject.run.record.labels[class_index]
        found = grad_cam(tail, values, class_index)
        largest = float(found.max())
        caption = (
            f"Where {tail.features} speaks for {pictures.shorten(label)}: positive part only"
            if largest > 0
            else f"Nothing in {tail.features} speaks for {pictures.shorten(label)}: the map is 0"
        )
        name = f"{prefix}-grad-cam.png"
        pictures.draw_map(
            self.folder / name,
            shown,
            found / largest if largest > 0 else found,
            name="Grad-CAM",
            unit="share of the largest value",
            caption=caption,
            low=0.0,
        )
        names.append(name)
        return GradCamRecord(label, _grid(found))


def _grid(values: Any) -> Grid:
    return tuple(tuple(float(value) for value in row) for row in values)
