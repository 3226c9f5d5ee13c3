from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.bench.protocol import Protocol
from edgevit.data.dataset import Dataset
from edgevit.run import Run
from tests.bench.standin import make_bundle, make_dataset, make_run


@pytest.fixture
def tiny() -> Protocol:
    return Protocol("tiny", False, 20, 0.0, 2, 0.0, 0.0)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def run(tmp_path: Path, dataset: Dataset) -> Run:
    return make_run(tmp_path / "runs" / "colours", dataset)


@pytest.fixture
def bundle(tmp_path: Path, run: Run) -> Path:
    return make_bundle(tmp_path / "exports" / "colours.tflite.fp32", run)
