from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevit.errors import InputError, UnreadableImageError
from edgevit.preprocessing import Preprocessing, decode
from tests.conftest import save_photo


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def quadrants(width: int = 40, height: int = 24) -> Image.Image:
    """Red, green, blue and white quarters: every orientation looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(pixels)


def one_bit_png(width: int, height: int) -> bytes:
    """A black PNG of any size, made without holding its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    compressor = zlib.compressobj(1)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# What to do to an upright image so that the viewer who obeys the EXIF tag sees it upright again.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_decode_gives_the_upright_photo_when_exif_says_it_is_turned(
    orientation: int, format_name: str
) -> None:
    upright = quadrants()
    step = STORED_AS[orientation]
    stored = upright if step is None else upright.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, format_name, exif=exif, quality=95)
    decoded = decode(data)
    assert decoded.size == upright.size
    difference = np.asarray(decoded).astype(int) - np.asarray(upright)
    # Away from the blurred borders of the JPEG.
    assert np.abs(difference[2:8, 2:16]).max() < 24
    assert np.abs(difference[-8:-2, 2:16]).max() < 24


def test_decode_refuses_with_its_size_when_the_image_is_a_bomb() -> None:
    data = one_bit_png(20_000, 20_000)
    assert len(data) < 1_000_000
    with pytest.raises(UnreadableImageError, match="20000×20000"):
        decode(data)


def test_decode_refuses_when_only_the_header_claims_a_huge_size() -> None:
    data = bytearray(encoded(quadrants(), "PNG"))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    with pytest.raises(UnreadableImageError, match="100000×100000"):
        decode(bytes(data))


@pytest.mark.parametrize(("size", "expected"), [((1, 1), 1), ((1, 500), 1), ((500, 1), 1)])
@pytest.mark.parametrize("mode", ["crop", "squash"])
def test_pixels_works_when_a_photo_has_one_row_or_column(
    size: tuple[int, int], expected: int, mode: Any
) -> None:
    data = encoded(Image.new("RGB", size, (10, 200, 30)), "PNG")
    pixels = Preprocessing(8, 12, mode).pixels(data)
    assert pixels.shape == (8, 12, 3)
    assert (pixels == (10, 200, 30)).all()


def test_decode_gives_the_colours_when_a_jpeg_is_cmyk() -> None:
    data = encoded(quadrants().convert("CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "CMYK"
    decoded = np.asarray(decode(data)).astype(int)
    assert np.abs(decoded[4, 4] - (255, 0, 0)).max() < 24
    assert np.abs(decoded[-4, -4] - (255, 255, 255)).max() < 24


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_decode_scales_a_ramp_when_an_image_has_sixteen_bits(format_name: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256).repeat(4, axis=0)
    decoded = np.asarray(decode(encoded(Image.fromarray(ramp), format_name)))
    assert np.abs(decoded[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    assert (decoded[..., 0] == decoded[..., 2]).all()


def test_decode_puts_white_below_when_a_palette_is_transparent() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((3, 1), 1)
    decoded = np.asarray(decode(encoded(image, "PNG", transparency=0)))
    assert tuple(decoded[0, 0]) == (255, 255, 255)
    assert tuple(decoded[1, 3]) == (0, 0, 255)


def test_decode_blends_with_white_when_an_image_is_half_transparent() -> None:
    decoded = decode(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 128)), "PNG"))
    red, green, blue = np.asarray(decoded)[0, 0].tolist()
    assert red == 255
    assert green == blue
    assert abs(green - 127) <= 1


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "TIFF"])
def test_decode_takes_the_first_frame_when_an_image_is_animated(format_name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    if format_name == "WEBP":
        options["lossless"] = True
    decoded = np.asarray(decode(encoded(frames[0], format_name, **options)))
    assert (decoded == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F"])
def test_decode_gives_rgb_when_the_mode_is(mode: str) -> None:
    format_name = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA") else "TIFF"
    decoded = decode(encoded(quadrants().convert("RGB").convert(mode), format_name))
    assert decoded.mode == "RGB"
    assert decoded.size == (40, 24)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"this is a shopping list\n", "is not an image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "is (damaged|not an image)"),
        (b"\x89PNG\r\n\x1a\n", "is (damaged|not an image)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
    ],
)
def test_decode_says_what_is_wrong_when_a_file_is_no_photo(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match=message) as caught:
        decode(path)
    assert "photo.jpg" in caught.value.problem


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_decode_refuses_when_a_file_is_truncated(
    tmp_path: Path, format_name: str, share: float
) -> None:
    photo = decode(save_photo(tmp_path / "photo.png", size=(200, 160)))
    data = encoded(photo, format_name)
    with pytest.raises(UnreadableImageError):
        decode(data[: int(len(data) * share)])


def test_decode_never_raises_anything_else_when_bytes_are_flipped(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    photo = decode(save_photo(tmp_path / "photo.png", size=(48, 40)))
    for format_name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"):
        whole = np.frombuffer(encoded(photo, format_name), np.uint8)
        for _ in range(60):
            data = whole.copy()
            places = random.integers(0, min(len(data), 400), size=4)
            data[places] = random.integers(0, 256, size=4)
            try:
                assert decode(data.tobytes()).mode == "RGB"
            except UnreadableImageError:
                continue


def test_decode_names_the_path_when_it_is_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="does not exist"):
        decode(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableImageError, match="is a folder"):
        decode(tmp_path)


def test_decode_refuses_when_the_path_is_a_pipe_or_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(UnreadableImageError, match="is a pipe, a socket or a device"):
            decode(path)


def test_decode_names_dev_stdin_when_given_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableImageError, match="- does not exist") as caught:
        decode(Path("-"))
    assert "give /dev/stdin" in str(caught.value.remedy)


def test_decode_reads_standard_input_when_it_is_a_pipe(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from edgevit.preprocessing import decode;"
        "print(decode(Path('/dev/stdin')).size)"
    )
    data = save_photo(tmp_path / "photo.png", size=(48, 40)).read_bytes()
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout == b"(48, 40)\n"


def test_decode_leaves_global_state_alone_when_many_threads_decode(tmp_path: Path) -> None:
    data = save_photo(tmp_path / "photo.jpg", size=(300, 300)).read_bytes()
    bomb = one_bit_png(20_000, 8_000)
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS

    def attempt(index: int) -> bool:
        try:
            decode(bomb if index % 5 == 0 else data)
        except UnreadableImageError as error:
            return "20000×8000" in error.problem
        return index % 5 != 0

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(attempt, range(200)))
    assert warnings.filters == filters
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("target", "box"),
    [((10, 10), (8, 0, 32, 24)), ((12, 20), (0, 0, 40, 24)), ((10, 20), (0, 2, 40, 22))],
)
def test_pixels_takes_the_largest_centred_rectangle_when_cropping(
    target: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    image = quadrants(40, 24)
    expected = image.crop(box).resize((target[1], target[0]), Image.Resampling.BILINEAR)
    assert np.array_equal(Preprocessing(*target).fit(image), np.asarray(expected))


def test_pixels_takes_the_whole_photo_when_squashing() -> None:
    image = quadrants(40, 24)
    expected = image.resize((10, 10), Image.Resampling.BICUBIC)
    squashed = Preprocessing(10, 10, "squash", "bicubic").fit(image)
    assert np.array_equal(squashed, np.asarray(expected))


def test_geometry_differs_when_anything_that_shapes_the_pixels_differs() -> None:
    names = {
        Preprocessing(8, 8).geometry,
        Preprocessing(8, 9).geometry,
        Preprocessing(9, 8).geometry,
        Preprocessing(8, 8, "squash").geometry,
        Preprocessing(8, 8, interpolation="bicubic").geometry,
    }
    assert len(names) == 5
    assert Preprocessing(8, 8).geometry == Preprocessing(8, 8, std=(1.0, 1.0, 1.0)).geometry


@pytest.mark.parametrize("size", [(0, 8), (8, -1)])
def test_preprocessing_refuses_when_the_size_is_not_positive(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="not positive"):
        Preprocessing(*size)


@pytest.mark.parametrize("size", [(4097, 8), (8, 1_000_000)])
def test_preprocessing_refuses_when_the_size_is_huge(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]}×{size[1]} is too large") as caught:
        Preprocessing(*size)
    assert "from 1 to 4096" in str(caught.value.remedy)
    assert Preprocessing(4096, 4096).height == 4096
