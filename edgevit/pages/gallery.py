"""Photos of a data set as small pictures that lie in a page itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from edgevit import storage
from edgevit.data.dataset import Dataset, SplitName
from edgevit.pages.markup import Html, element
from edgevit.preprocessing import Pixels, Preprocessing

EDGE = 112
_JPEG_QUALITY = 82


class Gallery:
    """Photos of one split, cut to squares as a model sees them.

    Taken from the photo's file while it is as it was, else from the data set's cached pixels.

    Args:
        dataset: The data set.
        split: Which photos.
        preprocessing: Geometry of the cached pixels to fall back on.
    """

    def __init__(self, dataset: Dataset, split: SplitName, preprocessing: Preprocessing) -> None:
        self._dataset = dataset
        self._split: SplitName = split
        self._preprocessing = preprocessing
        self.photos = dataset.split(split).photos

    def pixels(self, index: int, edge: int = EDGE) -> Pixels:
        """Return a photo, ``uint8 [edge, edge, 3]``.

        Args:
            index: Of the photo in its split.
            edge: Pixels of a side.
        """
        square = Preprocessing(height=edge, width=edge)
        photo = self.photos[index]
        try:
            data = self._dataset.photo_path(photo).read_bytes()
        except OSError:
            data = b""
        if storage.sha256_of_bytes(data) == photo.sha256:
            return square.pixels(data)
        cached = self._dataset.pixels(self._split, self._preprocessing)[index]
        return square.fit(Image.fromarray(np.asarray(cached)))

    def thumbnail(self, index: int, alt: str) -> Html:
        """Return a photo as an ``<img>``; ``alt`` says what is on it."""
        return picture(self.pixels(index), alt)


def picture(pixels: Pixels, alt: str) -> Html:
    """Return ``uint8 [height, width, 3]`` as an ``<img>`` whose bytes are in its address."""
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    data = base64.b64encode(jpeg.getvalue()).decode()
    height, width = pixels.shape[:2]
    return element("img", src=f"data:image/jpeg;base64,{data}", alt=alt, width=width, height=height)
