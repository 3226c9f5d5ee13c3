"""Runs `edgevit android install`, and reads what it wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevit.bundle import Bundle, write_bundle
from edgevit.cli.main import main

Said = pytest.CaptureFixture[str]


def installed(project: Path) -> Path:
    return project / "app/src/main/assets"


def install(bundle: Path, project: Path, *options: str | Path) -> int:
    words = ["android", "install", str(bundle), "--project", str(project), *map(str, options)]
    return main(words)


def refusal(capsys: Said, bundle: Path, project: Path, *options: str | Path, code: int = 2) -> str:
    """Return the one line that an install which must fail says."""
    before = contents(project)
    assert install(bundle, project, *options) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if "edgevit: error: " in line]
    assert len(lines) == 1
    if code == 2:
        assert contents(project) == before, "a refused install changes nothing"
    return lines[0].removeprefix("edgevit: error: ")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def properties(path: Path) -> dict[str, str]:
    """Read properties without escapes; Java's own reading is tested by the core."""
    lines = path.read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def with_record(bundle: Path, **changes: object) -> Path:
    """Change the bundle's record as a careless hand would."""
    record = Bundle.load(bundle).record
    write_bundle(bundle, replace(record, **changes))  # type: ignore[arg-type]
    return bundle
