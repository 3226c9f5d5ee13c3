"""A Python environment of an emulated board, as a program that this machine can start.

QEMU hands what a program starts to this machine's kernel, which cannot run Arm files. So the
board's Python must name a program that can run here as its own: ``bin/python`` is a shell script
that starts QEMU, and is passed on as the name that Python was started by. Python then takes its
folder for a virtual environment (``pyvenv.cfg`` lies above it) and ``sys.executable`` is the
script: the processes that a benchmark starts are emulated as well.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boards import PYTHON
from packages import install_wheel, last_lines
from root import Root

from edgevit.errors import CheckFailedError

# Not this machine's settings of Python, which may name packages of another processor.
_LEFT_OUT = "PYTHON"
_NICENESS = "10"


@dataclass(frozen=True)
class Environment:
    """A Python with edgevit on an emulated board.

    Attributes:
        root: The board's files.
        folder: Of the environment.
    """

    root: Root
    folder: Path

    @property
    def python(self) -> Path:
        """The program."""
        return self.folder / "bin/python"


def make_environment(root: Root, folder: Path, wheel: Path) -> Environment:
    """Make an environment with edgevit's wheel.

    Raises:
        CheckFailedError: if the wheel cannot be installed.
    """
    environment = Environment(root, folder.absolute())
    site = environment.folder / f"lib/python{PYTHON}/site-packages"
    site.mkdir(parents=True)
    install_wheel(wheel, site)
    lines = [str(path.absolute()) for path in root.site_folders]
    for module, text in root.board.start_up.items():
        (site / f"{module}.py").write_text(text, encoding="utf-8")
        lines.append(f"import {module}")
    (site / "board.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (environment.folder / "pyvenv.cfg").write_text(
        f"home = {root.python.absolute().parent}\ninclude-system-site-packages = false\n",
        encoding="utf-8",
    )
    environment.python.parent.mkdir()
    environment.python.write_text(_script(environment), encoding="utf-8")
    environment.python.chmod(0o755)
    return environment


def _script(environment: Environment) -> str:
    root = environment.root
    command = [
        str(root.emulator.absolute()),
        *("-cpu", root.board.cpu),
        *("-0", str(environment.python)),
        *("-L", str(root.system.absolute())),
        str(root.python.absolute()),
    ]
    return f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'


def run_python(
    python: Path,
    *arguments: str,
    folder: Path,
    log: Path,
    timeout_seconds: float,
    accepted_codes: tuple[int, ...] = (0,),
) -> str:
    """Run a Python, emulated or not, and return what it prints on standard output.

    Args:
        python: The program.
        arguments: What it is given.
        folder: Where it runs; not the repository, whose folders would hide the installed package.
        log: Takes the command, both outputs and the exit code, at its end.
        timeout_seconds: Emulators can hang.
        accepted_codes: Exit codes that are no failure.

    Raises:
        CheckFailedError: if it fails or takes too long.
    """
    command = ["nice", "-n", _NICENESS, str(python), *arguments]
    shown = shlex.join([python.name, *arguments])
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_clean(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckFailedError(f"{shown} took longer than {timeout_seconds:g} s") from None
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {shown}\n{done.stdout}{done.stderr}exit code {done.returncode}\n\n")
    if done.returncode not in accepted_codes:
        raise CheckFailedError(
            f"{shown} failed with exit code {done.returncode}:\n{last_lines(done.stderr)}"
        )
    return done.stdout


def _clean(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's variables without those for another Python."""
    kept = {name: value for name, value in variables.items() if not name.startswith(_LEFT_OUT)}
    return kept | {"LC_ALL": "C.UTF-8", "COLUMNS": "200"}
