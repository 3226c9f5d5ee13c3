"""A real LiteRT delegate, compiled for a test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("delegate.c")
# The number of the op that the delegate can compute, in the TFLite schema.
SOFTMAX = 25


def compile_delegate(folder: Path, *defines: str) -> Path:
    """Compile ``delegate.c`` with ``-D`` settings; the test is skipped where there is no ``cc``."""
    if shutil.which("cc") is None:
        pytest.skip("NOT TESTED: LiteRT delegates, for want of a C compiler (cc)")
    library = folder / "libtest_delegate.so"
    settings = [f"-D{define}" for define in defines]
    command = ["cc", "-shared", "-fPIC", *settings, "-o", str(library), str(_SOURCE), "-lm"]
    subprocess.run(command, check=True, timeout=60)
    return library
