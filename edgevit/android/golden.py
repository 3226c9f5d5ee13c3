"""Golden photos: what the installed model answers here, for the phone to compare with.

Computed by the real TFLite runtime through edgevit's own preprocessing. A phone that gives other
answers decodes, turns, resizes or computes otherwise, and its self-test says so.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgevit import storage
from edgevit.bench.evaluation import evenly_chosen, spread
from edgevit.bundle import Bundle
from edgevit.data import demo
from edgevit.data.dataset import Dataset
from edgevit.errors import EdgevitError, InputError
from edgevit.metrics import top_k
from edgevit.preprocessing import decode
from edgevit.runtimes.classifier import Classifier

MAX_PHOTOS = 8
BEST = 5
# Ours: kernels of Arm and x86 differ in the third digit of a probability, and decoders of JPEG by
# a step of a colour. A wrong rotation, crop or channel order is off by far more.
SCORE_TOLERANCE = 0.05

# JPEGs that go into the app as they are: far below what a phone decodes at a lower resolution.
_MAX_PIXELS = 4_000_000
_MAX_BYTES = 2_000_000
# Of PNGs, which take about 1.5 MB then.
_LARGEST_SIDE = 1024
_DRAWN_SIDE = 320
_DRAWN_SEED = 20
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


@dataclass(frozen=True)
class PhotoSource:
    """The photos that go into the app, and where they are from.

    Attributes:
        description: Where they are from, in words.
        dataset_sha256: Hash of the data set's record, or over the photos where they are of none.
        same_photos: True if they are test photos of the model's own run.
        photos: Encoded files, at least one.
    """

    description: str
    dataset_sha256: str
    same_photos: bool
    photos: tuple[bytes, ...]


@dataclass(frozen=True)
class GoldenPhoto:
    """A photo as it goes into the app, with the expected answer.

    Attributes:
        name: Of the file.
        data: The encoded photo: a JPEG with its EXIF orientation, or a PNG.
        pixels_sha256: Hash of the model's input for it; ``None`` for a JPEG, whose decoders differ.
        best: Positions of the best labels, best first.
        scores: Of these, 0–1.
    """

    name: str
    data: bytes
    pixels_sha256: str | None
    best: tuple[int, ...]
    scores: tuple[float, ...]


def choose_photos(bundle: Bundle, images: Sequence[Path]) -> PhotoSource:
    """Choose up to :data:`MAX_PHOTOS` photos.

    Args:
        bundle: The model; its run's test photos are taken where they are at hand.
        images: Photos and folders of photos that the user named instead; may be empty.

    Raises:
        InputError: if a named path is not there, or a folder holds no photo.
    """
    if images:
        return _named_photos(images)
    return _test_photos(bundle) or _drawn_photos()


def expected_answers(classifier: Classifier, photos: Sequence[bytes]) -> tuple[GoldenPhoto, ...]:
    """Run the model on every photo.

    Args:
        classifier: The opened bundle.
        photos: Encoded files.

    Raises:
        UnreadableImageError: if one cannot be decoded.
    """
    return tuple(_answer(classifier, index, data) for index, data in enumerate(photos))


def golden_entries(photos: Sequence[GoldenPhoto]) -> dict[str, str]:
    """Return what ``golden/expected.properties`` says."""
    entries = {"schema": "1", "count": str(len(photos)), "tolerance": repr(SCORE_TOLERANCE)}
    for index, photo in enumerate(photos):
        entries[f"{index}.file"] = photo.name
        entries[f"{index}.sha256"] = storage.sha256_of_bytes(photo.data)
        if photo.pixels_sha256 is not None:
            entries[f"{index}.pixels_sha256"] = photo.pixels_sha256
        entries[f"{index}.best"] = ",".join(map(str, photo.best))
        entries[f"{index}.scores"] = ",".join(f"{score:.9g}" for score in photo.scores)
    return entries


def _named_photos(images: Sequence[Path]) -> PhotoSource:
    paths: list[Path] = []
    for path in images:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
            if not found:
                raise InputError(f"{path} holds no photo", "Give a folder of JPEGs or PNGs")
            paths += found
        else:
            paths.append(path)
    chosen = [paths[index] for index in spread(len(paths), MAX_PHOTOS)]
    photos = tuple(_portable(index, path) for index, path in enumerate(chosen))
    description = ", ".join(map(str, images))
    return PhotoSource(description, _hash_of(photos), False, photos)


def _test_photos(bundle: Bundle) -> PhotoSource | None:
    """Return test photos of the model's run, ``None`` where they are not here any more."""
    reference = bundle.record.source.dataset
    try:
        dataset = Dataset.load(Path(reference.path))
    except (EdgevitError, OSError):
        return None
    if dataset.sha256 != reference.sha256 or dataset.classes != bundle.labels:
        return None
    split = dataset.split("test")
    chosen = [split.photos[row] for row in evenly_chosen(split.labels(), MAX_PHOTOS)]
    photos: list[bytes] = []
    for photo in chosen:
        path = dataset.photo_path(photo)
        if path.is_file() and storage.sha256_of_file(path) == photo.sha256:
            photos.append(_portable(len(photos), path))
    if not photos:
        return None
    return PhotoSource(str(dataset.root), dataset.sha256, True, tuple(photos))


def _drawn_photos() -> PhotoSource:
    photos = tuple(
        _png(demo.photo(i, i, class_count=MAX_PHOTOS, size=_DRAWN_SIDE, seed=_DRAWN_SEED))
        for i in range(MAX_PHOTOS)
    )
    return PhotoSource("drawn pictures", _hash_of(photos), False, photos)


def _hash_of(photos: Sequence[bytes]) -> str:
    return storage.sha256_of_bytes("".join(map(storage.sha256_of_bytes, photos)).encode())


def _portable(index: int, path: Path) -> bytes:
    """Return a photo as every Android decodes it.

    Every second one stays a JPEG if it is a small one: the phone must decode and turn it. The
    others become PNGs, which all decoders read alike, so that the phone's preprocessing can be
    compared to the byte. So do photos with a colour profile: Android turns their colours into
    sRGB, edgevit does not read profiles, and that difference is not the model's.
    """
    image = decode(path)
    data = path.read_bytes()
    if index % 2 and len(data) <= _MAX_BYTES and image.width * image.height <= _MAX_PIXELS:
        with Image.open(io.BytesIO(data)) as original:
            is_plain = original.format == "JPEG" and original.mode in ("RGB", "L")
            if is_plain and "icc_profile" not in original.info:
                return data
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return _png(image)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # Without what the photo knew beside its pixels: orientation, place, profile.
    Image.frombytes("RGB", image.size, image.tobytes()).save(file, "PNG", optimize=True)
    return file.getvalue()


def _answer(classifier: Classifier, index: int, data: bytes) -> GoldenPhoto:
    pixels = classifier.spec.preprocessing.pixels(data)
    scores = classifier.session.invoke(pixels[None])[0]
    best = top_k(scores[None], BEST)[0].tolist()
    is_png = data.startswith(b"\x89PNG")
    return GoldenPhoto(
        name=f"{index:02}.{'png' if is_png else 'jpg'}",
        data=data,
        pixels_sha256=storage.sha256_of_bytes(pixels.tobytes()) if is_png else None,
        best=tuple(best),
        scores=tuple(float(scores[label]) for label in best),
    )
