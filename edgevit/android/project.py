"""The Android project that a bundle is installed into."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgevit import console, storage
from edgevit.errors import CheckFailedError, InputError

_SETTINGS_FILE = "settings.gradle.kts"
_MANIFEST = Path("app/src/main/AndroidManifest.xml")
_ASSETS = Path("app/src/main/assets")
_BUILDER = Path("ci/build_apk.py")
# Names the project as ours, or a copy of it.
_MARK = "edgevit"


@dataclass(frozen=True)
class AndroidProject:
    """The Android demo's folder."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> AndroidProject:
        """Open the project.

        Raises:
            InputError: if the folder is not there or is another project.
        """
        remedy = "Give the folder android_demo of edgevit's repository, or a copy: --project DIR"
        if not root.is_dir():
            raise InputError(f"there is no Android project at {root}", remedy)
        for name in (Path(_SETTINGS_FILE), _MANIFEST):
            if not (root / name).is_file():
                raise InputError(f"{root} is not the Android demo: it has no {name}", remedy)
        settings = (root / _SETTINGS_FILE).read_text(encoding="utf-8", errors="replace")
        if _MARK not in settings or '":app"' not in settings:
            raise InputError(f"{root / _SETTINGS_FILE} is not that of the Android demo", remedy)
        return cls(root)

    @property
    def assets(self) -> Path:
        """Where the app's assets lie."""
        return self.root / _ASSETS

    def refuse_apk(self, out: Path, *, force: bool) -> None:
        """Refuse an APK that cannot be built or written, before anything is done.

        Raises:
            InputError: if this copy of the project has no builder, or ``out`` is a folder, lies in
                none, or exists without ``force``.
        """
        if not self._builder.is_file():
            raise InputError(
                f"{self._builder} is not there, so no APK can be built",
                "Leave out --apk and use Android Studio, or clone edgevit's repository",
            )
        if out.is_dir():
            raise InputError(f"{out} is a folder", "Give a file: --apk demo.apk")
        if out.exists() and not force:
            raise InputError(f"{out} exists already", "Choose another --apk, or add --force")
        if not storage.is_writable_folder(out.parent):
            raise InputError(f"{out.parent} is not a folder to write in", "Choose another --apk")

    def build_apk(self, out: Path) -> None:
        """Build the smoke APK with the installed assets.

        Args:
            out: The file to write.

        Raises:
            CheckFailedError: if a tool is missing or the build failed, in the builder's words.
        """
        with console.step(f"Building {out.name}"), storage.scratch_folder(out) as scratch:
            made = scratch / out.name
            words = [str(self._builder), "--assets", str(self.assets.resolve())]
            words += ["--out", str(made.resolve())]
            done = subprocess.run(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if done.returncode == 0 and made.is_file():
                made.replace(out)
                return
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
        reason = next((line for line in reversed(lines) if line), f"exit code {done.returncode}")
        raise CheckFailedError(
            f"the assets are installed, but {out} was not built ({reason.rstrip('.')})",
            "The project can be opened in Android Studio all the same",
        )

    @property
    def _builder(self) -> Path:
        return self.root / _BUILDER
