"""From a photo file to the ``uint8`` pixels that every model of edgevit takes.

There is one preprocessing: training, evaluation, calibration, benchmarks and (through golden
vectors) Android all use it. The geometry – decode, apply the EXIF orientation, crop, resize –
happens here; the normalisation happens inside the model's graph, from the same record.
"""

from __future__ import annotations

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from edgevit.errors import InputError, UnreadableImageError

Pixels = npt.NDArray[np.uint8]
ResizeMode = Literal["crop", "squash"]
Interpolation = Literal["bilinear", "bicubic"]
ChannelOrder = Literal["rgb", "bgr"]

# Far above any model's input: a larger side is a typing error, or a record made to fill the memory.
MAX_SIDE = 4096
# A decoded 128-megapixel photo takes 384 MB; above that a file is treated as a bomb.
MAX_PIXELS = 128_000_000

_SIZE_REMEDY = f"Give a height and a width from 1 to {MAX_SIDE}"
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Preprocessing:
    """Every number between a photo and the first layer.

    Attributes:
        height: Rows of the model's input, pixels.
        width: Columns of the model's input, pixels.
        resize_mode: ``crop`` takes the largest centred rectangle of the target's aspect ratio;
            ``squash`` takes the whole photo and ignores its aspect ratio.
        interpolation: Pillow's antialiased filter, by which the crop is resampled.
        channel_order: The order that the trunk was trained with. Pixels are always handed over
            as RGB; a ``bgr`` model swaps inside its graph.
        mean: Subtracted per channel, in ``channel_order``, in units of 0–255.
        std: Divided by per channel, in ``channel_order``, in units of 0–255.
    """

    height: int
    width: int
    resize_mode: ResizeMode = "crop"
    interpolation: Interpolation = "bilinear"
    channel_order: ChannelOrder = "rgb"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        size = f"the image size {self.height}×{self.width}"
        if self.height < 1 or self.width < 1:
            raise InputError(f"{size} is not positive", _SIZE_REMEDY)
        if max(self.height, self.width) > MAX_SIDE:
            raise InputError(f"{size} is too large", _SIZE_REMEDY)
        if min(self.std) <= 0:
            raise InputError(f"the standard deviation {self.std} is not positive")

    @property
    def geometry(self) -> str:
        """A short name of all that shapes the pixels: equal names mean equal pixels."""
        return f"{self.height}x{self.width}-{self.resize_mode}-{self.interpolation}"

    def pixels(self, source: Path | bytes) -> Pixels:
        """Read one photo.

        Args:
            source: A file, or its bytes.

        Returns:
            ``uint8 [height, width, 3]``, RGB.

        Raises:
            UnreadableImageError: if the photo cannot be decoded or is too large.
        """
        return self.fit(decode(source))

    def fit(self, image: Image.Image) -> Pixels:
        """Crop and resize an RGB image; returns ``uint8 [height, width, 3]``."""
        left, top, right, bottom = self._crop_box(image.width, image.height)
        filter_ = _RESAMPLING[self.interpolation]
        # Columns, then rows, each rounded to 8 bits. In one call Pillow 13 would choose the order
        # by the photo's size, older versions not: some photos' pixels would differ by a step.
        if self.width * image.height > MAX_PIXELS:  # a strip, whose columns would fill the memory
            size = (self.width, self.height)
            return np.asarray(image.resize(size, filter_, (left, top, right, bottom)), np.uint8)
        narrow = image.resize((self.width, image.height), filter_, (left, 0, right, image.height))
        fitted = narrow.resize((self.width, self.height), filter_, (0, top, self.width, bottom))
        return np.asarray(fitted, dtype=np.uint8)

    def _crop_box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) in whole pixels, so that every language agrees."""
        if self.resize_mode == "squash":
            return (0, 0, width, height)
        crop_width = max(1, min(width, height * self.width // self.height))
        crop_height = max(1, min(height, width * self.height // self.width))
        left = (width - crop_width) // 2
        top = (height - crop_height) // 2
        return (left, top, left + crop_width, top + crop_height)


def decode(source: Path | bytes, *, name: str | None = None) -> Image.Image:
    """Decode a photo to 8-bit RGB, upright, first frame, transparency over white.

    Args:
        source: A file, or its bytes.
        name: What errors call the photo; by default the file's path, or "the image".

    Raises:
        UnreadableImageError: if it is no image, is damaged, or has over :data:`MAX_PIXELS` pixels.
    """
    if name is None:
        name = str(source) if isinstance(source, Path) else "the image"
    data = _read(source) if isinstance(source, Path) else source
    if not data:
        raise UnreadableImageError(f"{name} is empty", "Give a photo")
    try:
        with _quiet_pillow(), Image.open(io.BytesIO(data), formats=_formats()) as image:
            _refuse_bomb(image, name)
            image.seek(0)
            return _to_rgb(ImageOps.exif_transpose(image))
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError(f"{name} is not an image", "Give a JPEG, PNG, WebP …") from None
    except Exception as error:
        # On damaged files Pillow's decoders raise OSError, ValueError, SyntaxError, EOFError,
        # IndexError, TypeError, KeyError, struct.error, zlib.error, MemoryError …
        raise UnreadableImageError(f"{name} is damaged ({error})", "Replace the file") from error


# Named, so that a file cannot choose a decoder that starts other programs (EPS) or is no photo's.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_BOMB_REMEDY = f"At most {MAX_PIXELS // 1_000_000} megapixels are decoded: shrink the photo first"

# Pillow's limit and Python's warning filters belong to the whole process: while any thread
# decodes they are set aside, and the last one to finish puts them back.
_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_stack = ExitStack()


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow can open; older ones lack AVIF."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Let Pillow read any size, which :func:`_refuse_bomb` then names, and not warn of EXIF."""
    global _quiet_depth
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            _quiet_stack.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = None
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_stack.close()


def _read(path: Path) -> bytes:
    try:
        _refuse_special(path)
        return path.read_bytes()
    except FileNotFoundError:
        remedy = "Check the path"
        if str(path) == "-":
            remedy = "It does not stand for standard input here: give /dev/stdin"
        raise UnreadableImageError(f"{path} does not exist", remedy) from None
    except IsADirectoryError:
        raise UnreadableImageError(f"{path} is a folder", "Give a photo") from None
    except OSError as error:
        raise UnreadableImageError(f"{path} cannot be read ({error.strerror})") from error


def _refuse_special(path: Path) -> None:
    """Refuse what might never end, but not a pipe that was handed to this process."""
    mode = path.stat().st_mode
    handed_over = str(path) == "/dev/stdin" or path.parent == Path("/dev/fd")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or handed_over):
        raise UnreadableImageError(f"{path} is a pipe, a socket or a device", "Give a photo")


def _refuse_bomb(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImageError(
            f"{name} is too large: {image.width}×{image.height} pixels", _BOMB_REMEDY
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit greys; Image.convert would clip them to white instead of scaling.
        grey = np.asarray(image).astype(np.int64)
        return Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        grey = np.nan_to_num(np.asarray(image), posinf=255.0, neginf=0.0)
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")
