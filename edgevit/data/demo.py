"""The demo set: procedural 'photos' for trying the whole chain without a download.

Each photo shows one patterned object on a cluttered background. A class is a palette, a pattern
and a shape; place, size, tilt, light, blur, noise and occluders are nuisance. Nothing that tells
classes apart changes under left-right flips, small rotations or zooms.

A classifier could reach 100 % on such pictures, and a quantised model's drop would then hide
among ties. So :data:`HYBRID_SHARE` of the photos show a *hybrid*: palette, pattern and shape are
each drawn from the photo's own class or from a neighbouring one, with even odds. A hybrid does
not tell which of the two classes it was made for: whatever its size, a model gets half of the
hybrids wrong, so on average no accuracy above ``1 - HYBRID_SHARE / 2`` can be reached.
"""

from __future__ import annotations

import colorsys
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from edgevit import documents
from edgevit.data import limits
from edgevit.data.limits import Bounds
from edgevit.data.patterns import PATTERNS, SHAPES, Plane
from edgevit.data.rows import in_parallel
from edgevit.errors import InputError
from edgevit.storage import folder_in_one_piece

# float32 [3, height, width] or, for one colour, [3, 1, 1]; RGB, 0–1.
Canvas = npt.NDArray[np.floating[Any]]

HYBRID_SHARE = 0.05
DEMO_FILE = "demo.json"
KIND = "edgevit.demo"
SCHEMA_VERSION = 1
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class DemoRecord:
    """The body of ``demo.json``: how a demo set was drawn.

    Attributes:
        classes: Names, in the order of their making.
        per_class: Photos of each class.
        size: Height and width, pixels.
        seed: Of every random number.
    """

    classes: tuple[str, ...]
    per_class: int
    size: int
    seed: int


@dataclass(frozen=True)
class Palette:
    """Two colours: hue in degrees, saturation and value 0–1, and the pattern's grey 0–1."""

    name: str
    hue: float
    saturation: float
    value: float
    accent: float


# Colours of nearly the same hue differ in saturation and value; the order puts unlike ones first.
PALETTES = (
    Palette("blue", 222, 0.80, 0.75, 0.95),
    Palette("orange", 27, 0.90, 0.95, 0.08),
    Palette("green", 128, 0.70, 0.55, 0.92),
    Palette("café", 24, 0.55, 0.38, 0.88),
    Palette("pink", 322, 0.60, 0.95, 0.12),
    Palette("teal", 176, 0.75, 0.62, 0.05),
    Palette("red", 356, 0.85, 0.75, 0.95),
    Palette("violet", 272, 0.60, 0.65, 0.92),
    Palette("yellow", 54, 0.85, 0.95, 0.10),
    Palette("grey", 220, 0.06, 0.55, 0.95),
)


@dataclass(frozen=True)
class Look:
    """What a class looks like: indices into the palettes, patterns and shapes."""

    palette: int
    pattern: int
    shape: int

    @property
    def name(self) -> str:
        """The class's name, such as ``Striped blue disc``."""
        pattern, shape = PATTERNS[self.pattern].name, SHAPES[self.shape].name
        return f"{pattern} {PALETTES[self.palette].name} {shape}"


def look_of(label: int) -> Look:
    """Return the look of the class numbered ``label``, from 0; all looks of a set differ."""
    turn, palette = divmod(label, len(PALETTES))
    return Look(
        palette=palette,
        pattern=(palette + turn) % len(PATTERNS),
        shape=(palette + 2 * turn + turn // len(PATTERNS)) % len(SHAPES),
    )


def class_names(class_count: int) -> tuple[str, ...]:
    """Return the names of the first ``class_count`` classes."""
    return tuple(look_of(label).name for label in range(class_count))


def write_demo(
    out: Path, *, class_count: int, per_class: int, size: int, seed: int, force: bool = False
) -> DemoRecord:
    """Write ``out/CLASS/0001.jpg`` …; the folder appears in one piece.

    Args:
        out: The folder.
        class_count: Within :data:`limits.DEMO_CLASSES`.
        per_class: Photos of each class, within :data:`limits.DEMO_PER_CLASS`.
        size: Height and width, pixels, within :data:`limits.DEMO_SIZE`.
        seed: Another seed gives other photos of the same classes.
        force: Replace a demo set that is in ``out`` already.

    Raises:
        InputError: if a number is out of range, or ``out`` may not be replaced.
    """
    _check_range("--classes", class_count, limits.DEMO_CLASSES)
    _check_range("--per-class", per_class, limits.DEMO_PER_CLASS)
    _check_range("--size", size, limits.DEMO_SIZE)
    _check_range("--seed", seed, limits.SEED)
    record = DemoRecord(class_names(class_count), per_class, size, seed)
    with folder_in_one_piece(out, force=force, marker=DEMO_FILE) as folder:
        for name in record.classes:
            (folder / name).mkdir()

        def write_one(job: tuple[int, int]) -> None:
            label, index = job
            image = photo(label, index, class_count=class_count, size=size, seed=seed)
            path = folder / record.classes[label] / f"{index + 1:04}.jpg"
            path.write_bytes(_jpeg(image))

        jobs = [(label, index) for label in range(class_count) for index in range(per_class)]
        for _ in in_parallel(write_one, jobs, "Drawing photos"):
            pass
        documents.write(folder / DEMO_FILE, KIND, SCHEMA_VERSION, record)
    return record


def _jpeg(image: Image.Image) -> bytes:
    # Not image.save(path): given a file, Pillow does not notice when the disk is full.
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _check_range(option: str, value: int, bounds: Bounds) -> None:
    if not bounds.low <= value <= bounds.high:
        raise InputError(
            f"{option} is {value}", f"Give a whole number from {bounds.low} to {bounds.high}"
        )


def photo(label: int, index: int, *, class_count: int, size: int, seed: int) -> Image.Image:
    """Draw one photo; the same arguments give the same pixels.

    Args:
        label: Class, 0 to ``class_count`` - 1.
        index: Number of the photo within its class.
        class_count: Number of classes of the set; the first and the last are neighbours.
        size: Height and width, pixels.
        seed: Of the set.
    """
    random = np.random.default_rng((seed, label, index))
    look = draw_look(random, label, class_count)
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    y, x = np.meshgrid(axis, axis, indexing="ij")
    canvas = _background(random, x, y)
    _draw_clutter(random, canvas, x, y)
    _draw_object(random, canvas, x, y, look)
    if random.random() < 0.3:
        _draw_occluder(random, canvas, x, y)
    return _develop(random, canvas, x, y)


def draw_look(random: np.random.Generator, label: int, class_count: int) -> Look:
    """Return the class's look or, with :data:`HYBRID_SHARE`, a hybrid with a neighbour's.

    Each of two neighbours makes as many hybrids with the other, so that a hybrid tells nothing.
    """
    own = look_of(label)
    if random.random() >= HYBRID_SHARE:
        return own
    step = 1 if random.random() < 0.5 else -1
    both = (own, look_of((label + step) % class_count))
    first, second, third = random.integers(0, 2, size=3).tolist()
    return Look(both[first].palette, both[second].pattern, both[third].shape)


def _rgb(hue: float, saturation: float, value: float) -> Canvas:
    """Convert HSV (degrees, 0–1, 0–1) to ``float32 [3, 1, 1]`` RGB, 0–1."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360.0 % 1.0, saturation, value)
    return np.array([red, green, blue], dtype=np.float32).reshape(3, 1, 1)


def _muted(random: np.random.Generator) -> Canvas:
    return _rgb(random.uniform(0, 360), random.uniform(0.0, 0.22), random.uniform(0.3, 0.8))


def _soft(distance: Plane, edge: float) -> Plane:
    """Turn a signed distance (negative inside) into coverage 0–1 over an edge of that width."""
    coverage: Plane = np.clip(0.5 - distance * (1.0 / edge), 0.0, 1.0)
    return coverage


def _slope(angle: float, x: Plane, y: Plane) -> Plane:
    """Return the coordinate along a direction."""
    slope: Plane = math.cos(angle) * x + math.sin(angle) * y
    return slope


def _blend(canvas: Canvas, coverage: Plane, colour: Canvas) -> None:
    canvas += coverage * (colour - canvas)


def _background(random: np.random.Generator, x: Plane, y: Plane) -> Canvas:
    ramp = 0.5 + 0.4 * _slope(random.uniform(0, math.tau), x, y)
    for _ in range(3):
        wave = _slope(random.uniform(0, math.tau), x, y) * random.uniform(1, 5)
        ramp += 0.12 * np.sin(wave + random.uniform(0, math.tau))
    first, second = _muted(random), _muted(random)
    return first + ramp * (second - first)


def _draw_clutter(random: np.random.Generator, canvas: Canvas, x: Plane, y: Plane) -> None:
    for _ in range(int(random.integers(2, 6))):
        u, v = _local(random, x, y, reach=1.0, tilt=math.pi, radius=random.uniform(0.1, 0.45))
        shape = SHAPES[int(random.integers(len(SHAPES)))]
        coverage = _soft(shape.distance(u, v), random.uniform(0.05, 0.4))
        _blend(canvas, coverage * random.uniform(0.4, 0.9), _muted(random))


def _draw_occluder(random: np.random.Generator, canvas: Canvas, x: Plane, y: Plane) -> None:
    u, _ = _local(random, x, y, reach=0.5, tilt=math.pi, radius=random.uniform(0.05, 0.14))
    _blend(canvas, _soft(np.abs(u) - 1, 0.2), _muted(random))


def _local(
    random: np.random.Generator, x: Plane, y: Plane, *, reach: float, tilt: float, radius: float
) -> tuple[Plane, Plane]:
    """Return the coordinates of a thing at a random place, in units of its radius."""
    x = (x - random.uniform(-reach, reach)) * (1.0 / radius)
    y = (y - random.uniform(-reach, reach)) * (1.0 / radius)
    angle = random.uniform(-tilt, tilt)
    return _slope(angle, x, y), _slope(angle + math.pi / 2, x, y)


def _draw_object(
    random: np.random.Generator, canvas: Canvas, x: Plane, y: Plane, look: Look
) -> None:
    radius = random.uniform(0.62, 0.85)
    u, v = _local(random, x, y, reach=0.2, tilt=0.2, radius=radius)
    distance = SHAPES[look.shape].distance(u, v)
    # A soft shadow all around.
    canvas *= 1.0 - 0.5 * _soft(distance, 0.5)
    main, accent = _colours(random, PALETTES[look.palette])
    frequency = random.lognormal(0.0, 0.08)
    pattern = PATTERNS[look.pattern].coverage(u * frequency, v * frequency)
    shade = 0.9 + 0.2 * _slope(random.uniform(0, math.tau), u, v) - 0.12 * (u * u + v * v)
    _blend(canvas, _soft(distance, 0.03 / radius), (main + pattern * (accent - main)) * shade)


def _colours(random: np.random.Generator, palette: Palette) -> tuple[Canvas, Canvas]:
    hue = palette.hue + random.normal(0, 5.0)
    saturation = min(max(palette.saturation + random.normal(0, 0.07), 0.02), 1.0)
    value = min(max(palette.value + random.normal(0, 0.06), 0.1), 1.0)
    accent = min(max(palette.accent + random.normal(0, 0.04), 0.02), 1.0)
    return _rgb(hue, saturation, value), _rgb(random.uniform(0, 360), 0.05, accent)


def _develop(random: np.random.Generator, canvas: Canvas, x: Plane, y: Plane) -> Image.Image:
    """Light the scene and take the picture: gain, colour cast, sensor noise and blur."""
    light = 1.0 + random.uniform(0.0, 0.25) * _slope(random.uniform(0, math.tau), x, y)
    gain = 255 * random.uniform(0.8, 1.15)
    cast = random.normal(1.0, 0.03, size=(3, 1, 1)).astype(np.float32)
    canvas *= light * gain * cast
    canvas += random.uniform(3, 14) * random.standard_normal(canvas.shape, dtype=np.float32)
    pixels = np.clip(canvas, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return image.filter(ImageFilter.BoxBlur(random.uniform(0.0, 1.5) * image.width / 224))
