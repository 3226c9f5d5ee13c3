"""The Android demo's core, compiled and tested on this machine's Java.

Its JUnit tests read tests/golden, which test_golden.py holds against Python.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgevit.android import assets
from tests.android import kotlin
from tests.conftest import save_photo


@pytest.fixture(scope="module")
def toolchain() -> kotlin.Toolchain:
    try:
        return kotlin.find_toolchain()
    except kotlin.MissingToolError as missing:
        said = f"NOT TESTED: the Android demo's core: {missing}"
        if kotlin.REQUIRED:
            pytest.fail(said)
        pytest.skip(said)


def test_core_equals_python_when_its_tests_run(toolchain: kotlin.Toolchain) -> None:
    printed = toolchain.run_tests(kotlin.compiled_core(toolchain))
    passed = re.search(r"^OK \((\d+) tests\)", printed, re.MULTILINE)
    assert passed is not None, printed[-2000:]
    # A class whose name does not end in Test would be left out in silence.
    assert int(passed[1]) == kotlin.test_count() >= 50


def test_core_reads_the_assets_when_a_bundle_was_installed(
    toolchain: kotlin.Toolchain, bundle: Path, tmp_path: Path
) -> None:
    photos = [save_photo(tmp_path / f"{i}.jpg", i, size=(90 + i, 61)) for i in range(4)]
    opened = assets.open_tflite_bundle(bundle)
    assets.install(assets.make_assets(opened, photos), tmp_path / "assets")
    option = f"-Dedgevit.assets={tmp_path / 'assets'}"
    classes = kotlin.compiled_core(toolchain)
    assert "OK (1 test)" in toolchain.run_tests(classes, option, pattern="InstalledAssetsTest")
    labels = tmp_path / "assets" / "labels.txt"
    labels.write_bytes(labels.read_bytes() + b"background\n")
    with pytest.raises(AssertionError, match=r"labels\.txt has 4 labels, model\.properties says 3"):
        toolchain.run_tests(classes, option, pattern="InstalledAssetsTest")


def test_core_needs_no_android_when_its_imports_are_read() -> None:
    sources = sorted((kotlin.CORE / "src").rglob("*.kt"))
    imports = [
        line
        for path in sources
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("import ")
    ]
    assert len(sources) >= 15
    assert not [
        line for line in imports if re.match(r"import (android|androidx|org\.json)\b", line)
    ]
    assert not [line for line in imports if line.endswith("*")]
