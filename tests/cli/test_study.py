from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgevit import documents, storage
from edgevit.bench import harness, protocol
from edgevit.bench.result import read_result
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.preprocessing import Preprocessing
from edgevit.run import KIND, RUN_FILE, SCHEMA_VERSION, Run, RunRecord
from edgevit.study import runner
from edgevit.training import tensorboard
from tests.conftest import save_classes
from tests.pages.outline import outline_of
from tests.training.short_run import short_latency

pytest.importorskip("tensorflow")
pytest.importorskip("vit_keras")

SMALL = ("--models", "vit-tiny", "--image-size", "16", "--batch-size", "8", "--epochs", "1")
NO_EXPORTS = ("--format", "none")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("photos")
    photos = save_classes(root / "photos", {"café, noir": 10, "zebra": 10})
    return prepare(photos, root / "data", preprocessing=Preprocessing(16, 16))


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one model without exports."""
    out = tmp_path_factory.mktemp("finished") / "study"
    assert study(dataset, out, *SMALL, *NO_EXPORTS) == 0
    return out


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "study")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with short_latency():
        yield


def study(dataset: Dataset, out: Path, *options: str) -> int:
    with short_latency():
        return main(["study", "--data", str(dataset.root), "--out", str(out), *options])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Start a study that is refused; returns its one line."""
    capsys.readouterr()
    assert main(["study", *arguments]) == 2
    (line,) = (
        line
        for line in capsys.readouterr().err.splitlines()
        if not line.startswith("There are ")  # the batch is cut to the few training photos
    )
    assert line.startswith("edgevit: error: ")
    return line


@pytest.mark.slow
def test_study_trains_exports_and_measures_every_model_when_called_once(
    dataset: Dataset,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = replace(protocol.SHORT, min_queries=3, min_seconds=0.0, warmup_min_seconds=0.0)
    monkeypatch.setitem(runner._PROTOCOLS, "short", short)
    (tmp_path / "two.toml").write_text(
        f"""
title = "Two sizes"
[[model]]
run = "{finished / "runs/vit-tiny"}"
[[model]]
model = "vit-scratch"
name = "scratch"
image-size = 24
batch-size = 8
epochs = 1
[exports]
precisions = ["int8"]
"""
    )
    out = tmp_path / "both"

    assert study(dataset, out, "--recipe", "two.toml") == 0

    bundles = {path.name for path in (out / "exports").iterdir()}
    assert bundles == {"vit-tiny.tflite.int8", "scratch.tflite.int8"}
    rows = read_result(out / "bench.short.json").rows
    assert [row.measurement is not None for row in rows] == [True, True]
    page = outline_of((out / "report.html").read_text(encoding="utf-8"))
    for heading in ("Conclusion", "Photos", "Models", "Training", "Accuracy", "Exports"):
        assert heading in page.text()
    assert "Two sizes" in page.text()
    summary = (out / "report.md").read_text(encoding="utf-8")
    assert "| Question | vit-tiny | scratch | Answer |" in summary
    assert "scratch.tflite.int8" in summary
    printed = capsys.readouterr().out
    assert printed.splitlines()[-2:] == [str(out / "report.html"), str(out / "report.md")]
    assert "Lighter: parameters" in printed

    # Once more: nothing is trained, exported or measured again.
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(harness, "_measured", None)
        assert study(dataset, out, "--recipe", "two.toml") == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert "Exported already: vit-tiny.tflite.int8" in capsys.readouterr().err

    # A result of other conditions is kept aside.
    (out / "bench.short.json").write_text("{}")
    assert study(dataset, out, "--recipe", "two.toml") == 0
    assert (out / "bench.short.old.json").read_text() == "{}"


def test_finished_model_is_not_trained_again_when_the_study_is_repeated(
    dataset: Dataset, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (copied / "runs/vit-tiny" / RUN_FILE).stat().st_mtime_ns
    (copied / "report.html").unlink()
    assert study(dataset, copied, *SMALL, *NO_EXPORTS) == 0
    assert (copied / "runs/vit-tiny" / RUN_FILE).stat().st_mtime_ns == before
    assert "trained already" in capsys.readouterr().err
    assert (copied / "report.html").is_file()


def test_other_settings_are_refused_and_trained_when_forced(
    dataset: Dataset, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = (*SMALL, *NO_EXPORTS, "--seed", "4")
    arguments = ("--data", str(dataset.root), "--out", str(copied), *other)
    line = refusal(capsys, *arguments)
    assert f"{copied / 'runs/vit-tiny'} was trained with seed 0, not 4" in line
    assert "--force" in line
    assert study(dataset, copied, *other, "--force") == 0
    assert Run.load(copied / "runs/vit-tiny").record.training.seed == 4


def test_training_and_its_log_are_continued_when_the_study_was_stopped(
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import os
    import signal

    from edgevit.training.progress import Progress

    out = tmp_path / "stopped"
    options = (*SMALL[:-1], "2", *NO_EXPORTS, "--tensorboard")
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "epoch", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert study(dataset, out, *options) == 130
    assert "Stopped; nothing is lost. Continue with:" in capsys.readouterr().err
    assert not (out / "report.html").exists()

    assert study(dataset, out, *options) == 0
    assert "vit-tiny: continuing" in capsys.readouterr().err
    assert len((out / "runs/vit-tiny/history.csv").read_text().splitlines()) == 3
    assert len(tensorboard.own_files(out / "runs/vit-tiny")) == 2


def changed_run(source: Path, target: Path, **changes: object) -> Path:
    """Copy a run and change its record."""
    shutil.copytree(source, target)
    record = documents.read(target / RUN_FILE, KIND, SCHEMA_VERSION, RunRecord)
    documents.write(target / RUN_FILE, KIND, SCHEMA_VERSION, replace(record, **changes))  # type: ignore[arg-type]
    return target


def test_runs_are_refused_with_both_named_when_their_labels_differ(
    dataset: Dataset, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished / "runs/vit-tiny"
    other = changed_run(run, tmp_path / "other", labels=("café, noir", "horse"))
    line = refusal(
        capsys,
        "--data",
        str(dataset.root),
        "--run",
        str(run),
        "--run",
        str(other),
        "--out",
        "study",
    )
    assert "vit-tiny" in line
    assert "other" in line
    assert "'zebra'" in line
    assert "'horse'" in line
    assert not Path("study").exists()


def test_runs_are_refused_with_both_named_when_they_see_other_parts_of_a_photo(
    dataset: Dataset, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished / "runs/vit-tiny"
    spec = Run.load(run).record.spec
    squashed = replace(spec, preprocessing=replace(spec.preprocessing, resize_mode="squash"))
    other = changed_run(run, tmp_path / "other", spec=squashed)
    line = refusal(
        capsys,
        "--data",
        str(dataset.root),
        "--run",
        str(run),
        "--run",
        str(other),
    )
    for text in ("vit-tiny", "other", "16×16 crop bilinear", "16×16 squash bilinear"):
        assert text in line


def test_run_is_refused_when_it_was_trained_on_other_photos(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = save_classes(tmp_path / "photos", {"café, noir": 12, "zebra": 12})
    other = prepare(photos, tmp_path / "data", preprocessing=Preprocessing(16, 16))
    line = refusal(capsys, "--data", str(other.root), "--run", str(finished / "runs/vit-tiny"))
    assert "was trained on" in line
    assert str(other.root) in line


def test_finished_run_is_refused_when_other_arithmetic_is_asked_for(
    dataset: Dataset, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*SMALL, *NO_EXPORTS, "--mixed-precision")
    line = refusal(capsys, "--data", str(dataset.root), "--out", str(copied), *options)
    assert "was trained with precision float32, not mixed_bfloat16" in line


def test_second_study_is_refused_when_one_is_writing(
    dataset: Dataset, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--data", str(dataset.root), "--out", str(copied), *SMALL, *NO_EXPORTS)
    with storage.locked(copied, "study"):
        assert f"another study is writing to {copied}" in refusal(capsys, *arguments)


def test_study_is_refused_when_it_would_lie_among_photos_or_in_a_run(
    dataset: Dataset, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = (dataset.root, Path(dataset.record.source), finished / "runs/vit-tiny")
    for place in places:
        arguments = ("--data", str(dataset.root), "--out", str(place / "study"), *SMALL)
        assert f"is inside {place.resolve()}" in refusal(capsys, *arguments)


def test_run_is_refused_when_it_is_named_twice(
    dataset: Dataset, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished / "runs/vit-tiny"
    copy = shutil.copytree(run, tmp_path / "copy")
    line = refusal(capsys, "--data", str(dataset.root), "--run", str(run), "--run", str(copy))
    assert f"{run} and {copy} are the same run" in line


def test_damaged_run_is_refused_and_trained_anew_when_forced(
    dataset: Dataset, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "runs/vit-tiny/weights.safetensors").write_bytes(b"damaged")
    (copied / "study.json").write_text("damaged")
    arguments = (*SMALL, *NO_EXPORTS)
    line = refusal(capsys, "--data", str(dataset.root), "--out", str(copied), *arguments)
    assert line.endswith("Add --force to train it anew")
    assert study(dataset, copied, *arguments, "--force") == 0
    Run.load(copied / "runs/vit-tiny")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "vgg"), "unknown model 'vgg'"),
        (("--models", ","), "at least one model"),
        (("--models", "runs/vgg16"), "Take a run with --run runs/vgg16"),
        (("--models", "vit-tiny,vit-tiny"), "two models of the study are called 'vit-tiny'"),
        (("--models", "vit-tiny", "--epochs", "0"), "0 epochs train nothing"),
        (("--models", "vit-tiny", "--epochs", "many"), "'many' is not a whole number"),
        (("--models", "vit-tiny", "--epochs", "vgg16=2"), "--epochs names vgg16"),
        (("--models", "vit-tiny", "--epochs", "1", "--epochs", "2"), "given twice for all models"),
        (("--models", "vit-tiny", "--augment", "blur"), "unknown augmentation 'blur'"),
        (("--models", "vit-tiny", "--weights", "vit-tiny=a/b=c.h5"), "and there is no such file"),
        (("--models", "vit-tiny", "--format", "tf"), "unknown format 'tf'"),
        (("--models", "vit-tiny", "--quantize", "int3"), "unknown precision 'int3'"),
        (("--models", "vit-tiny", "--threads", "9999"), "9999 threads"),
        (("--models", "vit-tiny", "--recipe", "scratch-vit-sweep"), "--recipe and --models"),
        (("--recipe", "none.toml"), "there is no recipe none.toml"),
        (("--run", "runs/none"), "there is no run at runs/none"),
    ],
)
def test_study_is_refused_in_one_line_when_an_option_is_wrong(
    options: tuple[str, ...], message: str, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, "--data", str(dataset.root), *options)
    assert message in line
    assert not Path("study").exists()


def test_study_asks_for_photos_when_none_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Add --data DIR" in refusal(capsys, "--models", "vit-tiny")
    assert "no prepared data set" in refusal(capsys, "--models", "vit-tiny", "--data", ".")


def test_folder_of_other_things_is_left_alone_when_it_is_the_out(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("precious")
    line = refusal(capsys, "--data", str(dataset.root), "--models", "vit-tiny", "--out", "mine")
    assert "holds other things" in line
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_missing_weights_are_named_before_any_training_when_there_is_no_network(
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("edgevit.training.weights.is_reachable", lambda *_: False)
    line = refusal(capsys, "--data", str(dataset.root), "--models", "vit-tiny,vgg16")
    assert "cannot be reached" in line
    assert "--weights random" in line
    assert "--weights vgg16=…" in line
    assert not Path("study").exists()


def test_record_of_the_study_says_what_was_asked_when_it_is_read(finished: Path) -> None:
    record = json.loads((finished / "study.json").read_text(encoding="utf-8"))
    assert record["recipe"]["model"][0]["model"] == "vit-tiny"
    assert record["recipe"]["exports"]["formats"] == []
