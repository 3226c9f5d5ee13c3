"""A copy of what `edgevit android install` looks for in the Android demo."""

from __future__ import annotations

from pathlib import Path

_SETTINGS = 'rootProject.name = "edgevit-demo"\ninclude(":core", ":app")\n'

# Stands in for the project's builder, which takes minutes: it copies what it was asked to pack.
BUILDER = """
import argparse, pathlib, zipfile
parser = argparse.ArgumentParser()
parser.add_argument("--assets", type=pathlib.Path, required=True)
parser.add_argument("--out", type=pathlib.Path, required=True)
arguments = parser.parse_args()
with zipfile.ZipFile(arguments.out, "w") as apk:
    for path in sorted(arguments.assets.rglob("*")):
        if path.is_file():
            apk.write(path, path.relative_to(arguments.assets))
"""
MISSING_TOOL = """
import sys
print("compiling")
print("edgevit: error: aapt2 is not installed. apt-get install aapt", file=sys.stderr)
sys.exit(2)
"""


def make_project(root: Path, builder: str | None = None) -> Path:
    """Write the files by which a project is known; returns its folder."""
    manifest = root / "app/src/main/AndroidManifest.xml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("<manifest/>\n", encoding="utf-8")
    (root / "settings.gradle.kts").write_text(_SETTINGS, encoding="utf-8")
    if builder is not None:
        (root / "ci").mkdir()
        (root / "ci/build_apk.py").write_text(builder, encoding="utf-8")
    return root
