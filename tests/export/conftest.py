"""One run for all export tests: building it takes seconds, and nothing changes it."""

from __future__ import annotations

import pytest

from edgevit.data.dataset import Dataset
from edgevit.export.job import ExportJob, open_job
from edgevit.run import Run
from tests.export.harder_runs import make_tinted_photos, taught_job, with_bad_layer
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


@pytest.fixture(scope="session")
def tinted_photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_tinted_photos(tmp_path_factory.mktemp("tinted"))


@pytest.fixture(scope="session")
def good_job(
    tmp_path_factory: pytest.TempPathFactory, run: Run, tinted_photos: Dataset
) -> ExportJob:
    """A run that knows its photos, and that eight bits do not harm."""
    root = tmp_path_factory.mktemp("runs") / "good"
    return taught_job(root, run, tinted_photos, run.weights())


@pytest.fixture(scope="session")
def bad_job(
    tmp_path_factory: pytest.TempPathFactory, run: Run, tinted_photos: Dataset
) -> ExportJob:
    """The same with one layer that must not be rounded, ``block_1/mlp_2``."""
    root = tmp_path_factory.mktemp("runs") / "bad"
    return taught_job(root, run, tinted_photos, with_bad_layer(run.weights(), 1))


@pytest.fixture(scope="session")
def worse_job(
    tmp_path_factory: pytest.TempPathFactory, run: Run, tinted_photos: Dataset
) -> ExportJob:
    """The same with two such layers, ``block_1/mlp_2`` and ``block_2/mlp_2``."""
    root = tmp_path_factory.mktemp("runs") / "worse"
    weights = with_bad_layer(with_bad_layer(run.weights(), 1), 2)
    return taught_job(root, run, tinted_photos, weights)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    precisions = getattr(metafunc.cls, "precisions", None)
    if precisions and "precision" in metafunc.fixturenames:
        metafunc.parametrize("precision", precisions)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Draw the same numbers in each test, whatever ran before it."""
    RANDOM.bit_generator.state = START
