"""Photos in one folder per class, and what every kind of source hands to ``prepare``."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgevit.data.dataset import SkippedFile
from edgevit.errors import InputError

_PHOTO_SUFFIXES = {
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm",
}  # fmt: skip

# What others call the parts of a set that they have split themselves.
_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}
_LAYOUT_REMEDY = "Give a folder that holds one folder of photos per class"


@dataclass(frozen=True)
class Candidate:
    """A file that may be a photo.

    Attributes:
        path: Where it is read.
        label: Index into the listing's classes.
        official: The split that its publisher gave it, if any.
    """

    path: Path
    label: int
    official: Literal["train", "test"] | None = None


@dataclass(frozen=True)
class Listing:
    """What a source holds, before any photo is read.

    Attributes:
        classes: Names in label order.
        candidates: Ordered by label, then by path.
        skipped: Files that are known to be of no use without reading them.
        has_official_split: Every candidate comes with its split.
    """

    classes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    skipped: tuple[SkippedFile, ...]
    has_official_split: bool = False


def list_folders(source: Path) -> Listing:
    """List the photos below ``source``, whose folders are the classes.

    Folders inside a class belong to the class. Hidden files and folders (names that begin with a
    dot) are passed over. Class names are the folders' names in Unicode's composed form, sorted.

    Raises:
        InputError: if there are fewer than two class folders, a class has an unprintable name, or
            the folders are splits and not classes.
    """
    skipped: list[SkippedFile] = []
    folders: dict[str, list[Path]] = {}
    for entry in visible_entries(source):
        if entry.is_dir():
            folders.setdefault(_class_name(entry), []).append(entry)
        elif entry.suffix.lower() in _PHOTO_SUFFIXES:
            skipped.append(skipped_file(entry, "it lies beside the class folders, not in one"))
    classes = tuple(sorted(folders))
    _refuse_splits(folders, source)
    refuse_too_few_classes(classes, source)
    candidates: list[Candidate] = []
    for label, name in enumerate(classes):
        for folder in folders[name]:
            paths = files_below(folder, skipped)
            candidates.extend(Candidate(path, label) for path in paths)
    return Listing(classes, tuple(candidates), tuple(skipped))


def refuse_too_few_classes(classes: tuple[str, ...], source: Path) -> None:
    """Raise :class:`InputError` unless there are two classes or more."""
    if not classes:
        raise InputError(f"{source} holds no class folders", _LAYOUT_REMEDY)
    if len(classes) == 1:
        raise InputError(
            f"{source} holds one class only, {classes[0]!r}; a classifier needs two", _LAYOUT_REMEDY
        )


def _refuse_splits(folders: dict[str, list[Path]], source: Path) -> None:
    """Refuse ``SOURCE/train/CLASS``, ``SOURCE/val/CLASS``: its classes lie one folder deeper."""
    if not folders or any(name.casefold() not in _SPLIT_NAMES for name in folders):
        return
    if not all(_holds_folders_only(folder) for paths in folders.values() for folder in paths):
        return
    names = sorted(folders)
    largest = next((name for name in names if name.casefold().startswith("train")), names[0])
    raise InputError(
        f"{source} looks split already: its folders are {', '.join(names)}",
        f"Give {source / largest}, which is then split anew, or merge the classes' folders of all "
        "into one folder and give that",
    )


def _holds_folders_only(folder: Path) -> bool:
    entries = visible_entries(folder)
    photos = any(entry.suffix.lower() in _PHOTO_SUFFIXES for entry in entries)
    return not photos and any(entry.is_dir() for entry in entries)


def visible_entries(folder: Path) -> list[Path]:
    """Return what lies in ``folder`` and is not hidden, by name.

    Raises:
        InputError: if the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror})", "Check the path") from None
    return [folder / name for name in names]


def files_below(
    folder: Path, skipped: list[SkippedFile], above: frozenset[Path] = frozenset()
) -> Iterator[Path]:
    """Yield the files in ``folder`` and its folders, by name; links are followed.

    Args:
        folder: Where to look.
        skipped: Takes up broken links, links that lead back to where they are, and names that
            are not UTF-8.
        above: The real folders that the search is in.
    """
    above = above | {folder.resolve()}
    for entry in visible_entries(folder):
        if printable(entry) != str(entry):
            skipped.append(skipped_file(entry, "its name is not valid UTF-8"))
        elif not _is_reachable(entry):
            skipped.append(skipped_file(entry, "it cannot be reached, or is a broken link"))
        elif not entry.is_dir():
            yield entry
        elif entry.resolve() in above:
            skipped.append(skipped_file(entry, "it is a link back to a folder that it is in"))
        else:
            yield from files_below(entry, skipped, above)


def skipped_file(path: Path, reason: str) -> SkippedFile:
    """Describe a file that is left out, by a path that any document can hold."""
    return SkippedFile(printable(path), reason)


def printable(path: Path) -> str:
    r"""Return the path as text, with bytes that are not UTF-8 written as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_reachable(entry: Path) -> bool:
    try:
        entry.stat()
    except (OSError, RuntimeError):
        # A missing target, a circle of links, or a folder that may not be entered.
        return False
    return True


def _class_name(folder: Path) -> str:
    name = unicodedata.normalize("NFC", folder.name)
    if not name.isprintable():
        raise InputError(
            f"the class folder {printable(folder)!r} has unprintable characters in its name",
            "Rename it",
        )
    return name
