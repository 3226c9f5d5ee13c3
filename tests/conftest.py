"""Small real files that several rooms' tests use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.preprocessing import Preprocessing
from edgevit.run import Run

if TYPE_CHECKING:
    from tests.pages.browser import Browser

# Tests share helpers as `tests.…`. At the end of the path, so that the repository's edgevit/
# folder does not hide the installed package.
sys.path.append(str(Path(__file__).parents[1]))
os.environ["PYTHONSAFEPATH"] = "1"  # the same for the programs that tests start
# What edgevit does before it imports them: neither reports anything from a test run.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def save_photo(path: Path, seed: int = 0, size: tuple[int, int] = (40, 32)) -> Path:
    """Write a small photo whose bytes differ from seed to seed; size is (width, height)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, size=(4, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def save_classes(root: Path, counts: dict[str, int], suffix: str = ".jpg") -> Path:
    """Write a folder per class with that many photos, all different."""
    seed = 0
    for name, count in counts.items():
        for index in range(count):
            save_photo(root / name / f"{index:03}{suffix}", seed)
            seed += 1
    return root


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Two classes of ten photos each; one name has an accent, a comma and a space."""
    return save_classes(tmp_path / "photos", {"café, noir": 10, "zebra": 10})


@pytest.fixture
def tiny_preprocessing() -> Preprocessing:
    """16×16 pixels."""
    return Preprocessing(16, 16)


@pytest.fixture
def tiny_dataset(photo_folder: Path, tiny_preprocessing: Preprocessing, tmp_path: Path) -> Dataset:
    """The photo folder, prepared at 16×16: 14 train, 2 val and 4 test photos."""
    return prepare(photo_folder, tmp_path / "dataset", preprocessing=tiny_preprocessing)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Photos of three colours, for the run and the bundle below."""
    from tests.bench.standin import make_dataset

    return make_dataset(tmp_path / "data")


@pytest.fixture
def run(tmp_path: Path, dataset: Dataset) -> Run:
    """A run whose first test answer is wrong."""
    from tests.bench.standin import make_run

    return make_run(tmp_path / "runs" / "colours", dataset)


@pytest.fixture
def bundle(tmp_path: Path, run: Run) -> Path:
    """A TFLite bundle of that run."""
    from tests.bench.standin import make_bundle

    return make_bundle(tmp_path / "exports" / "colours.tflite.fp32", run)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; without one the tests that open a page are skipped."""
    from tests.pages.browser import chromium, find_chromium

    program = find_chromium()
    if program is None:
        pytest.skip(
            "NO PAGE WAS TRIED IN A BROWSER: no Chromium here. Install Debian's chromium, or name "
            "one in the variable CHROMIUM"
        )
    with chromium(program, tmp_path_factory.mktemp("profile")) as started:
        yield started
