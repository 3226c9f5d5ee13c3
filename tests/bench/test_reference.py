from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevit.bench.reference import measure_reference, open_photos
from edgevit.bench.result import BenchResult, Measurement, read_result
from edgevit.data.dataset import Dataset
from edgevit.errors import CheckFailedError, InputError
from edgevit.machine import Accelerator, describe_machine
from edgevit.run import Run
from edgevit.runtimes.base import Device
from edgevit.runtimes.keras import KerasSession
from edgevit.runtimes.keras_backends import BACKENDS, Backend, KerasDevice
from tests.bench.keras_runs import SHORT, child, make_keras_run
from tests.bench.standin import COLOURS, make_dataset, photo_of

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None or importlib.util.find_spec("vit_keras") is None,
    reason="TensorFlow and vit-keras are not installed: pip install 'edgevit[train]'",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("photos") / "data")


@pytest.fixture(scope="module")
def keras_run(tmp_path_factory: pytest.TempPathFactory, photos: Dataset) -> Run:
    BACKENDS.get("tensorflow").load()
    return make_keras_run(tmp_path_factory.mktemp("runs") / "tiny", photos)


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """TensorFlow with an accelerator that is the CPU in truth."""
    import tensorflow as tf

    backend = BACKENDS.get("tensorflow")
    place = KerasDevice(Device("gpu", "cpu:0"), "NVIDIA Pretence")
    monkeypatch.setattr(backend, "accelerators", lambda: (place,))
    yield backend
    tf.config.set_soft_device_placement(True)


def measured(run: Run, batch_size: int = 32) -> BenchResult:
    return measure_reference(
        run, BACKENDS.get("tensorflow"), open_photos(run, None), SHORT, batch_size
    )


def measurement_of(result: BenchResult) -> Measurement:
    (row,) = result.rows
    assert row.measurement is not None
    return row.measurement


@needs_tensorflow
def test_reference_agrees_with_the_runs_answers_when_measured_on_the_cpu(keras_run: Run) -> None:
    result = measured(keras_run)

    measurement = measurement_of(result)
    assert measurement.accuracy is not None
    assert measurement.accuracy.paired is not None
    assert measurement.accuracy.paired.agreement == 1.0
    assert measurement.accuracy.accuracy.image_count == 4 * len(COLOURS)
    expected = keras_run.record.reference.accuracy
    assert measurement.accuracy.accuracy.top1 == expected.top1
    assert measurement.accuracy.accuracy.loss == pytest.approx(expected.loss, abs=1e-5)
    assert (measurement.format, measurement.precision) == ("keras-tensorflow", "fp32")
    assert measurement.model_sha256 == measurement.run_sha256 == keras_run.sha256
    assert measurement.evaluation.same_photos
    assert measurement.latency.query_count == 2 * SHORT.min_queries
    assert len(measurement.repeats.latency_ms_p50) == 2


@needs_tensorflow
def test_reference_says_so_when_there_is_no_accelerator(
    keras_run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(BACKENDS.get("tensorflow"), "accelerators", lambda: ())
    seen = dataclasses.replace(
        describe_machine(), accelerators=(Accelerator("gpu", "NVIDIA Idle 1"),)
    )
    monkeypatch.setattr("edgevit.bench.reference.describe_machine", lambda: seen)

    result = measured(keras_run)

    assert (result.target, result.rows[0].device) == ("cpu", "cpu")
    assert measurement_of(result).accelerator is None
    assert result.notes[0] == (
        "No accelerator was found: measured on the CPU. TensorFlow sees none, though the machine "
        "has NVIDIA Idle 1 (pip install 'tensorflow[and-cuda]')"
    )
    assert result.notes[0] in capsys.readouterr().err


@needs_tensorflow
def test_reference_compares_with_the_cpu_when_there_is_an_accelerator(
    keras_run: Run, pretended_gpu: Backend
) -> None:
    result = measured(keras_run)

    assert (result.target, result.rows[0].device) == ("gpu", "gpu NVIDIA Pretence")
    assert result.notes == ("Full precision: float32 throughout, TensorFloat-32 is off",)
    measurement = measurement_of(result)
    assert measurement.placement.summary == "TensorFlow on NVIDIA Pretence, float32"
    use = measurement.accelerator
    assert use is not None
    assert (use.agreement, use.ops_share, use.compared_count) == (1.0, 1.0, 12)
    assert use.max_abs_difference < 1e-6


@needs_tensorflow
def test_reference_fails_when_the_accelerator_answers_something_else(
    keras_run: Run, pretended_gpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke = KerasSession.invoke

    def rolled(session: KerasSession, pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        answers = invoke(session, pixels)
        return answers if session.place.device.kind == "cpu" else np.roll(answers, 1, axis=1)

    monkeypatch.setattr(KerasSession, "invoke", rolled)
    with pytest.raises(CheckFailedError, match="gives the CPU's label for 0% of 12 photos"):
        measured(keras_run)


@needs_tensorflow
def test_reference_names_the_device_when_it_cannot_compute_the_model(
    keras_run: Run, pretended_gpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = KerasDevice(Device("gpu", "gpu:7"), "NVIDIA Absence")
    monkeypatch.setattr(pretended_gpu, "accelerators", lambda: (place,))
    with pytest.raises(InputError, match=r"cannot compute tiny on NVIDIA Absence \(.") as caught:
        measured(keras_run)
    assert "\n" not in str(caught.value)


@needs_tensorflow
def test_accuracy_is_the_same_when_the_last_batch_is_not_full(keras_run: Run) -> None:
    accuracy = measurement_of(measured(keras_run, batch_size=5)).accuracy
    assert accuracy is not None
    assert accuracy.accuracy.loss == pytest.approx(
        keras_run.record.reference.accuracy.loss, abs=1e-5
    )
    assert accuracy.paired is not None
    assert accuracy.paired.image_count == 12


@needs_tensorflow
def test_reference_states_no_drop_when_the_photos_are_others(
    keras_run: Run, tmp_path: Path
) -> None:
    other = make_dataset(tmp_path / "other", draw=lambda colour, seed: photo_of(colour, seed + 500))
    result = measure_reference(
        keras_run, BACKENDS.get("tensorflow"), open_photos(keras_run, other.root), SHORT, 32
    )
    measurement = measurement_of(result)
    assert measurement.accuracy is not None
    assert measurement.accuracy.paired is None
    assert "so no drop can be stated" in measurement.accuracy.notes[0]
    assert not measurement.evaluation.same_photos
    assert any("other photos" in warning for warning in measurement.warnings)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_reference_agrees_with_numpy_when_another_backend_computes_it(
    backend: str, photos: Dataset, tmp_path: Path
) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install {backend}")
    out = tmp_path / "result.json"
    arguments = [backend, str(photos.root), str(tmp_path / "run"), str(out)]
    done = child("tests.bench.keras_runs", *arguments)
    assert done.returncode == 0, done.stderr
    result = read_result(out)
    measurement = measurement_of(result)
    assert measurement.format == f"keras-{backend}"
    assert measurement.accuracy is not None
    assert measurement.accuracy.paired is not None
    assert measurement.accuracy.paired.agreement == 1.0
    title = BACKENDS.get(backend).title
    assert measurement.placement.summary.startswith(f"{title} on ")
    assert backend in result.versions
