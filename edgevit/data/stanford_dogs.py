"""The official Stanford Dogs layout, http://vision.stanford.edu/aditya86/ImageNetDogs/.

``SRC/Images/n02085620-Chihuahua/*.jpg`` with ``train_list.mat`` and ``test_list.mat`` in ``SRC``
or ``SRC/lists``; or the published archives, ``SRC/images.tar`` and ``SRC/lists.tar``.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from edgevit.data.dataset import SkippedFile
from edgevit.data.folders import (
    Candidate,
    Listing,
    files_below,
    refuse_too_few_classes,
    skipped_file,
)
from edgevit.errors import InputError, MissingDependencyError

IMAGES_ARCHIVE = "images.tar"
LISTS_ARCHIVE = "lists.tar"
_IMAGES = "Images"
_WORDNET_PREFIX = re.compile(r"n\d{8}-")
_LISTS_REMEDY = "Download lists.tar of Stanford Dogs again"

OfficialSplit = Literal["train", "test"]


def find_lists(source: Path) -> Path | None:
    """Return the folder of the split lists, or ``None`` if this is no Stanford Dogs layout."""
    if not (source / _IMAGES).is_dir():
        return None
    for folder in (source, source / "lists"):
        if all((folder / _list_name(split)).is_file() for split in get_args(OfficialSplit)):
            return folder
    return None


def refuse_missing_lists(source: Path) -> None:
    """Refuse a download whose lists were left behind: ``Images`` is no class.

    Raises:
        InputError: if ``source`` holds the published ``Images`` and nothing else to classify.
    """
    folders = [path.name for path in source.iterdir() if path.is_dir()]
    images = source / _IMAGES
    if folders == [_IMAGES] and any(_WORDNET_PREFIX.match(path.name) for path in images.iterdir()):
        raise InputError(
            f"{source} holds Stanford Dogs' {_IMAGES}, but not {_list_name('train')} and "
            f"{_list_name('test')}",
            f"Put lists.tar's files beside it, or give {images} for a split of your own",
        )


def has_archives(source: Path) -> bool:
    """Tell whether ``source`` holds the published archives, not unpacked."""
    return all((source / name).is_file() for name in (IMAGES_ARCHIVE, LISTS_ARCHIVE))


def breed_name(folder_name: str) -> str:
    """Turn a folder's name into a breed's: ``n02085782-Japanese_spaniel`` → Japanese spaniel."""
    return _WORDNET_PREFIX.sub("", folder_name, count=1).replace("_", " ")


def list_official(source: Path, lists: Path) -> Listing:
    """List the photos with the published split; the labels follow the published order.

    Raises:
        InputError: if a list is damaged or names files outside ``Images``.
        MissingDependencyError: if SciPy, which reads the lists, is not installed.
    """
    splits: dict[str, OfficialSplit] = {}
    for split in get_args(OfficialSplit):
        for name in read_list(lists / _list_name(split)):
            splits[name] = split
    images = source / _IMAGES
    skipped = _unlisted(images, splits)
    # The published labels, 1 to 120, follow the order of the folders' names.
    folders = sorted({PurePosixPath(name).parts[0] for name in splits})
    labels = {folder: label for label, folder in enumerate(folders)}
    classes = _class_names(folders)
    refuse_too_few_classes(classes, source)
    candidates: list[Candidate] = []
    for name in sorted(splits):
        path = images / name
        if path.is_file():
            label = labels[PurePosixPath(name).parts[0]]
            candidates.append(Candidate(path, label, splits[name]))
        else:
            skipped.append(
                skipped_file(path, f"{_list_name(splits[name])} names it; it is missing")
            )
    return Listing(classes, tuple(candidates), tuple(skipped), has_official_split=True)


def read_list(path: Path) -> list[str]:
    """Return the ``file_list`` of a MATLAB 5 list: names relative to ``Images``.

    Raises:
        InputError: if the file is damaged or a name leads out of the folder.
        MissingDependencyError: if SciPy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise MissingDependencyError(
            f"reading {path} needs SciPy, which is not installed", "pip install 'edgevit[train]'"
        ) from None
    try:
        cells = loadmat(str(path))["file_list"].ravel()
        names = [str(cell.item() if hasattr(cell, "item") else cell) for cell in cells]
    except Exception as error:
        # SciPy raises many kinds of errors on damaged files.
        problem = f"{path} holds no list of files ({type(error).__name__}: {error})"
        raise InputError(problem, _LISTS_REMEDY) from error
    for name in names:
        parts = PurePosixPath(name).parts
        if len(parts) != 2 or ".." in parts or PurePosixPath(name).is_absolute():
            raise InputError(f"{path} names {name!r}, which is not CLASS/FILE", _LISTS_REMEDY)
    return names


def _list_name(split: OfficialSplit) -> str:
    return f"{split}_list.mat"


def _unlisted(images: Path, splits: dict[str, OfficialSplit]) -> list[SkippedFile]:
    skipped: list[SkippedFile] = []
    unlisted = [
        skipped_file(path, "the official lists do not name it")
        for path in files_below(images, skipped)
        if path.relative_to(images).as_posix() not in splits
    ]
    return skipped + unlisted


def _class_names(folders: list[str]) -> tuple[str, ...]:
    names = tuple(map(breed_name, folders))
    # Two WordNet numbers may share a word: then the folders' own names tell them apart.
    return names if len(set(names)) == len(names) else tuple(folders)
