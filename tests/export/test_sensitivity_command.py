"""``edgevit sensitivity`` as a user calls it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevit import documents
from edgevit.cli.main import main
from edgevit.export.job import ExportJob
from edgevit.export.sensitivity import Sensitivity
from edgevit.export.sensitivity_report import KIND, MARKER, PICTURE, SCHEMA_VERSION
from edgevit.run import Run

Captured = pytest.CaptureFixture[str]


def test_layers_are_printed_and_written_when_a_run_is_given(
    bad_job: ExportJob, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sensitivity", str(bad_job.run.root), "--images", "4"]) == 0
    folder = tmp_path / "results" / "bad.tflite.int8.sensitivity"
    assert sorted(os.listdir(folder)) == [MARKER, PICTURE]
    found = documents.read(folder / MARKER, KIND, SCHEMA_VERSION, Sensitivity)
    assert found.image_count == 4
    assert len(found.layers) == 27
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ("bad.tflite.int8, one layer at a time in int8, 4 held-out training images:")
    # The worst one is the first, with its numbers.
    worst = found.layers[0]
    assert lines[2].split() == [
        "block_1/mlp_2",
        "per-token",
        f"{worst.sqnr_db:.1f}",
        f"{100 * worst.agreement:.1f}",
        "32,768",
    ]
    assert len(lines) == 1 + 1 + 27 + 2
    assert lines[-2].startswith(f"All layers together: {found.sqnr_db:.1f} dB, ")
    assert lines[-1] == "Written: results/bad.tflite.int8.sensitivity"


def test_choices_count_when_the_command_names_them(run: Run, tmp_path: Path) -> None:
    def found(*arguments: str) -> Sensitivity:
        options = ["--format", "openvino", "--images", "2", "--out", str(tmp_path), "--force"]
        assert main(["sensitivity", str(run.root), *options, *arguments]) == 0
        return documents.read(tmp_path / MARKER, KIND, SCHEMA_VERSION, Sensitivity)

    plain = found()
    others = (
        found("--ranges", "gelu=percentile", "--without", "balance-values"),
        found("--format", "onnx", "--quantize", "int8-dynamic"),
        found("--format", "tflite", "--quantize", "int8-full"),
    )
    assert {layer.name for layer in plain.layers} == {layer.name for layer in others[0].layers}
    assert len({plain.sqnr_db, *(other.sqnr_db for other in others)}) == 4
    assert {layer.operand for layer in others[1].layers} == {"per-image"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "all"], "one format and one precision at a time"),
        (["--quantize", "all"], "one format and one precision at a time"),
        (["--quantize", "fp32"], "nothing is rounded to int8 here. Ask for int8 or int8-dynamic"),
        (["--format", "coreml"], "unknown format 'coreml'"),
        (["--quantize", "int7"], "unknown precision 'int7'"),
        (["--format", "onnx", "--quantize", "int8-full"], "onnx cannot have int8-full"),
        (["--images", "0"], "--images"),
        (["--ranges", "median"], "unknown range estimator 'median'. Valid: "),
        (["--without", "smooth"], "unknown pass 'smooth'. Valid: "),
        (["--data", "/nowhere"], "say where they are with --data DIR"),
    ],
)
def test_command_exits_2_when_an_option_is_wrong(
    run: Run, tmp_path: Path, capsys: Captured, arguments: list[str], message: str
) -> None:
    target = tmp_path / "report"
    assert main(["sensitivity", str(run.root), "--out", str(target), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert os.listdir(tmp_path) == []


def test_command_exits_2_when_the_folder_exists(run: Run, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    arguments = ["sensitivity", str(run.root), "--out", str(tmp_path)]
    for force in ([], ["--force"]):  # it is nothing that this command wrote
        assert main([*arguments, *force]) == 2
        assert str(tmp_path) in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["photo.jpg"]


@pytest.mark.parametrize("arguments", [[], ["runs/gone"]])
def test_command_exits_2_when_there_is_no_run(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sensitivity", *arguments]) == 2
    error = capsys.readouterr().err
    assert ("no finished run below runs/" in error) == (not arguments)
    assert error.count("\n") == 1
