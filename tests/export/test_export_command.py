"""``edgevit export`` as a user calls it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgevit.bundle import Bundle
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.export import budget
from edgevit.export.job import ExportJob
from edgevit.run import WEIGHTS_FILE, Run

Captured = pytest.CaptureFixture[str]


def test_command_writes_both_when_two_precisions_are_asked_for(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    arguments = ["export", str(run.root), "--quantize", "int8", "--quantize", "fp32"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert sorted(os.listdir(tmp_path)) == ["tiny.tflite.fp32", "tiny.tflite.int8"]
    bundle = Bundle.load(tmp_path / "tiny.tflite.int8")
    assert bundle.record.labels == run.record.labels
    assert (bundle.root / "labels.txt").read_text() == "café, noir\ntabby cat\nzebra\n"
    output = capsys.readouterr().out
    assert output.count("✓") == 14
    assert "✗" not in output

    # A second time without --force: refused before any work, and the bundles stay.
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert Bundle.load(tmp_path / "tiny.tflite.int8").record == bundle.record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quantize", "int7"], "unknown precision 'int7'"),
        (["--format", "coreml"], "unknown format 'coreml'"),
        (["--max-drop", "-1"], "--max-drop"),
    ],
)
def test_command_exits_2_when_an_option_is_wrong(
    run: Run,
    tmp_path: Path,
    capsys: Captured,
    arguments: list[str],
    message: str,
) -> None:
    assert main(["export", str(run.root), "--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_command_exits_2_when_there_is_no_run(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export"]) == 2
    assert "no finished run below runs/" in capsys.readouterr().err


def test_command_names_the_byte_check_when_a_run_was_changed(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    for path in run.root.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / WEIGHTS_FILE
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    assert main(["export", str(tmp_path)]) == 2
    assert "was changed: its sha256 is" in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["nan", "inf"])
def test_budget_is_refused_when_it_is_no_number(
    run: Run, tmp_path: Path, capsys: Captured, budget: str
) -> None:
    assert main(["export", str(run.root), "--out", str(tmp_path), "--max-drop", budget]) == 2
    assert f"a budget of {budget} points is none" in capsys.readouterr().err


def test_bundle_has_the_folders_name_when_a_run_was_renamed(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    shutil.copytree(run.root, tmp_path / "my pets")
    arguments = ["export", str(tmp_path / "my pets"), "--out", str(tmp_path / "exports")]
    assert main([*arguments, "--quantize", "fp32"]) == 0
    assert (tmp_path / "exports" / "my pets.tflite.fp32").is_dir()
    # A folder with a space is quoted in the command to type next.
    assert f"Next: edgevit bench '{tmp_path}/exports/my pets.tflite.fp32'" in (
        capsys.readouterr().out
    )


def test_kind_is_named_when_the_folder_is_no_run(photos: Dataset, capsys: Captured) -> None:
    assert main(["export", str(photos.root)]) == 2
    assert "is no run: it has no run.json" in capsys.readouterr().err


def test_layers_are_float_when_the_command_keeps_them(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    arguments = ["export", str(run.root), "--format", "onnx", "--out", str(tmp_path)]
    kept = ["--keep-float", "block_1/mlp_2", "--keep-float", "logits"]
    assert main([*arguments, *kept]) == 0
    assert "  Note: in float: block_1/mlp_2, logits. That takes " in capsys.readouterr().out
    record = Bundle.load(tmp_path / "tiny.onnx.int8").record
    assert record.float_layers is not None
    assert record.float_layers.names == ("block_1/mlp_2", "logits")
    assert main(["inspect", str(tmp_path / "tiny.onnx.int8")]) == 0
    out = capsys.readouterr().out
    assert "Layers in float\n  in float: block_1/mlp_2, logits. That takes " in out


def test_choices_are_recorded_when_the_command_names_ranges_and_passes(
    run: Run, tmp_path: Path
) -> None:
    arguments = ["export", str(run.root), "--format", "onnx", "--out", str(tmp_path)]
    arguments += ["--quantize", "int8", "--quantize", "int8-dynamic"]
    chosen = ["--ranges", "percentile", "--ranges", "gelu=mse"]
    left_out = ["--without", "correct-bias", "--without", "balance-norms"]
    assert main([*arguments, *chosen, *left_out]) == 0
    source = Bundle.load(tmp_path / "tiny.onnx.int8").record.source
    assert source.ranges == ("percentile", "gelu=mse")
    assert source.skipped_passes == ("balance-norms", "correct-bias")
    # Nothing is calibrated here.
    assert Bundle.load(tmp_path / "tiny.onnx.int8-dynamic").record.source.ranges == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep-float", "block_9"], "there is no layer 'block_9' to keep in float. Valid: patch"),
        (["--ranges", "median"], "unknown range estimator 'median'. Valid: min-max, percentile"),
        (["--ranges", "silu=mse"], "unknown kind of value 'silu'. Valid: pixels, norm, gelu"),
        (["--without", "smooth"], "unknown pass 'smooth'. Valid: fold-normalise, pad-pixels"),
    ],
)
def test_command_exits_2_and_lists_names_when_one_is_unknown(
    run: Run, tmp_path: Path, capsys: Captured, arguments: list[str], message: str
) -> None:
    assert main(["export", str(run.root), "--out", str(tmp_path), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.splitlines()[-1].startswith("edgevit: error: ")
    assert os.listdir(tmp_path) == []


def test_command_keeps_a_bad_layer_in_float_when_there_is_a_budget(
    bad_job: ExportJob, tmp_path: Path, capsys: Captured
) -> None:
    arguments = ["export", str(bad_job.run.root), "--out", str(tmp_path)]
    assert main([*arguments, "--max-drop", "0"]) == 0
    captured = capsys.readouterr()
    assert "✗ values: " in captured.out  # with everything in int8
    assert "Note: in float: block_1/mlp_2. That takes " in captured.out
    assert "budget 0)" in captured.out
    assert "1 of 27 layers in float: that is enough" in captured.err


def test_command_exits_1_when_a_bad_layer_has_no_budget(
    bad_job: ExportJob, tmp_path: Path, capsys: Captured
) -> None:
    arguments = ["export", str(bad_job.run.root), "--out", str(tmp_path), "--quantize", "int8"]
    assert main(arguments) == 1
    assert "the export failed at 'values'" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
    # What can be made is kept.
    assert main([*arguments, "--quantize", "fp32"]) == 1
    assert "1 of 2 exports failed, the first: " in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["bad.tflite.fp32"]


def test_command_exits_1_when_the_budget_cannot_be_met(
    worse_job: ExportJob, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_LARGEST_SHARE", 0.01)  # one layer at most
    arguments = ["export", str(worse_job.run.root), "--out", str(tmp_path)]
    assert main([*arguments, "--max-drop", "0"]) == 1
    error = capsys.readouterr().err
    assert "the budget of 0 points cannot be met: with 1 of 27 layers in float" in error
    assert "No bundle was kept. Allow a larger --max-drop, or export fp16" in error
    assert os.listdir(tmp_path) == []
