"""The pixel cache of one image geometry: decoded once, then read through memory maps.

``cache/GEOMETRY/`` holds ``cache.json`` and one ``SPLIT.npy`` per split, ``uint8 [n, height,
width, 3]``. A cache is only ever a copy of the photos: one that does not fit its data set, or was
changed, is built again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from edgevit import documents
from edgevit.data.rows import RowFile, in_parallel
from edgevit.errors import InputError, UnreadableImageError
from edgevit.preprocessing import Pixels, Preprocessing, decode
from edgevit.storage import (
    FileRecord,
    folder_in_one_piece,
    record_of,
    sha256_of_bytes,
    sha256_of_file,
)

CACHE_FOLDER = "cache"
CACHE_FILE = "cache.json"
KIND = "edgevit.cache"
SCHEMA_VERSION = 1

# Photos are read whole; a larger file is no photo.
MAX_FILE_BYTES = 512 * 1024**2


@dataclass(frozen=True)
class CacheRecord:
    """The body of ``cache.json``.

    Attributes:
        geometry: Name of the image geometry, which shapes the pixels.
        photos_sha256: Of the ``photos.csv`` that the rows follow.
        files: Hashes of the arrays.
    """

    geometry: str
    photos_sha256: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class PhotoFile:
    """A photo to be cached: where it lies and the SHA-256 that its bytes must have."""

    path: Path
    sha256: str


def cache_folder(root: Path, preprocessing: Preprocessing) -> Path:
    """Return where a data set keeps its cache of that geometry."""
    return root / CACHE_FOLDER / preprocessing.geometry


def array_name(split: str) -> str:
    """Return the file name of a split's pixels."""
    return f"{split}.npy"


def read_bytes(path: Path) -> bytes:
    """Read a photo's file.

    Raises:
        UnreadableImageError: if it is no ordinary file, is empty or is too large.
        OSError: if it cannot be read.
    """
    if not path.is_file():
        raise UnreadableImageError("it is not an ordinary file")
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        raise UnreadableImageError(f"it has {size_bytes} bytes, at most {MAX_FILE_BYTES} are read")
    return path.read_bytes()


def write_record(folder: Path, preprocessing: Preprocessing, photos_sha256: str) -> None:
    """Describe the arrays in ``folder``, which makes it a cache."""
    files = {path.name: record_of(path) for path in sorted(folder.glob("*.npy"))}
    record = CacheRecord(preprocessing.geometry, photos_sha256, files)
    documents.write(folder / CACHE_FILE, KIND, SCHEMA_VERSION, record)


def open_rows(
    folder: Path,
    split: str,
    counts: Mapping[str, int],
    preprocessing: Preprocessing,
    photos_sha256: str,
) -> Pixels | None:
    """Memory-map the pixels of one split, read-only: ``uint8 [n, height, width, 3]``.

    Args:
        folder: Of the cache.
        split: Which pixels.
        counts: The number of photos of every split that the cache must hold.
        preprocessing: The geometry that they must have.
        photos_sha256: Of the ``photos.csv`` that they must follow.

    Returns:
        ``None`` if ``folder`` is no whole cache of these photos in this geometry, or the split's
        array is not what was recorded.
    """
    record = _usable_record(folder, counts, preprocessing, photos_sha256)
    if record is None:
        return None
    name = array_name(split)
    if _sha256_of_unchanged(folder / name) != record.files[name].sha256:
        return None
    shape = (counts[split], preprocessing.height, preprocessing.width, 3)
    return _mapped(folder / name, shape)


def _usable_record(
    folder: Path, splits: Iterable[str], preprocessing: Preprocessing, photos_sha256: str
) -> CacheRecord | None:
    """Return what ``cache.json`` says if it fits and the arrays have the recorded sizes."""
    try:
        record = documents.read(folder / CACHE_FILE, KIND, SCHEMA_VERSION, CacheRecord)
    except InputError:
        return None
    if (record.geometry, record.photos_sha256) != (preprocessing.geometry, photos_sha256):
        return None
    if set(record.files) != set(map(array_name, splits)):
        return None
    for name, file in record.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            return None
    return record


def _sha256_of_unchanged(path: Path) -> str:
    """Hash a file once per process, for as long as its size and time stay as they are."""
    status = path.stat()
    return _cached_sha256(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _cached_sha256(path: Path, mtime_ns: int, size_bytes: int) -> str:
    return sha256_of_file(path)


def _mapped(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    try:
        pixels: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        fits = pixels.dtype == np.uint8 and pixels.shape == shape
    except Exception:
        # On damaged headers NumPy raises ValueError, EOFError, SyntaxError, TokenError,
        # BadZipFile, OverflowError, MemoryError …; an archive has no dtype.
        return None
    return pixels if fits else None


def build(
    folder: Path,
    splits: Mapping[str, Sequence[PhotoFile]],
    preprocessing: Preprocessing,
    photos_sha256: str,
    remedy: str,
) -> None:
    """Decode every photo into a new cache at ``folder``, which appears in one piece.

    Raises:
        InputError: naming the first photo that is gone, was changed or cannot be read.
    """
    row_shape = (preprocessing.height, preprocessing.width, 3)
    with folder_in_one_piece(folder, force=True) as temporary:
        with ExitStack() as stack:
            jobs: list[tuple[PhotoFile, RowFile, int]] = []
            for split, photos in splits.items():
                path = temporary / array_name(split)
                rows = stack.enter_context(RowFile(path, len(photos), row_shape))
                jobs.extend((photo, rows, index) for index, photo in enumerate(photos))

            def decode_one(job: tuple[PhotoFile, RowFile, int]) -> None:
                photo, rows, index = job
                rows.write(index, _unchanged_pixels(photo, preprocessing, remedy))

            description = f"Decoding photos at {preprocessing.height}×{preprocessing.width}"
            for _ in in_parallel(decode_one, jobs, description):
                pass
        write_record(temporary, preprocessing, photos_sha256)


def _unchanged_pixels(photo: PhotoFile, preprocessing: Preprocessing, remedy: str) -> Pixels:
    try:
        data = read_bytes(photo.path)
    except OSError as error:
        raise InputError(f"{photo.path} cannot be read ({error.strerror})", remedy) from None
    except UnreadableImageError:
        raise InputError(f"the photo {photo.path} is gone", remedy) from None
    if sha256_of_bytes(data) != photo.sha256:
        raise InputError(f"the photo {photo.path} was changed after `data prepare`", remedy)
    return preprocessing.fit(decode(data, name=str(photo.path)))
