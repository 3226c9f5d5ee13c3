"""Photos of a data set as small pictures that lie in a page itself."""

from __future__ import annotations

import base64
import io
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from edgevit import storage
from edgevit.data import cache
from edgevit.data.dataset import Dataset, SplitName
from edgevit.errors import InputError
from edgevit.pages.markup import Html, element
from edgevit.preprocessing import Pixels, Preprocessing, decode

EDGE = 112
_JPEG_QUALITY = 82
_GREY, _LIGHT_GREY = (128, 128, 128), (160, 160, 160)
# However a model cuts its photos, a page shows squares.
_SQUARE = Preprocessing(height=EDGE, width=EDGE)


class Gallery:
    """Photos of one split, from their files while these are as they were, else from a cache.

    Args:
        dataset: The data set.
        split: Which photos.
        preprocessing: How a model takes them, and the geometry of the cache to fall back on.
    """

    def __init__(self, dataset: Dataset, split: SplitName, preprocessing: Preprocessing) -> None:
        self._dataset = dataset
        self._split: SplitName = split
        self._preprocessing = preprocessing
        self.photos = dataset.split(split).photos

    def pixels(self, index: int) -> Pixels | None:
        """Return a photo as the model takes it, ``uint8 [height, width, 3]``.

        Args:
            index: Of the photo in its split.

        Returns:
            ``None`` if the photo is gone, was changed or cannot be read, and is not cached.
        """
        image = self._image(index)
        return None if image is None else self._preprocessing.fit(image)

    def thumbnail(self, index: int, alt: str) -> Html:
        """Return a photo as an ``<img>``, cut to a square whatever the model's geometry.

        Args:
            index: Of the photo in its split.
            alt: What is on it.
        """
        image = self._image(index)
        return placeholder(alt) if image is None else picture(_SQUARE.fit(image), alt)

    def _image(self, index: int) -> Image.Image | None:
        photo = self.photos[index]
        try:
            data = cache.read_bytes(self._dataset.photo_path(photo))
            if storage.sha256_of_bytes(data) == photo.sha256:
                return decode(data)
        except (OSError, InputError):
            pass  # gone, or in a format that this Pillow cannot read
        return None if self._cached is None else Image.fromarray(self._cached[index])

    @cached_property
    def _cached(self) -> Pixels | None:
        # A new cache would be made from the files, of which one is missing.
        if not cache.cache_folder(self._dataset.root, self._preprocessing).is_dir():
            return None
        try:
            return self._dataset.pixels(self._split, self._preprocessing)
        except (OSError, InputError):
            return None


def picture(pixels: Pixels, alt: str, *, title: str | None = None) -> Html:
    """Return an ``<img>`` whose bytes are in its address.

    Args:
        pixels: ``uint8 [height, width, 3]``.
        alt: What is on it.
        title: Shown when one points at it.
    """
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    data = base64.b64encode(jpeg.getvalue()).decode()
    height, width = pixels.shape[:2]
    source = f"data:image/jpeg;base64,{data}"
    return element("img", src=source, alt=alt, title=title, width=width, height=height)


def placeholder(alt: str) -> Html:
    """Return a crossed-out grey square in the place of a photo that is gone."""
    image = Image.new("RGB", (EDGE, EDGE), _GREY)
    draw = ImageDraw.Draw(image)
    for start, end in ((0, EDGE - 1), (EDGE - 1, 0)):
        draw.line((0, start, EDGE - 1, end), fill=_LIGHT_GREY, width=2)
    return picture(np.asarray(image), f"{alt} (the photo is gone)", title="The photo is gone")
