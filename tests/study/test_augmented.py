from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgevit.data.dataset import Dataset
from edgevit.study.augmented import VARIANTS, augmented_examples, variants
from edgevit.study.study import StudiedModel
from edgevit.training import augmentation, pipeline
from edgevit.training.backend import load_tensorflow
from tests.pages.outline import outline_of
from tests.study.models import PREPROCESSING, SIZE, make_dataset, make_model, sure_of

ALL = ("flip", "rotation", "zoom")


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


def model(
    photos: Dataset, name: str, augment: tuple[str, ...], *, size: int = SIZE, epochs: int = 9
) -> StudiedModel:
    answers = sure_of(photos.split("test").labels().tolist(), 3)
    root = photos.root.parent / "runs" / name
    return make_model(
        root, photos, answers, size=size, augment=augment, epochs=epochs, batch_size=5, seed=3
    )


@pytest.mark.parametrize("augment", [ALL, ("flip",)])
def test_variants_are_what_the_steps_of_training_see_when_drawn_again(
    photos: Dataset, augment: tuple[str, ...]
) -> None:
    load_tensorflow()
    import tensorflow as tf

    pixels = np.asarray(photos.pixels("train", PREPROCESSING))
    count, index, batch_size, seed, epochs = len(pixels), 7, 5, 3, 4
    # Labels that are the indices, so that a photo is found again.
    examples = pipeline.Examples(pixels, np.arange(count, dtype=np.int64))
    seen, step = [], 0
    for epoch in range(epochs):
        order = pipeline.epoch_order(count, seed, epoch)
        for images, labels, weights in pipeline.batches(examples, order, batch_size):
            maps = augmentation.transforms(
                augment, batch_size, SIZE, SIZE, seed, tf.constant(step, tf.int64)
            )
            changed = augmentation.resample(tf.cast(images, tf.float32), maps).numpy()
            seen += [
                image
                for image, label, weight in zip(changed, labels, weights, strict=True)
                if label == index and weight == 1
            ]
            step += 1
    assert len(seen) == epochs
    found = variants(model(photos, "a", augment), pixels[index], index, count, epochs)
    np.testing.assert_allclose(found.astype(np.float32), np.stack(seen), atol=0.51)
    # Otherwise all of this would hold for pictures that nothing changes.
    assert any(not np.array_equal(image, pixels[index]) for image in found)


def test_models_share_an_example_of_the_largest_input_when_they_augment_alike(
    photos: Dataset,
) -> None:
    models = [
        model(photos, "small", ALL),
        model(photos, "plain", ()),
        model(photos, "large", ALL, size=24, epochs=2),
        model(photos, "mirror", ("flip",)),
    ]
    page = augmented_examples(models, photos)
    assert page is not None
    outline = outline_of(page)
    text = outline.text()
    assert "small and large" in text
    assert "24×24 pixels; then as large saw it in epochs 1 to 7, seed 3" in text
    assert "Its training ended after 2 epochs" in text
    assert text.count("No augmentation: each photo was shown as it is") == 1
    # Two ways to augment, two photos of two classes each.
    assert outline.count("img") == 2 * 2 * (1 + VARIANTS)
    assert text.count("as it is") == 2 * 2 + 1
    assert "A training photo of cat" in page
    assert "A training photo of dog" in page


def test_photos_come_from_the_cache_when_their_files_are_gone(photos: Dataset) -> None:
    photos.pixels("train", PREPROCESSING)
    before = augmented_examples([model(photos, "a", ("flip",))], photos)
    for photo in photos.photos:
        photos.photo_path(photo).unlink()
    assert augmented_examples([model(photos, "b/a", ("flip",))], photos) == before


def test_photo_is_not_shown_when_its_file_was_changed(photos: Dataset) -> None:
    first = photos.photos[0]
    photos.photo_path(first).write_bytes(photos.photo_path(photos.photos[-1]).read_bytes())
    page = augmented_examples([model(photos, "a", ("flip",))], photos)
    assert page is not None
    alts = [given["alt"] for tag, given in outline_of(page).seen if tag == "img"]
    assert alts[0] == "A training photo of cat (the photo is gone)"
    # The other photo has its variants.
    assert alts[1] == "A training photo of dog"
    assert len(alts) == 1 + 1 + VARIANTS


def test_words_replace_the_pictures_when_tensorflow_is_missing(
    photos: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [model(photos, "a", ALL), model(photos, "b", ())]
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    page = augmented_examples(models, photos)
    assert page is not None
    outline = outline_of(page)
    assert outline.count("img") == 0
    assert "Augmented by flip, rotation and zoom; no example can be shown here" in outline.text()
    assert "pip install" in outline.text()
    assert "No augmentation" in outline.text()


def test_nothing_is_shown_when_there_is_no_training_photo(tmp_path: Path) -> None:
    photos = make_dataset(tmp_path / "data", {"cat": (0, 0, 1), "dog": (0, 0, 1), "owl": (0, 0, 1)})
    assert augmented_examples([model(photos, "a", ALL)], photos) is None
    assert augmented_examples([], photos) is None
