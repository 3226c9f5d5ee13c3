from __future__ import annotations

from pathlib import Path

import pytest
import root
from boards import PI_2, PI_5, Board
from packages import requirements


def pinned(board: Board) -> list[str]:
    """Return the names of a requirements file's distributions; every one must have a hash."""
    blocks = requirements(board).replace(" \\\n", " ").strip().splitlines()
    assert all(" --hash=sha256:" in block for block in blocks)
    return [block.partition("==")[0] for block in blocks]


def test_requirements_name_every_runtime_when_the_board_has_64_bits() -> None:
    names = pinned(PI_5)
    assert {"ai-edge-litert", "onnxruntime", "openvino", "numpy", "pillow", "click"} <= set(names)
    assert not {"tflite-runtime", "tensorflow", "edgevit"} & set(names)


def test_requirements_leave_out_what_debian_brings_when_the_board_has_32_bits() -> None:
    names = pinned(PI_2)
    assert {"tflite-runtime", "click", "rich"} <= set(names)
    assert not {"ai-edge-litert", "onnxruntime", "numpy", "pillow", "psutil"} & set(names)


def test_cache_keeps_nothing_when_a_build_fails(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "pi5-0"

    def build() -> None:
        with root._made(target) as folder:
            (folder / "system").mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert list(target.parent.iterdir()) == []


def test_cache_gets_the_whole_folder_when_a_build_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "pi5-0"
    with root._made(target) as folder:
        (folder / "system").mkdir()
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["pi5-0"]
    assert (target / "system").is_dir()
