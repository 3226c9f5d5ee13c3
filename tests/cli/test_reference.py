from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from edgevit.bench import protocol
from edgevit.bench.result import read_result
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.run import REFERENCE_FILE, Run
from edgevit.runtimes.keras_backends import BACKENDS
from tests.bench.keras_runs import SHORT, make_keras_run
from tests.bench.standin import make_dataset

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None or importlib.util.find_spec("vit_keras") is None,
    reason="TensorFlow and vit-keras are not installed: pip install 'edgevit[train]'",
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is refused before Keras is loaded be refused for its own reason."""
    monkeypatch.setattr(BACKENDS.get("tensorflow"), "is_installed", lambda: True)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a command is refused with."""
    assert main(["reference", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@needs_tensorflow
def test_reference_measures_the_newest_run_when_none_is_named(
    tmp_path: Path,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(protocol, "QUICK", SHORT)
    BACKENDS.get("tensorflow").load()
    old = make_keras_run(tmp_path / "runs" / "old", dataset)
    os.utime(old.root / "run.json", (0, 0))
    new = make_keras_run(tmp_path / "runs" / "new", dataset)

    assert main(["reference", "--quick"]) == 0

    (out,) = (tmp_path / "results").iterdir()
    assert out.name.startswith("reference-")
    result = read_result(out)
    (row,) = result.rows
    assert (result.tool, row.name) == ("edgevit reference", "new")
    assert row.measurement is not None
    assert row.measurement.run_sha256 == new.sha256
    assert {"keras", "tensorflow", "edgevit"} <= result.versions.keys()
    printed = capsys.readouterr()
    assert "TensorFlow on " in printed.out
    assert "Full precision: float32 throughout" in printed.out
    assert f"Every number is in {Path('results') / out.name}" in printed.err


def test_reference_names_the_command_when_the_backend_is_not_installed(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(BACKENDS.get("jax"), "is_installed", lambda: False)
    error = refusal(capsys, str(run.root), "--backend", "jax")
    assert "the Keras backend jax is not installed. pip install 'edgevit[train]' jax" in error


def test_reference_lists_the_backends_when_there_is_no_such_one(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(capsys, str(run.root), "--backend", "theano")
    for name in BACKENDS.names():
        assert repr(name) in error


@needs_tensorflow
def test_reference_is_refused_when_keras_runs_on_another_backend(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    BACKENDS.get("tensorflow").load()
    monkeypatch.setattr(BACKENDS.get("torch"), "is_installed", lambda: True)
    error = refusal(capsys, str(run.root), "--backend", "torch")
    assert "this process runs Keras on tensorflow and cannot change to torch" in error


@pytest.mark.usefixtures("installed")
def test_reference_keeps_a_result_when_it_exists(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    out.write_text("mine")
    assert f"{out} exists already. Choose another --out, or add --force" in refusal(
        capsys, str(run.root), "--out", str(out)
    )
    assert out.read_text() == "mine"


@pytest.mark.usefixtures("installed")
def test_reference_names_the_option_when_the_photos_were_moved(
    run: Run, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset.root.rename(dataset.root.with_name("moved"))
    error = refusal(capsys, str(run.root))
    assert f"was trained on are not at {dataset.root}. Copy" in error
    assert "--data DIR" in error


@pytest.mark.usefixtures("installed")
def test_reference_names_the_class_when_the_photos_have_others(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_dataset(tmp_path / "other", colours=("blue", "red", "green"))
    error = refusal(capsys, str(run.root), "--data", str(other.root))
    assert "class 1 is 'red' in the data set and 'green' in colours" in error


@pytest.mark.usefixtures("installed")
def test_reference_is_refused_when_the_run_is_damaged(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.root / REFERENCE_FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert "The run is damaged" in refusal(capsys, str(run.root))


@pytest.mark.usefixtures("installed")
def test_reference_is_refused_when_there_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there is no run at nowhere" in refusal(capsys, "nowhere")
    assert "there is no finished run below runs" in refusal(capsys)
    assert not (tmp_path / "results").exists()
