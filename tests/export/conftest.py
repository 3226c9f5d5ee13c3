"""One run for all export tests: building it takes seconds, and nothing changes it."""

from __future__ import annotations

import pytest

from edgevit.data.dataset import Dataset
from edgevit.export.exporter import ExportJob, open_job
from edgevit.run import Run
from tests.export.runs import make_photos, make_run
from tests.export.small_graphs import RANDOM, START


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Dataset) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", photos)


@pytest.fixture(scope="session")
def job(run: Run) -> ExportJob:
    return open_job(run, None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    precisions = getattr(metafunc.cls, "precisions", None)
    if precisions and "precision" in metafunc.fixturenames:
        metafunc.parametrize("precision", precisions)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Draw the same numbers in each test, whatever ran before it."""
    RANDOM.bit_generator.state = START
