from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from edgevit.bench.remote.wheel import build_wheel
from edgevit.errors import InputError

INFO = "edgevit-9.9.dist-info"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An installed distribution, as pip leaves it."""
    root = tmp_path / "site-packages"
    files = {
        "edgevit/__init__.py": "VALUE = 'é'\n",
        "edgevit/bench/page.css": "body {}\n",
        "edgevit/__pycache__/__init__.cpython-311.pyc": "compiled",
        "../../bin/edgevit": "#!/usr/bin/python3\n",
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: edgevit\nVersion: 9.9\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\nedgevit = edgevit:VALUE.strip\n",
        f"{INFO}/INSTALLER": "pip\n",
        f"{INFO}/direct_url.json": '{"dir_info": {}, "url": "file:///source"}',
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    record = "".join(f"{name},,\n" for name in [*files, f"{INFO}/RECORD"])
    (root / INFO / "RECORD").write_text(record)
    return root


def distribution(root: Path) -> metadata.Distribution:
    return metadata.Distribution.at(root / INFO)


def test_build_wheel_gives_what_pip_installs_when_it_comes_from_an_installation(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    wheel = build_wheel(tmp_path / "out", distribution(installed))
    assert wheel.name == "edgevit-9.9-py3-none-any.whl"
    assert sorted(zipfile.ZipFile(wheel).namelist()) == [
        f"{INFO}/METADATA",
        f"{INFO}/RECORD",
        f"{INFO}/WHEEL",
        f"{INFO}/entry_points.txt",
        "edgevit/__init__.py",
        "edgevit/bench/page.css",
    ]
    target = tmp_path / "target"
    words = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([sys.executable, *words, str(wheel)], check=True)
    assert (target / "edgevit/__init__.py").read_text(encoding="utf-8") == "VALUE = 'é'\n"
    assert (target / "bin/edgevit").is_file()


def test_build_wheel_gives_the_same_bytes_when_the_files_are_the_same(
    installed: Path, tmp_path: Path
) -> None:
    wheel = build_wheel(tmp_path, distribution(installed))
    first = wheel.read_bytes()
    (installed / "edgevit/__init__.py").touch()
    assert build_wheel(tmp_path, distribution(installed)).read_bytes() == first
    (installed / "edgevit/__init__.py").write_text("VALUE = 'other'\n")
    assert build_wheel(tmp_path, distribution(installed)).read_bytes() != first


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("direct_url.json", '{"dir_info": {"editable": true}}', "in editable mode"),
        ("RECORD", "__editable__.edgevit-9.9.pth,,\n", "in editable mode"),
        ("WHEEL", "Tag: cp311-cp311-linux_x86_64\n", "no pure Python package"),
        ("RECORD", "edgevit/missing.py,,\n", "missing.py of edgevit cannot be read"),
        ("RECORD", "edgevit/__init__.py,,\n", "has no metadata"),
    ],
)
def test_build_wheel_refuses_when_the_installation_is_no_plain_one(
    installed: Path, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (installed / INFO / name).write_text(text)
    with pytest.raises(InputError, match=message):
        build_wheel(tmp_path, distribution(installed))
