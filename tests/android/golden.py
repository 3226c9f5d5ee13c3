"""Writes ``tests/golden/``: what Python computes, for the Android demo's core to equal.

    python -m tests.android.golden

The files are committed. ``test_golden.py`` makes them again and compares every byte; the core's
JUnit tests read the same files. So neither side can drift without a failing test.

Everything is drawn from one integer formula: no random generator whose numbers may change.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgevit.preprocessing import Pixels, Preprocessing, decode
from edgevit.storage import sha256_of_bytes

FOLDER = Path(__file__).parents[1] / "golden"
# Larger results are kept as their hash.
_MAX_KEPT_BYTES = 16_000

Bytes = npt.NDArray[np.uint8]
Files = dict[str, bytes]


def noise(count: int, seed: int) -> Bytes:
    """Return ``uint8 [count]``; the core's tests compute the same (``Drawn.kt``)."""
    value = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503 + 1)
    value ^= value >> np.uint32(15)
    value *= np.uint32(2246822519)
    value ^= value >> np.uint32(13)
    return (value & np.uint32(255)).astype(np.uint8)


def noise_image(width: int, height: int, seed: int) -> Pixels:
    """Return ``uint8 [height, width, 3]`` of noise: the hardest picture for a filter."""
    return noise(3 * width * height, seed).reshape(height, width, 3)


def checks(width: int, height: int) -> Pixels:
    """Return black and white squares, which a bicubic filter overshoots on."""
    row, column = np.ogrid[:height, :width]
    white = ((row // 3 + column // 3) % 2 * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(white[..., None], (height, width, 3)))


class Table:
    """Cases as tab-separated text, and beside it their bytes, one after the other."""

    def __init__(self, files: Files, name: str, columns: Sequence[str]) -> None:
        self._files = files
        self._name = name
        self._rows = [tuple(columns)]
        self._data = b""

    def add(self, *cells: object) -> None:
        """Add a case."""
        row = tuple(map(str, cells))
        if len(row) != len(self._rows[0]) or any("\t" in cell or "\n" in cell for cell in row):
            raise ValueError(f"{row} does not fit {self._rows[0]}")
        self._rows.append(row)

    def keep(self, data: bytes) -> str:
        """Store a case's bytes; returns the cell that leads to them: ``POSITION+LENGTH``."""
        if len(data) > _MAX_KEPT_BYTES:
            return f"sha256:{sha256_of_bytes(data)}"
        position = len(self._data)
        self._data += data
        return f"{position}+{len(data)}"

    def close(self) -> None:
        """Write the table."""
        lines = ["\t".join(row) for row in self._rows]
        self._files[f"{self._name}.tsv"] = ("\n".join(lines) + "\n").encode()
        if self._data:
            self._files[f"{self._name}.bin"] = self._data


SIZES = {
    "odd": (37, 53),
    "odd-wide": (53, 37),
    "one": (1, 1),
    "line": (97, 1),
    "column": (1, 97),
    "wide": (301, 3),
    "tall": (3, 301),
    "square": (48, 48),
    "tiny": (5, 4),
}
TARGETS = {"landscape": (24, 16), "portrait": (15, 23), "one": (1, 1)}


def write_preprocessing(files: Files) -> None:
    """Crop and resize: sizes × modes × filters, then what deserves a case of its own."""
    table = Table(
        files,
        "preprocessing",
        ("case", "source", "width", "height", "to_width", "to_height", "mode", "filter", "result"),
    )

    def add(case: str, source: str, size: tuple[int, int], to: tuple[int, int], how: str) -> None:
        mode, interpolation = how.split()
        pixels = draw(source, *size)
        preprocessing = Preprocessing(to[1], to[0], mode, interpolation)  # type: ignore[arg-type]
        fitted = preprocessing.fit(Image.fromarray(pixels))
        cell = table.keep(fitted.tobytes())
        table.add(case, source, *size, *to, mode, interpolation, cell)

    hows = [f"{mode} {filter_}" for mode in ("crop", "squash") for filter_ in _FILTERS]
    for seed, (name, size) in enumerate(SIZES.items(), start=1):
        for target in ("landscape", "portrait"):
            for how in hows:
                case = f"{name}-{target}-{how.replace(' ', '-')}"
                add(case, f"noise:{seed}", size, TARGETS[target], how)
    for how in hows:
        dashed = how.replace(" ", "-")
        add(f"odd-to-one-{dashed}", "noise:1", SIZES["odd"], TARGETS["one"], how)
        add(f"checks-{dashed}", "checks", (61, 47), TARGETS["landscape"], how)
        add(f"same-size-{dashed}", "noise:8", (48, 48), (48, 48), how)
        add(f"same-height-{dashed}", "noise:8", (90, 24), (24, 24), how)
        add(f"same-width-{dashed}", "noise:8", (24, 90), (24, 24), how)
        add(f"enlarged-{dashed}", "noise:9", (5, 4), (40, 50), how)
        add(f"full-hd-{dashed}", "noise:10", (1920, 1080), (224, 224), how)
    add("12-megapixels", "noise:11", (4000, 3000), (384, 384), "crop bilinear")
    add("panorama", "noise:12", (12000, 90), (224, 224), "squash bicubic")
    table.close()


_FILTERS = ("bilinear", "bicubic")


def draw(source: str, width: int, height: int) -> Pixels:
    """Return the picture that a table calls ``noise:SEED`` or ``checks``."""
    if source == "checks":
        return checks(width, height)
    return noise_image(width, height, int(source.removeprefix("noise:")))


def write_rotation(files: Files) -> None:
    """Turn by degrees, and by EXIF orientation as photos are decoded."""
    turns: dict[int, Callable[[Image.Image], Image.Image]] = {
        0: lambda image: image,
        90: lambda image: image.transpose(Image.Transpose.ROTATE_270),
        180: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        270: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    }
    columns = (
        "case",
        "source",
        "width",
        "height",
        "kind",
        "value",
        "to_width",
        "to_height",
        "result",
    )
    table = Table(files, "rotation", columns)

    def add(size: tuple[int, int], kind: str, value: int, image: Image.Image) -> None:
        case = f"{size[0]}x{size[1]}-{kind}-{value}"
        cell = table.keep(image.tobytes())
        table.add(case, "noise:3", *size, kind, value, *image.size, cell)

    for size in ((7, 5), (1, 6), (16, 16)):
        image = Image.fromarray(noise_image(*size, seed=3))
        for degrees, turn in turns.items():
            add(size, "degrees", degrees, turn(image))
        for orientation in range(10):
            add(size, "exif", orientation, _decoded_with_exif(image, orientation))
    table.close()


def _decoded_with_exif(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return decode(file.getvalue())


class Planes:
    """The three planes of a camera picture in one buffer.

    Args:
        layout: ``planar``, ``padded`` (rows with a tail), ``nv12`` or ``nv21`` (colour planes that
            share their bytes, the last row cut off after its last sample).
        width: Columns of the picture.
        height: Rows of the picture.
        seed: Of the noise.
    """

    def __init__(self, layout: str, width: int, height: int, seed: int) -> None:
        chroma = (height + 1) // 2, (width + 1) // 2
        self.y = noise(width * height, seed).reshape(height, width)
        self.u = noise(chroma[0] * chroma[1], seed + 100).reshape(chroma)
        self.v = noise(chroma[0] * chroma[1], seed + 200).reshape(chroma)
        pad = 0 if layout == "planar" else 11
        self.strides = [(width + pad, 1)]
        pieces = [_padded(self.y, pad)]
        if layout in ("nv12", "nv21"):
            first, second = (self.u, self.v) if layout == "nv12" else (self.v, self.u)
            woven = np.stack([first, second], axis=2).reshape(chroma[0], -1)
            pieces.append(_padded(woven, pad))
            start = len(pieces[0])
            self.strides += [(woven.shape[1] + pad, 2)] * 2
            # A plane of the camera ends at its last sample, one byte before the other's does.
            length = (chroma[0] - 1) * (woven.shape[1] + pad) + woven.shape[1] - 1
            offsets = (start, start + 1) if layout == "nv12" else (start + 1, start)
            self.parts = [(0, len(pieces[0])), *((offset, length) for offset in offsets)]
        else:
            pieces += [_padded(self.u, pad), _padded(self.v, pad)]
            self.strides += [(chroma[1] + pad, 1)] * 2
            starts = np.cumsum([0, *map(len, pieces[:2])]).tolist()
            self.parts = [(start, len(piece)) for start, piece in zip(starts, pieces, strict=True)]
        self.data = b"".join(pieces)

    def rgb(self) -> Image.Image:
        """Return the picture as Pillow converts it."""
        height, width = self.y.shape
        colours = (plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (self.u, self.v))
        full = [self.y, *(plane[:height, :width] for plane in colours)]
        return Image.fromarray(np.stack(full, axis=2), "YCbCr").convert("RGB")


def _padded(plane: Bytes, pad: int) -> bytes:
    """Return rows with a tail that must never be read as a sample; the last one has none."""
    rows = np.pad(plane, ((0, 0), (0, pad)), constant_values=0xA5)
    data = rows.tobytes()
    return data[: len(data) - pad]


def write_camera(files: Files) -> None:
    """Camera pictures to upright model input: strides, overlapping planes, all four turns."""
    numbers = [f"{plane}_{what}" for plane in "yuv" for what in ("at", "size", "row", "pixel")]
    columns = ("case", "planes", "width", "height", *numbers, "degrees", "mode", "rgb", "result")
    table = Table(files, "camera", columns)
    sizes = [(32, 24), (33, 17), (1, 1), (2, 9)]
    for number, layout in enumerate(("planar", "padded", "nv12", "nv21")):
        for width, height in sizes:
            planes = Planes(layout, width, height, seed=20 + number)
            data, rgb = table.keep(planes.data), planes.rgb()
            whole = table.keep(rgb.tobytes())
            places = [
                number
                for part, strides in zip(planes.parts, planes.strides, strict=True)
                for number in (*part, *strides)
            ]
            for degrees in (0, 90, 180, 270) if width > 2 else (90,):
                mode = "crop" if degrees % 180 else "squash"
                preprocessing = Preprocessing(12, 14, mode)
                fitted = preprocessing.fit(rgb.rotate(-degrees, expand=True))
                case = f"{layout}-{width}x{height}-{degrees}"
                cell = table.keep(fitted.tobytes())
                table.add(case, data, width, height, *places, degrees, mode, whole, cell)
    table.close()


def write_colours(files: Files) -> None:
    """Every colour pair of a camera, and every alpha over white, as hashes."""
    table = Table(files, "colours", ("case", "result"))
    side = 512
    chroma = np.arange(256, dtype=np.uint8)
    cb = np.broadcast_to(chroma[None, :], (256, 256)).repeat(2, axis=0).repeat(2, axis=1)
    cr = np.broadcast_to(chroma[:, None], (256, 256)).repeat(2, axis=0).repeat(2, axis=1)
    y = noise(side * side, 40).reshape(side, side)
    ycbcr = Image.fromarray(np.stack([y, cb, cr], axis=2), "YCbCr")
    table.add("every-chroma", table.keep(ycbcr.convert("RGB").tobytes()))
    # Column: value; row: alpha. Three different channels.
    value, alpha = np.meshgrid(chroma, chroma)
    rgba = np.stack([value, 255 - value, value ^ 85, alpha], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    table.add("every-alpha", table.keep(decode(file.getvalue()).tobytes()))
    table.close()


def all_files() -> Files:
    """Return every file of ``tests/golden`` by its name, in memory."""
    from tests.android import golden_documents, golden_scores

    # Not one byte may be changed, line breaks and spaces at the end of a line among them.
    files: Files = {".gitattributes": b"* -text\n"}
    for write in (
        write_preprocessing,
        write_rotation,
        write_camera,
        write_colours,
        *golden_scores.WRITERS,
        *golden_documents.WRITERS,
    ):
        write(files)
    return files


def differences(folder: Path, files: Files) -> list[str]:
    """Return the names of files that are missing, left over or other."""
    there = {path.relative_to(folder).as_posix() for path in _files_below(folder)}
    other = [n for n in there & files.keys() if (folder / n).read_bytes() != files[n]]
    return sorted([*(there ^ files.keys()), *other])


def _files_below(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Write the folder anew."""
    files: dict[str, Any] = all_files()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, data in files.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    size_bytes = sum(map(len, files.values()))
    sys.stdout.write(f"{len(files)} files, {size_bytes / 1e3:.0f} kB in {FOLDER}\n")


if __name__ == "__main__":
    main()
