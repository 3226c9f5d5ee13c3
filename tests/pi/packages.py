"""Which wheels a board needs, in the versions and with the hashes of requirements.lock."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from boards import GLIBC_MINOR, PYTHON, Board
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgevit.errors import CheckFailedError, InputError

REPOSITORY = Path(__file__).parents[2]
_LOCK = REPOSITORY / "requirements.lock"
# What a wheel is made of; it is made of copies, because setuptools writes beside its sources.
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "edgevit", "export", "calibration", "bench")
# PEP 600 names begin with glibc 2.17, before which there is no 64-bit Arm.
_FIRST_GLIBC_MINOR = 17


def requirements(board: Board) -> str:
    """Return what edgevit needs on a board, with hashes: the text of a requirements file.

    Raises:
        InputError: if the lock lacks one of them.
    """
    locked = _locked_blocks() | board.pins
    lines = []
    for name in _needed(board):
        if name not in locked:
            raise InputError(f"requirements.lock has no {name}", "Run make lock")
        lines.append(locked[name])
    return "\n".join(lines) + "\n"


def _locked_blocks() -> dict[str, str]:
    """Return each distribution's version and hashes."""
    blocks = re.split(r"\n(?=\S)", _LOCK.read_text(encoding="utf-8").strip())
    return {canonicalize_name(block.partition("==")[0]): block for block in blocks}


def _needed(board: Board) -> list[str]:
    """Follow the requirements of the packages installed here, with the markers of the board."""
    environment = default_environment() | {
        "platform_machine": board.machine,
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.0",
    }
    pending = [Requirement(f"edgevit[{','.join(board.extras)}]")]
    followed: dict[str, set[str]] = {}
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        known = followed.setdefault(name, set())
        new = {"", *requirement.extras} - known
        known |= new
        if not new or name in board.from_debian or name in board.pins:
            continue
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker is None or any(
                wanted.marker.evaluate({**environment, "extra": extra}) for extra in new
            ):
                pending.append(wanted)
    return sorted(set(followed) - {"edgevit", *board.from_debian})


def install_wheels(board: Board, requirements_text: str, target: Path) -> None:
    """Install wheels for a board into a folder; every file's hash is checked.

    Raises:
        CheckFailedError: if one cannot be had.
    """
    platforms = [
        f"manylinux_2_{minor}_{board.machine}"
        for minor in range(GLIBC_MINOR, _FIRST_GLIBC_MINOR - 1, -1)
    ]
    # Older wheels carry the older name.
    platforms.append(f"manylinux2014_{board.machine}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(requirements_text)
        file.flush()
        run(
            *(*_pip(), "install", "--target", str(target), "--no-deps", "--only-binary=:all:"),
            *("--require-hashes", "--requirement", file.name),
            *("--python-version", PYTHON, "--implementation", "cp"),
            *(argument for name in platforms for argument in ("--platform", name)),
        )


def build_wheel(folder: Path) -> Path:
    """Build edgevit's wheel from the working tree, which stays as it is.

    Raises:
        CheckFailedError: if it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="edgevit-source-") as name:
        for source in (REPOSITORY / entry for entry in _SOURCES):
            copy = Path(name) / source.name
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, copy)
        run(*_pip(), "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), name)
    return next(folder.glob("edgevit-*.whl"))


def install_wheel(wheel: Path, target: Path) -> None:
    """Install one pure wheel into a folder.

    Raises:
        CheckFailedError: if it cannot be installed.
    """
    run(*_pip(), "install", "--no-deps", "--target", str(target), str(wheel))


def _pip() -> tuple[str, ...]:
    """Return pip; of the Python below where the environment has none."""
    if importlib.util.find_spec("pip"):
        return (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    outside = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    inside = ("--python", sys.executable)
    return (str(outside), "-m", "pip", *inside, "--quiet", "--disable-pip-version-check")


def run(*command: str, folder: Path | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        CheckFailedError: if it fails; the message ends with the last lines of what it printed.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        raise CheckFailedError(
            f"{_shortened(command)} failed with exit code {done.returncode}:\n"
            f"{last_lines(done.stderr or done.stdout)}"
        )
    return done.stdout


def last_lines(text: str, count: int = 15) -> str:
    """Return the end of a text, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-count:])


def _shortened(command: Sequence[str], count: int = 4) -> str:
    more = " …" if len(command) > count else ""
    return " ".join((Path(command[0]).name, *command[1:count])) + more
