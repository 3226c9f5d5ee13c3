from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgevit.data.cache import cache_folder
from edgevit.data.dataset import Dataset
from edgevit.pages.gallery import EDGE, Gallery
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.storage import sha256_of_bytes
from tests.bench.standin import SIZE

MODEL = Preprocessing(SIZE, SIZE)
SQUASHED = Preprocessing(24, 12, resize_mode="squash")


@pytest.fixture
def gallery(dataset: Dataset) -> Gallery:
    return Gallery(dataset, "test", MODEL)


def shown(image: str) -> Pixels:
    """Return the pixels of an ``<img>``."""
    (data,) = re.findall(r"base64,([^\"]+)", image)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_photo_is_a_square_when_the_model_squashes_it(dataset: Dataset) -> None:
    gallery = Gallery(dataset, "test", SQUASHED)
    pixels = gallery.pixels(0)
    assert pixels is not None
    assert pixels.shape == (24, 12, 3)
    assert shown(gallery.thumbnail(0, "it")).shape == (EDGE, EDGE, 3)
    assert not cache_folder(dataset.root, SQUASHED).exists()


@pytest.mark.parametrize("content", [None, b"", b"another photo"])
def test_photo_comes_from_the_cache_when_its_file_is_not_as_it_was(
    gallery: Gallery, dataset: Dataset, content: bytes | None
) -> None:
    cached = np.array(dataset.pixels("test", MODEL)[0])
    path = dataset.photo_path(gallery.photos[0])
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    pixels = gallery.pixels(0)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, cached)
    image = gallery.thumbnail(0, "it")
    assert 'alt="it"' in image
    assert shown(image).std() > 10


def test_photo_comes_from_the_cache_when_this_machine_cannot_decode_it(dataset: Dataset) -> None:
    cached = np.array(dataset.pixels("test", MODEL)[0])
    unknown = b"a format of the future"
    photos = dataset.photos
    first = next(index for index, photo in enumerate(photos) if photo.split == "test")
    changed = replace(photos[first], sha256=sha256_of_bytes(unknown))
    dataset.photo_path(changed).write_bytes(unknown)
    dataset = replace(dataset, photos=(*photos[:first], changed, *photos[first + 1 :]))
    gallery = Gallery(dataset, "test", MODEL)
    pixels = gallery.pixels(0)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, cached)
    assert 'alt="it"' in gallery.thumbnail(0, "it")


@pytest.mark.parametrize("is_damaged", [False, True])
def test_placeholder_is_shown_when_a_photo_is_neither_there_nor_cached(
    gallery: Gallery, dataset: Dataset, is_damaged: bool
) -> None:
    if is_damaged:
        dataset.pixels("test", MODEL)
        (cache_folder(dataset.root, MODEL) / "test.npy").write_bytes(b"damaged")
    dataset.photo_path(gallery.photos[0]).unlink()
    assert gallery.pixels(0) is None
    image = gallery.thumbnail(0, "it")
    assert 'alt="it (the photo is gone)"' in image
    red, green, blue = shown(image).reshape(-1, 3).astype(int).T
    assert max(abs(red - green).max(), abs(green - blue).max()) <= 2
    # The others are as they were.
    assert 'alt="another"' in gallery.thumbnail(1, "another")
