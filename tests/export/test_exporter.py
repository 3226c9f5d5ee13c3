from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgevit import storage
from edgevit.bundle import Bundle, RungRecord
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.errors import CheckFailedError, InputError
from edgevit.export.exporter import ExportJob, export, open_job
from edgevit.export.ladder import EvaluationImages, Ladder, check_values
from edgevit.export.lowering import Files, Source
from edgevit.export.ops import Dense
from edgevit.export.registry import Selection, select
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import REFERENCE_FILE, WEIGHTS_FILE, Run, Weights, write_run
from tests.export.runs import make_photos


def selected(
    job: ExportJob, format_name: str = "tflite", precision: str = "int8-dynamic"
) -> Selection:
    (selection,), _ = select(job.graph, [format_name], [precision])
    return selection


def with_writer(selection: Selection, write: Callable[[Source], Files]) -> Selection:
    return replace(selection, recipe=replace(selection.recipe, write=write))


def zeroing(selection: Selection) -> Selection:
    """Lose one weight tensor on the way."""

    def write(source: Source) -> Files:
        op = source.graph.op("block_2/mlp_1")
        assert isinstance(op, Dense)
        broken = replace(op, kernel=np.zeros_like(op.kernel))
        damaged = replace(source, graph=source.graph.edit({op.name: (broken,)}))
        return selection.recipe.write(damaged)

    return with_writer(selection, write)


def assert_fails_at(job: ExportJob, selection: Selection, rung: str, folder: Path) -> None:
    announced: list[RungRecord] = []
    with pytest.raises(CheckFailedError, match=f"the export failed at '{rung}'"):
        export(job, selection, folder / "bundle", announce=announced.append)
    assert [r.name for r in announced if not r.passed] == [rung]
    assert os.listdir(folder) == []


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_nothing_is_left_when_a_weight_tensor_is_lost(
    job: ExportJob, tmp_path: Path, format_name: str, precision: str
) -> None:
    broken = zeroing(selected(job, format_name, precision))
    assert_fails_at(job, broken, "weights", tmp_path)


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "openvino"])
def test_nothing_is_left_when_float_is_written_for_int8(
    job: ExportJob, tmp_path: Path, format_name: str
) -> None:
    full = selected(job, format_name, "fp32").recipe.write
    broken = with_writer(selected(job, format_name, "int8"), full)
    assert_fails_at(job, broken, "arithmetic", tmp_path)


def test_budget_fails_when_the_drop_is_larger(job: ExportJob, tmp_path: Path) -> None:
    # Labels that the full-precision model always meets, so that any flip is a drop.
    validation = job.validation
    assert validation is not None
    shifted = np.roll(validation.reference, 1, axis=1)
    wrong = replace(validation, reference=shifted, labels=shifted.argmax(axis=1).astype(np.int64))
    broken = ExportJob(job.run, job.dataset)
    broken.__dict__.update(job.__dict__, validation=wrong)
    with pytest.raises(CheckFailedError, match=r"'accuracy': drop \+.* budget 0\.5"):
        export(
            broken,
            selected(job, "tflite", "fp32"),
            tmp_path / "bundle",
            announce=lambda rung: None,
            max_drop_points=0.5,
        )
    assert os.listdir(tmp_path) == []


def test_other_photos_are_refused_when_the_run_knows_its_own(run: Run, tmp_path: Path) -> None:
    other = make_photos(tmp_path)
    changed = other.root / "dataset.json"
    changed.write_text(changed.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match="is not the data set that the run"):
        open_job(run, other.root)


def test_photos_are_asked_for_when_they_moved(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="say where they are with --data DIR"):
        open_job(run, tmp_path / "gone")


def rewritten(run: Run, folder: Path, weights: Weights) -> Run:
    """Copy a run with other weights, whose hash is recorded as if training had written them."""
    save_file(weights, folder / WEIGHTS_FILE)
    (folder / REFERENCE_FILE).write_bytes((run.root / REFERENCE_FILE).read_bytes())
    files = {name: storage.record_of(folder / name) for name in (WEIGHTS_FILE, REFERENCE_FILE)}
    write_run(folder, replace(run.record, files=files))
    return Run.load(folder)


def test_tensor_is_named_when_weights_are_nan(run: Run, photos: Dataset, tmp_path: Path) -> None:
    weights = run.weights()
    weights["head_hidden/kernel"][3, 4] = np.nan
    with pytest.raises(InputError, match=r"head_hidden/kernel .* holds NaN"):
        _ = ExportJob(rewritten(run, tmp_path, weights), photos).graph


def test_command_writes_both_when_two_precisions_are_asked_for(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main(["export", str(run.root), "--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_command_exits_2_when_there_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export"]) == 2
    assert "no finished run below runs/" in capsys.readouterr().err


def test_command_names_the_byte_check_when_a_run_was_changed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in run.root.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / WEIGHTS_FILE
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    assert main(["export", str(tmp_path)]) == 2
    assert "was changed: its sha256 is" in capsys.readouterr().err


def test_graph_is_stopped_when_it_is_not_the_runs(
    run: Run, photos: Dataset, tmp_path: Path
) -> None:
    weights = run.weights()
    weights["Transformer_encoder_norm/gamma"] *= 0
    (tmp_path / "run").mkdir()
    job = ExportJob(rewritten(run, tmp_path / "run", weights), photos)
    with pytest.raises(CheckFailedError, match="the export failed at 'graph'"):
        export(job, selected(job), tmp_path / "b", announce=lambda rung: None)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("budget", ["nan", "inf"])
def test_budget_is_refused_when_it_is_no_number(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: str
) -> None:
    assert main(["export", str(run.root), "--out", str(tmp_path), "--max-drop", budget]) == 2
    assert f"a budget of {budget} points is none" in capsys.readouterr().err


def test_bundle_has_the_folders_name_when_a_run_was_renamed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.root, tmp_path / "my pets")
    arguments = ["export", str(tmp_path / "my pets"), "--out", str(tmp_path / "exports")]
    assert main([*arguments, "--quantize", "fp32"]) == 0
    assert (tmp_path / "exports" / "my pets.tflite.fp32").is_dir()
    # A folder with a space is quoted in the command to type next.
    assert f"Next: edgevit bench '{tmp_path}/exports/my pets.tflite.fp32'" in (
        capsys.readouterr().out
    )


def test_kind_is_named_when_the_folder_is_no_run(
    photos: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(photos.root)]) == 2
    assert "is no run: it has no run.json" in capsys.readouterr().err


def test_kernel_is_named_when_the_run_holds_nothing_but_zeros_in_it(
    run: Run, photos: Dataset, tmp_path: Path
) -> None:
    weights = run.weights()
    name = next(name for name in weights if name.endswith("encoderblock_1_Dense_0/kernel"))
    weights[name] *= 0
    job = ExportJob(rewritten(run, tmp_path, weights), photos)
    job.__dict__["own_answers"] = None  # as if the photos were away
    with pytest.raises(CheckFailedError, match="mlp_1/kernel holds nothing but zeros"):
        export(job, selected(job), tmp_path / "b", announce=lambda rung: None)


def test_run_is_refused_when_a_tensor_is_missing(run: Run, photos: Dataset, tmp_path: Path) -> None:
    weights = run.weights()
    del weights["head_hidden/kernel"]
    with pytest.raises(InputError, match=r"are not those of a vit-tiny .*head_hidden/kernel"):
        _ = ExportJob(rewritten(run, tmp_path, weights), photos).graph


def test_values_fail_when_few_answers_are_clear_and_many_differ() -> None:
    def fixed(pixels: Pixels) -> Scores:
        return np.float32([[0.34, 0.33, 0.33]])

    session = SimpleNamespace(invoke=fixed)
    reference = np.tile(np.float32([0.33, 0.34, 0.33]), (32, 1))
    images = EvaluationImages(np.zeros((32, 4, 4, 3), np.uint8), reference)
    with pytest.raises(
        CheckFailedError, match=r"0\.0 % .*hardly any is clear.*; rounded worst: d/"
    ):
        check_values(Ladder(lambda rung: None), session, images, "int8", ("d/kernel 20 dB",))
