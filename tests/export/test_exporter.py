from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgevit.bundle import RungRecord
from edgevit.data.dataset import Dataset
from edgevit.errors import CheckFailedError, InputError
from edgevit.export.choices import Choices
from edgevit.export.exporter import export
from edgevit.export.job import ExportJob, open_job
from edgevit.export.ladder import EvaluationImages, Ladder, check_values
from edgevit.export.lowering import Files, Source
from edgevit.export.ops import Dense
from edgevit.export.precision import Precision
from edgevit.export.registry import Selection
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.run import Run
from tests.export.files import selected
from tests.export.runs import make_photos, rewritten, with_choices


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
    job: ExportJob, tmp_path: Path, format_name: str, precision: Precision
) -> None:
    broken = zeroing(selected(job.graph, format_name, precision))
    assert_fails_at(job, broken, "weights", tmp_path)


@pytest.mark.parametrize("format_name", ["tflite", "onnx", "openvino"])
def test_nothing_is_left_when_float_is_written_for_int8(
    job: ExportJob, tmp_path: Path, format_name: str
) -> None:
    full = selected(job.graph, format_name, "fp32").recipe.write
    broken = with_writer(selected(job.graph, format_name, "int8"), full)
    assert_fails_at(job, broken, "arithmetic", tmp_path)


def test_budget_fails_when_the_drop_is_larger(job: ExportJob, tmp_path: Path) -> None:
    # Labels that the full-precision model always meets, so that any flip is a drop.
    validation = job.validation
    assert validation is not None
    shifted = np.roll(validation.reference, 1, axis=1)
    wrong = replace(validation, reference=shifted, labels=shifted.argmax(axis=1).astype(np.int64))
    broken = with_choices(job, Choices(max_drop_points=0.5), validation=wrong)
    with pytest.raises(CheckFailedError, match=r"'accuracy': drop \+.* budget 0\.5"):
        export(
            broken,
            selected(job.graph, "tflite", "fp32"),
            tmp_path / "bundle",
            announce=lambda rung: None,
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


def test_tensor_is_named_when_weights_are_nan(run: Run, photos: Dataset, tmp_path: Path) -> None:
    weights = run.weights()
    weights["head_hidden/kernel"][3, 4] = np.nan
    with pytest.raises(InputError, match=r"head_hidden/kernel .* holds NaN"):
        _ = ExportJob(rewritten(run, tmp_path, weights), photos).graph


def test_graph_is_stopped_when_it_is_not_the_runs(
    run: Run, photos: Dataset, tmp_path: Path
) -> None:
    weights = run.weights()
    weights["Transformer_encoder_norm/gamma"] *= 0
    (tmp_path / "run").mkdir()
    job = ExportJob(rewritten(run, tmp_path / "run", weights), photos)
    with pytest.raises(CheckFailedError, match="the export failed at 'graph'"):
        export(
            job,
            selected(job.graph, "tflite", "int8-dynamic"),
            tmp_path / "b",
            announce=lambda rung: None,
        )
    assert not (tmp_path / "b").exists()


def test_kernel_is_named_when_the_run_holds_nothing_but_zeros_in_it(
    run: Run, photos: Dataset, tmp_path: Path
) -> None:
    weights = run.weights()
    name = next(name for name in weights if name.endswith("encoderblock_1_Dense_0/kernel"))
    weights[name] *= 0
    job = ExportJob(rewritten(run, tmp_path, weights), photos)
    job.__dict__["own_answers"] = None  # as if the photos were away
    with pytest.raises(CheckFailedError, match="mlp_1/kernel holds nothing but zeros"):
        export(
            job,
            selected(job.graph, "tflite", "int8-dynamic"),
            tmp_path / "b",
            announce=lambda rung: None,
        )


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
