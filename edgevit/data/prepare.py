"""From a folder or archive of photos to a :class:`~edgevit.data.dataset.Dataset` on disk."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevit import documents, storage
from edgevit.data import archives, cache, splits, stanford_dogs
from edgevit.data.dataset import (
    DATASET_FILE,
    KIND,
    PHOTOS_FILE,
    SCHEMA_VERSION,
    SPLITS,
    Dataset,
    DatasetRecord,
    Photo,
    SkippedFile,
    SplitName,
    render_photos,
)
from edgevit.data.folders import Candidate, Listing, list_folders, skipped_file, visible_entries
from edgevit.data.rows import RowFile, in_parallel
from edgevit.errors import InputError, UnreadableImageError
from edgevit.preprocessing import Preprocessing, decode

DEFAULT_VAL_SHARE = 0.1
DEFAULT_TEST_SHARE = 0.2

# Where photos of an archive are kept, within the data set.
UNPACKED_FOLDER = "photos"
_UNSORTED_ARRAY = "unsorted.npy"


@dataclass(frozen=True)
class _Read:
    """A candidate that was read: its hash, or the reason why it is of no use."""

    candidate: Candidate
    row: int
    sha256: str
    problem: str | None


def prepare(
    source: Path,
    out: Path,
    *,
    preprocessing: Preprocessing,
    val_share: float = DEFAULT_VAL_SHARE,
    test_share: float | None = None,
    seed: int = 0,
    force: bool = False,
) -> Dataset:
    """Check, split and cache the photos of ``source``; ``out`` appears in one piece.

    Photos that cannot be used are recorded with the reason and left out. Of identical files one
    is kept, so that no photo is in two splits.

    Args:
        source: A folder with a folder per class, the official Stanford Dogs layout, or a tar file
            of either, which is unpacked into ``out``.
        out: The data set's folder.
        preprocessing: Its geometry is the one that is cached.
        val_share: Share of each class that validates, 0–1.
        test_share: Share of each class that tests, 0–1; by default 0.2, or the official test list.
        seed: Of the split.
        force: Replace a data set that is in ``out`` already.

    Raises:
        InputError: if the source is missing, holds fewer than two classes, or a class holds no
            usable photo; if ``out`` may not be replaced; if a share is out of range.
    """
    splits.check_shares(val_share, 0.0 if test_share is None else test_share)
    _refuse_places(source, out, force=force)
    with storage.folder_in_one_piece(out, force=force, marker=DATASET_FILE) as folder:
        listing = _list_source(source, folder)
        if listing.has_official_split and test_share is not None:
            raise InputError(
                f"--test-share {test_share} was given, but {source} brings its own test list",
                "Leave --test-share out",
            )
        kept, skipped = _read_all(folder, listing, preprocessing)
        chosen = _split(kept, listing, val_share, test_share, seed)
        photos = [_photo(read, chosen[read.sha256], folder) for read in kept]
        _write_arrays(folder, kept, photos, preprocessing)
        photos.sort(key=_split_order)
        photos_csv = render_photos(photos, listing.classes)
        storage.write_atomically(folder / PHOTOS_FILE, photos_csv)
        record = DatasetRecord(
            classes=listing.classes,
            source=str(source.resolve()),
            split_rule=_describe_split(listing, val_share, test_share),
            seed=seed,
            skipped=_relative_skipped((*listing.skipped, *skipped), folder),
            files={PHOTOS_FILE: storage.record_of(folder / PHOTOS_FILE)},
        )
        documents.write(folder / DATASET_FILE, KIND, SCHEMA_VERSION, record)
        photos_sha256 = record.files[PHOTOS_FILE].sha256
        cache.write_record(cache.cache_folder(folder, preprocessing), preprocessing, photos_sha256)
    return Dataset.load(out)


def _refuse_places(source: Path, out: Path, *, force: bool) -> None:
    if not source.exists():
        raise InputError(f"{source} does not exist", "Check the path")
    if not (source.is_dir() or archives.is_archive(source)):
        raise InputError(
            f"{source} is neither a folder nor a tar archive", "Unpack it and give the folder"
        )
    if all((source / name).is_file() for name in (DATASET_FILE, PHOTOS_FILE)):
        raise InputError(
            f"{source} is prepared already: it holds {DATASET_FILE}",
            f"Train on it: edgevit train vit-tiny --data {shlex.quote(str(source))}",
        )
    storage.refuse_place(out)
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise InputError(
            f"--out {out} and the photos in {source} lie within each other",
            "Choose an --out outside of the photos",
        )
    storage.refuse_existing(out, force=force, marker=DATASET_FILE)


def _list_source(source: Path, folder: Path) -> Listing:
    """Find the photos, unpacking archives into ``folder`` first."""
    unpacked = folder / UNPACKED_FOLDER
    if source.is_file():
        unpacked.mkdir()
        archives.unpack(source, unpacked)
        return _list_unpacked(_without_wrapper(unpacked), unpacked, source)
    if stanford_dogs.find_lists(source) is None and stanford_dogs.has_archives(source):
        unpacked.mkdir()
        for name in (stanford_dogs.IMAGES_ARCHIVE, stanford_dogs.LISTS_ARCHIVE):
            archives.unpack(source / name, unpacked)
        return _list_unpacked(unpacked, unpacked, source)
    return _list_folder(source.resolve())


def _list_unpacked(folder: Path, unpacked: Path, source: Path) -> Listing:
    """List unpacked photos; errors name the archive, as the unpacked files are then removed."""
    try:
        return _list_folder(folder)
    except InputError as error:
        here, there = str(unpacked), str(source)
        remedy = None if error.remedy is None else error.remedy.replace(here, there)
        raise InputError(error.problem.replace(here, there), remedy) from None


def _list_folder(source: Path) -> Listing:
    lists = stanford_dogs.find_lists(source)
    if lists is not None:
        return stanford_dogs.list_official(source, lists)
    stanford_dogs.refuse_missing_lists(source)
    return list_folders(source)


def _without_wrapper(folder: Path) -> Path:
    """Step into an only folder that holds folders, as archives usually have one around all."""
    entries = visible_entries(folder)
    if len(entries) == 1 and entries[0].is_dir():
        inner = visible_entries(entries[0])
        if any(entry.is_dir() for entry in inner):
            return _without_wrapper(entries[0])
    return folder


def _read_all(
    folder: Path, listing: Listing, preprocessing: Preprocessing
) -> tuple[list[_Read], list[SkippedFile]]:
    """Read every candidate once: hash it, decode it, and keep its pixels in ``folder``."""
    array = folder / _UNSORTED_ARRAY
    row_shape = (preprocessing.height, preprocessing.width, 3)
    with RowFile(array, len(listing.candidates), row_shape) as rows:

        def read(job: tuple[int, Candidate]) -> _Read:
            return _read_one(job[1], job[0], rows, preprocessing)

        jobs = list(enumerate(listing.candidates))
        reads = list(in_parallel(read, jobs, "Reading photos"))
    return _usable(reads, listing.classes)


def _read_one(candidate: Candidate, row: int, rows: RowFile, preprocessing: Preprocessing) -> _Read:
    sha256 = ""
    try:
        data = cache.read_bytes(candidate.path)
        sha256 = storage.sha256_of_bytes(data)
        pixels = preprocessing.fit(decode(data, name="it"))
    except UnreadableImageError as error:
        return _Read(candidate, row, sha256, error.problem)
    except OSError as error:
        return _Read(candidate, row, sha256, f"it cannot be read ({error.strerror})")
    rows.write(row, pixels)
    return _Read(candidate, row, sha256, None)


def _usable(
    reads: Sequence[_Read], classes: tuple[str, ...]
) -> tuple[list[_Read], list[SkippedFile]]:
    """Sort out what cannot be used, and all but one of identical files.

    Raises:
        InputError: naming a class that nothing is left of.
    """
    skipped: list[SkippedFile] = []
    kept: dict[str, _Read] = {}
    # Of twins in two official splits the test photo stays.
    for read in sorted(reads, key=lambda read: read.candidate.official != "test"):
        twin = kept.get(read.sha256)
        if read.problem is not None:
            skipped.append(skipped_file(read.candidate.path, read.problem))
        elif twin is not None:
            skipped.append(skipped_file(read.candidate.path, _twin_reason(read, twin, classes)))
        else:
            kept[read.sha256] = read
    labels = {read.candidate.label for read in kept.values()}
    for label, name in enumerate(classes):
        if label not in labels:
            raise InputError(f"the class {name!r} holds no usable photo", _empty_remedy(skipped))
    return sorted(kept.values(), key=lambda read: read.row), skipped


def _twin_reason(read: _Read, twin: _Read, classes: tuple[str, ...]) -> str:
    if read.candidate.label == twin.candidate.label:
        return f"it is identical to {twin.candidate.path}"
    twin_class = classes[twin.candidate.label]
    return f"it is identical to {twin.candidate.path}, which is in the class {twin_class!r}"


def _empty_remedy(skipped: Sequence[SkippedFile]) -> str:
    remedy = "Add photos to its folder, or remove the folder"
    if not skipped:
        return remedy
    return f"{remedy}. {len(skipped)} files were skipped; {skipped[0].path}: {skipped[0].reason}"


def _split(
    reads: Sequence[_Read],
    listing: Listing,
    val_share: float,
    test_share: float | None,
    seed: int,
) -> dict[str, SplitName]:
    by_label: dict[int, list[_Read]] = defaultdict(list)
    for read in reads:
        by_label[read.candidate.label].append(read)
    chosen: dict[str, SplitName] = {}
    for label, members in by_label.items():
        if not listing.has_official_split:
            hashes = [read.sha256 for read in members]
            share = DEFAULT_TEST_SHARE if test_share is None else test_share
            chosen |= splits.assign(hashes, val_share=val_share, test_share=share, seed=seed)
            continue
        official = {read.sha256: read.candidate.official or "train" for read in members}
        if "train" not in official.values():
            raise InputError(
                f"the class {listing.classes[label]!r} holds no usable training photo",
                "Add the photos that train_list.mat names",
            )
        chosen |= splits.assign_official(official, val_share=val_share, seed=seed)
    return chosen


def _describe_split(listing: Listing, val_share: float, test_share: float | None) -> str:
    if listing.has_official_split:
        return splits.describe(val_share, None)
    return splits.describe(val_share, DEFAULT_TEST_SHARE if test_share is None else test_share)


def _photo(read: _Read, split: SplitName, folder: Path) -> Photo:
    path = _relative(read.candidate.path, folder)
    return Photo(read.sha256, split, read.candidate.label, path)


def _relative(path: Path, folder: Path) -> str:
    """Return the path within the data set for an unpacked photo, else the absolute path."""
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return str(path)


def _relative_skipped(skipped: Sequence[SkippedFile], folder: Path) -> tuple[SkippedFile, ...]:
    """Name unpacked files by where they are once ``folder`` has its final name."""
    prefix = f"{folder}/"
    return tuple(
        SkippedFile(item.path.removeprefix(prefix), item.reason.replace(prefix, ""))
        for item in skipped
    )


def _split_order(photo: Photo) -> int:
    return SPLITS.index(photo.split)


def _write_arrays(
    folder: Path, reads: Sequence[_Read], photos: Sequence[Photo], preprocessing: Preprocessing
) -> None:
    """Copy the rows of the usable photos into one array per split."""
    unsorted = np.load(folder / _UNSORTED_ARRAY, mmap_mode="r", allow_pickle=False)
    target = cache.cache_folder(folder, preprocessing)
    target.mkdir(parents=True)
    for split in SPLITS:
        members = [
            read.row for read, photo in zip(reads, photos, strict=True) if photo.split == split
        ]
        with RowFile(target / cache.array_name(split), len(members), unsorted.shape[1:]) as rows:
            for index, row in enumerate(members):
                rows.write(index, unsorted[row])
    (folder / _UNSORTED_ARRAY).unlink()
