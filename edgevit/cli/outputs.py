"""Where a command that makes a page writes it."""

from __future__ import annotations

from pathlib import Path


def files_to_write(out: Path, markdown: Path | None, *, force: bool) -> list[Path]:
    """Return the files of ``--out`` and ``--markdown``.

    Raises:
        InputError: if they are one file, one is a folder, or one is there already and not forced.
    """
    from edgevit.errors import InputError

    wanted = [path for path in (out, markdown) if path is not None]
    if markdown is not None and out.resolve() == markdown.resolve():
        raise InputError(f"--out and --markdown are both {out}", "Give them different names")
    for path in wanted:
        if path.is_dir():
            raise InputError(f"{path} is a folder", "Name a file in it")
        if path.exists() and not force:
            raise InputError(f"{path} exists already", "Choose another name, or add --force")
    return wanted
