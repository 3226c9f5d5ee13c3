"""The files of an emulated board: Debian's packages and Python wheels, without being root.

``apt`` resolves and downloads with folders of its own, and checks signatures and hashes as always;
``dpkg-deb`` unpacks. No package is installed on this machine, and no maintainer script runs. QEMU
finds the root by its option ``-L``, so debootstrap, chroot and binfmt_misc are not needed.
"""

from __future__ import annotations

import compileall
import hashlib
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards import BOARDS, DEBIAN, PYTHON, Board
from packages import install_wheels, requirements, run

from edgevit import console, storage
from edgevit.errors import CheckFailedError, InputError

# Python and what wheels link to.
_DEBIAN_PACKAGES = ("python3", "libstdc++6", "libgomp1", "libatomic1")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_QEMU_PACKAGE = "qemu-user-static"
_INDEX = re.compile(r"'(\S+)/dists/([^/]+)/InRelease'")
# A mirror may be in the middle of an update.
_APT_TRIES = 3
# Not needed by edgevit, and half of the standard library's files.
_NOT_COMPILED = re.compile(r"/(test|lib2to3|idlelib|pydoc_data)/")


@dataclass(frozen=True)
class Root:
    """What a board has before edgevit is installed.

    Attributes:
        emulator: QEMU, a program of this machine.
        system: Debian's files and what the kernel would say.
        site: The wheels.
    """

    board: Board
    emulator: Path
    system: Path
    site: Path

    @property
    def python(self) -> Path:
        """The board's Python, which only runs in the emulator."""
        return self.system / f"usr/bin/python{PYTHON}"

    @property
    def site_folders(self) -> tuple[Path, ...]:
        """Where packages are imported from."""
        return (self.site, self.system / "usr/lib/python3/dist-packages")


def prepare_root(board: Board, cache: Path) -> Root:
    """Return a board's files, made where ``cache`` does not have them yet.

    Raises:
        InputError: if this machine is not one of Debian's.
        CheckFailedError: if something cannot be downloaded or unpacked.
    """
    emulators = cache / f"qemu-{_key(_QEMU_PACKAGE)}"
    if not emulators.is_dir():
        with console.step("Fetching QEMU"), _made(emulators) as folder:
            _fetch_emulators(folder)
    wanted = requirements(board)
    made_of = (board.debian_packages, board.links, board.files)
    files = cache / f"{board.name}-{_key(repr(made_of), wanted)}"
    if not files.is_dir():
        with console.step(f"Building the root of the {board.model}"), _made(files) as folder:
            _fill_system(board, folder / "system")
            install_wheels(board, wanted, folder / "site")
    return Root(board, emulators / board.emulator, files / "system", files / "site")


def _key(*what: str) -> str:
    """Return a short hash of what a folder is made from and by."""
    parts = (DEBIAN, Path(__file__).read_text(encoding="utf-8"), *what)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@contextmanager
def _made(target: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``target`` if all goes well, and is removed if not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with storage.scratch_folder(target) as folder:
        yield folder
        if not target.is_dir():  # another process may have been quicker
            folder.rename(target)


def _fill_system(board: Board, system: Path) -> None:
    system.mkdir()
    with _Apt(board.debian) as apt:
        for package in apt.download(*_DEBIAN_PACKAGES, *board.debian_packages):
            run("dpkg-deb", "--extract", str(package), str(system))
    for path, target in board.links.items():
        (system / path).symlink_to(target)
    for path, data in board.files.items():
        (system / path).parent.mkdir(parents=True, exist_ok=True)
        (system / path).write_bytes(data)
    # Maintainer scripts would do it. Only the same version writes what the other one reads.
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        compileall.compile_dir(system / "usr/lib", quiet=2, rx=_NOT_COMPILED)


def _fetch_emulators(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="edgevit-qemu-") as name, _Apt() as apt:
        for package in apt.download(_QEMU_PACKAGE):
            run("dpkg-deb", "--extract", str(package), name)
        for board in BOARDS.values():
            shutil.copy2(Path(name) / "usr/bin" / board.emulator, folder)


class _Apt:
    """apt for one architecture, with lists and packages in a folder that goes away.

    Args:
        architecture: Debian's name of it; this machine's own if none.

    Raises:
        InputError: if this machine is not one of Debian's.
    """

    def __init__(self, architecture: str | None = None) -> None:
        self._mirror = _debian_mirror()
        self._architecture = architecture or run("dpkg", "--print-architecture").strip()

    def __enter__(self) -> _Apt:
        self._scratch = tempfile.TemporaryDirectory(prefix="edgevit-apt-")
        self._folder = Path(self._scratch.name)
        for name in ("state/lists/partial", "cache/archives/partial"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "status").touch()
        (self._folder / "sources.list").write_text(
            f"deb [signed-by={_KEYRING}] {self._mirror} {DEBIAN} main\n", encoding="utf-8"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def download(self, *packages: str) -> list[Path]:
        """Download packages and all that they depend on."""
        for left in reversed(range(_APT_TRIES)):
            try:
                self._run("update", "--error-on=any")
                self._run("install", "--download-only", "--no-install-recommends", *packages)
                break
            except CheckFailedError:
                if not left:
                    raise
        return sorted((self._folder / "cache/archives").glob("*.deb"))

    def _run(self, *arguments: str) -> None:
        settings = {
            "APT::Architecture": self._architecture,
            "APT::Architectures": self._architecture,
            # The folder belongs to this user alone.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::Cache": str(self._folder / "cache"),
            "Dir::Etc::sourcelist": str(self._folder / "sources.list"),
            "Dir::Etc::sourceparts": "-",
            "Dir::State": str(self._folder / "state"),
            "Dir::State::status": str(self._folder / "status"),
        }
        options = [f"--option={name}={value}" for name, value in settings.items()]
        run("apt-get", "--quiet", "--yes", *options, *arguments)


def _debian_mirror() -> str:
    """Return the mirror that this machine takes its own packages from.

    Raises:
        InputError: if it takes none from Debian.
    """
    remedy = "Run make test-pi on Debian, or in a container of it"
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing or not _KEYRING.is_file():
        what = missing[0] if missing else str(_KEYRING)
        raise InputError(
            f"the emulated boards are made of Debian's packages, and {what} is not here", remedy
        )
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", DEBIAN)
    own = {release, DEBIAN, "stable", "oldstable", "testing"}
    for uri, suite in _INDEX.findall(run("apt-get", "update", "--print-uris")):
        if suite in own:
            return str(uri)
    raise InputError(f"apt's sources name no mirror of Debian with {release}", remedy)
