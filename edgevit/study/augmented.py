"""What augmentation made of a photo: the very variants that training drew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from edgevit.data.dataset import Dataset
from edgevit.errors import InputError, MissingDependencyError
from edgevit.pages import words
from edgevit.pages.gallery import EDGE, Gallery, picture, placeholder
from edgevit.pages.markup import Html, element, join
from edgevit.preprocessing import Pixels
from edgevit.study.study import StudiedModel
from edgevit.training import augmentation, pipeline
from edgevit.training.backend import load_tensorflow

VARIANTS = 7
_PHOTOS = 2


def augmented_examples(models: Sequence[StudiedModel], dataset: Dataset) -> Html | None:
    """Return, for each way to augment, two photos with what training made of them.

    The random numbers are a function of the seed and the step, so these are the pictures that the
    named model saw in its first epochs, not ones like them.

    Args:
        models: Those with equal augmentation share an example, of the largest input among them.
        dataset: The photos.

    Returns:
        ``None`` if there is no model or no training photo.
    """
    photos = _two_photos(dataset)
    if not models or not photos:
        return None
    groups: dict[tuple[str, ...], list[StudiedModel]] = {}
    for model in models:
        groups.setdefault(model.run.record.training.augment, []).append(model)
    return element("div", *(_group(names, groups[names], photos, dataset) for names in groups))


def variants(
    model: StudiedModel, pixels: Pixels, index: int, photo_count: int, epochs: int
) -> Pixels:
    """Return a training photo as training changed it in each of the first epochs.

    Args:
        model: Its seed, batches and augmentation are those of its run.
        pixels: The photo, ``uint8 [height, width, 3]``.
        index: Of the photo in the training split.
        photo_count: Photos in the training split.
        epochs: Number of variants; more than the run had are what it would have drawn next.

    Returns:
        ``uint8 [epochs, height, width, 3]``.

    Raises:
        MissingDependencyError: if TensorFlow is not installed.
        InputError: if this process runs Keras on another backend.
    """
    load_tensorflow()
    import tensorflow as tf

    training = model.run.record.training
    height, width, _ = pixels.shape
    steps = pipeline.steps_per_epoch(photo_count, training.batch_size)
    maps = []
    for epoch in range(epochs):
        order = pipeline.epoch_order(photo_count, training.seed, epoch)
        place = int(np.flatnonzero(order == index)[0])
        batch, row = divmod(place, training.batch_size)
        step = tf.constant(epoch * steps + batch, tf.int64)
        drawn = augmentation.transforms(
            training.augment, training.batch_size, height, width, training.seed, step
        )
        maps.append(drawn[row])
    images = tf.cast(np.repeat(pixels[None], epochs, axis=0), tf.float32)
    changed = augmentation.resample(images, tf.stack(maps)).numpy()
    rounded: Pixels = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return rounded


def _two_photos(dataset: Dataset) -> list[int]:
    """Return a training photo of the first class that has one, and of one half-way on."""
    first_of: dict[int, int] = {}
    for index, photo in enumerate(dataset.split("train").photos):
        first_of.setdefault(photo.label, index)
    firsts = [first_of[label] for label in sorted(first_of)]
    return firsts if len(firsts) <= _PHOTOS else [firsts[0], firsts[len(firsts) // 2]]


def _group(
    names: tuple[str, ...], models: Sequence[StudiedModel], photos: Sequence[int], dataset: Dataset
) -> Html:
    heading = element("h3", words.listed([model.name for model in models]))
    if not names:
        text = "No augmentation: each photo was shown as it is in every epoch."
        return join([heading, element("p", text)])
    model = max(models, key=lambda item: int(np.prod(item.run.record.spec.input_shape)))
    gallery = Gallery(dataset, "train", model.run.record.spec.preprocessing)
    try:
        rows = [_row(model, index, dataset.classes, gallery) for index in photos]
    except (MissingDependencyError, InputError) as error:
        text = f"Augmented by {words.listed(names)}; no example can be shown here: {error}."
        return join([heading, element("p", text)])
    return join([heading, element("p", _said(model, names), class_="soft"), *rows])


def _said(model: StudiedModel, names: Sequence[str]) -> str:
    training, shape = model.run.record.training, model.run.record.spec.input_shape
    text = (
        f"Augmented by {words.listed(list(names))}. First the photo as the model takes it, "
        f"{shape[0]}×{shape[1]} pixels; then as {model.name} saw it in epochs 1 to {VARIANTS}, "
        f"seed {training.seed}."
    )
    if training.epochs < VARIANTS:
        text += (
            f" Its training ended after {words.counted(training.epochs, 'epoch')}: the others are "
            "what further ones would have shown."
        )
    return text


def _row(model: StudiedModel, index: int, classes: Sequence[str], gallery: Gallery) -> Html:
    name = classes[gallery.photos[index].label]
    alt = f"A training photo of {name}"
    pixels = gallery.pixels(index)
    if pixels is None:
        figures = [element("figure", placeholder(alt), element("figcaption", "gone"))]
    else:
        changed = variants(model, pixels, index, len(gallery.photos), VARIANTS)
        figures = [_figure(pixels, alt, "as it is")]
        figures += [
            _figure(image, f"The same photo in epoch {epoch}", f"epoch {epoch}")
            for epoch, image in enumerate(changed, start=1)
        ]
    heading = element("h4", words.shortened(name, 60), title=name)
    return element("div", heading, element("div", *figures, class_="shots eight"), class_="sample")


def _figure(pixels: Pixels, alt: str, caption: str) -> Html:
    return element("figure", picture(_sized(pixels), alt), element("figcaption", caption))


def _sized(pixels: Pixels) -> Pixels:
    """Return the picture with sides of at most :data:`EDGE`; small ones show their pixels."""
    height, width = pixels.shape[:2]
    scale = EDGE / max(height, width)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, how))
