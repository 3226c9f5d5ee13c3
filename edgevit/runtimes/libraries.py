"""Shared libraries that bring an accelerator: found and looked at without being loaded.

Loading one runs its code, which may end the process; that is left to the process of one row.
"""

from __future__ import annotations

import mmap
import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from edgevit.errors import InputError

# The first bytes of ELF, Mach-O (64-bit, universal) and Windows libraries.
_MAGICS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ")
_FOLDERS = ("/usr/local/lib", "/usr/lib", "/lib", "/usr/lib64", "/vendor/lib64", "/vendor/lib")


def library_folders() -> tuple[Path, ...]:
    """Return where the loader looks for libraries, as far as that is the usual places."""
    named = [part for part in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if part]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    below = [f"{folder}/{multiarch}" for folder in _FOLDERS[:3]] if multiarch else []
    return tuple(Path(folder) for folder in (*named, *below, *_FOLDERS))


def find_libraries(names: Sequence[str]) -> tuple[Path, ...]:
    """Return the first file of each name in :func:`library_folders`; names without one are left."""
    found = []
    for name in names:
        paths = (folder / name for folder in library_folders())
        found += [path for path in paths if path.is_file()][:1]
    return tuple(found)


def exports(path: Path, symbol: str) -> bool:
    """Say whether a library names a symbol; False where there is no readable file."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return data.find(symbol.encode()) >= 0
    except (OSError, ValueError):  # a ValueError is an empty file
        return False


def require_library(path: Path, symbol: str, purpose: str) -> None:
    """Check that a file is a library with the symbol that a runtime calls first.

    Args:
        path: The library.
        symbol: Such as ``tflite_plugin_create_delegate``.
        purpose: What it should be, for the error: ``a LiteRT delegate``.

    Raises:
        InputError: if the file is missing, no shared library, or lacks the symbol.
    """
    remedy = f"Give --delegate the file of {purpose}, as its maker installs it"
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"the delegate {path} {found}", remedy)
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"the delegate {path} cannot be read ({error.strerror})", remedy) from None
    if not head.startswith(_MAGICS):
        raise InputError(f"the delegate {path} is no shared library", remedy)
    if not exports(path, symbol):
        raise InputError(f"the library {path} is not {purpose}: it has no {symbol}", remedy)
