from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit import metrics
from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.errors import InputError
from edgevit.machine import describe_machine
from edgevit.preprocessing import Preprocessing
from edgevit.run import RUN_FILE, Run
from edgevit.runtimes.base import CPU_DEVICE, Device
from edgevit.runtimes.keras import KerasRuntime, KerasSession, assign_weights
from edgevit.runtimes.keras_backends import BACKENDS, KerasDevice
from tests.bench.keras_runs import make_keras_run
from tests.conftest import save_classes
from tests.training.short_run import train_vit_tiny

tf = pytest.importorskip("tensorflow")
pytest.importorskip("vit_keras")


@pytest.fixture(scope="module")
def model() -> Any:
    from edgevit.models.registry import ARCHITECTURES

    architecture = ARCHITECTURES.get("vit-tiny")
    return architecture.build_keras(architecture.spec(3, 16))


@pytest.fixture
def weights(model: Any) -> dict[str, Any]:
    return {variable.path: variable.numpy().copy() for variable in model.weights}


def photos(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)


def test_answers_are_the_models_softmax_when_any_number_of_photos_is_given(model: Any) -> None:
    session = KerasSession(model)

    for count in (1, 5):
        pixels = photos(count)
        answers = session.invoke(pixels)
        assert answers.dtype == np.float32
        assert answers.shape == (count, 3)
        logits = model(pixels.astype(np.float32), training=False).numpy()
        np.testing.assert_allclose(session.logits(pixels), logits, atol=1e-5)
        np.testing.assert_allclose(answers, metrics.softmax(logits), atol=1e-6)


def test_placement_names_tensorflow_when_asked(model: Any) -> None:
    placement = KerasSession(model).placement()

    assert "TensorFlow" in placement.summary
    assert sum(placement.ops.values()) > 0


def test_weights_are_set_by_path_when_all_fit(model: Any, weights: dict[str, Any]) -> None:
    weights["head_logits/bias"] = np.array([1, 2, 3], dtype=np.float32)

    assign_weights(model, weights, Path("weights.safetensors"))

    np.testing.assert_array_equal(model.get_layer("head_logits").bias.numpy(), [1, 2, 3])


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (None, "lacks the tensor 'head_logits/bias'"),
        (np.zeros(4, np.float32), r"'head_logits/bias' has shape \(4,\), the model's is \(3,\)"),
        (np.full(3, np.nan, np.float32), "head_logits/bias of .* holds NaN"),
    ],
)
def test_tensor_is_named_when_it_does_not_fit(
    model: Any, weights: dict[str, Any], array: Any, complaint: str
) -> None:
    del weights["head_logits/bias"]
    if array is not None:
        weights["head_logits/bias"] = array

    with pytest.raises(InputError, match=complaint):
        assign_weights(model, weights, Path("weights.safetensors"))


def test_tensor_is_named_when_the_model_has_none_such(model: Any, weights: dict[str, Any]) -> None:
    weights["head_logits/scale"] = np.zeros(3, np.float32)

    with pytest.raises(InputError, match="unknown tensor 'head_logits/scale'"):
        assign_weights(model, weights, Path("weights.safetensors"))


def test_runtime_is_available_when_tensorflow_is_installed() -> None:
    availability = KerasRuntime().availability()

    assert availability.available
    assert availability.version == tf.__version__


def test_opening_is_refused_when_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run"):
        KerasRuntime().open(tmp_path / "none", 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """A data set and a run on it that `edgevit train` made."""
    root = tmp_path_factory.mktemp("trained")
    photos = save_classes(root / "photos", {"ant": 10, "bee": 10})
    dataset = prepare(photos, root / "data", preprocessing=Preprocessing(16, 16))
    return dataset, train_vit_tiny(dataset, root / "run")


def test_opened_run_gives_its_reference_answers_when_loaded_again(
    trained: tuple[Dataset, Path],
) -> None:
    dataset, folder = trained
    session = KerasRuntime().open(folder, 1)

    spec, reference = Run.load(folder).record.spec, Run.load(folder).reference()
    answers = session.invoke(np.asarray(dataset.pixels("test", spec.preprocessing)))
    np.testing.assert_allclose(answers, metrics.softmax(reference.logits), atol=1e-5)


def test_reference_record_says_what_computed_it_when_a_run_is_trained(
    trained: tuple[Dataset, Path],
) -> None:
    reference = Run.load(trained[1]).record.reference

    assert reference.runtime == f"TensorFlow {tf.__version__}"
    assert reference.latency_query_count == 3
    if not tf.config.list_physical_devices("GPU"):
        assert reference.accelerator is False
        assert reference.device == describe_machine().cpu.model


def test_run_is_read_when_it_does_not_say_what_computed_its_reference(
    trained: tuple[Dataset, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(trained[1], tmp_path / "run")
    document = json.loads((folder / RUN_FILE).read_text())
    for name in ("runtime", "latency_query_count", "accelerator"):
        del document["reference"][name]
    (folder / RUN_FILE).write_text(json.dumps(document))

    reference = Run.load(folder).record.reference

    assert (reference.runtime, reference.latency_query_count) == (None, None)


def test_full_float32_is_switched_on_when_a_session_is_made(model: Any) -> None:
    tf.config.experimental.enable_tensor_float_32_execution(True)

    KerasSession(model)

    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_place_is_the_first_accelerator_when_none_is_given(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = KerasDevice(Device("gpu", "cpu:0"), "NVIDIA Pretence")
    monkeypatch.setattr(BACKENDS.get("tensorflow"), "accelerators", lambda: (place,))

    session = KerasSession(model)

    assert session.placement().summary == "TensorFlow on NVIDIA Pretence, float32"
    assert session.processor == "NVIDIA Pretence"


def test_devices_are_absent_with_a_reason_when_tensorflow_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = KerasRuntime()
    assert [support.absent for support in runtime.devices("cpu", None)] == [""]
    assert runtime.devices("npu", None)[0].absent == "TensorFlow computes on no NPU"

    monkeypatch.setattr(BACKENDS.get("tensorflow"), "accelerators", lambda: ())
    assert runtime.devices("gpu", None)[0].absent.startswith("TensorFlow sees no GPU: pip install")

    place = KerasDevice(Device("gpu", "gpu:0"), "NVIDIA Pretence")
    monkeypatch.setattr(BACKENDS.get("tensorflow"), "accelerators", lambda: (place,))
    (support,) = runtime.devices("gpu", None)
    assert (support.device, support.absent) == (place.device, "")

    monkeypatch.setattr("edgevit.runtimes.keras.version_of", lambda package: None)
    assert "is not installed: pip install" in runtime.devices("gpu", None)[0].absent


def test_opening_is_refused_when_the_device_is_absent(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_keras_run(tmp_path / "run", dataset)
    monkeypatch.setattr(BACKENDS.get("tensorflow"), "accelerators", lambda: ())
    runtime = KerasRuntime()

    with pytest.raises(InputError, match="TensorFlow sees no device 'gpu:0' here"):
        runtime.open(run.root, 1, Device("gpu", "gpu:0"))

    black = np.zeros((1, *run.record.spec.input_shape), dtype=np.uint8)
    assert runtime.open(run.root, 1, CPU_DEVICE).invoke(black).shape == (1, 3)
    assert runtime.accelerator_share(run.root, 1, CPU_DEVICE, black)[0] == 0.0


def test_loading_is_refused_when_keras_runs_on_another_backend() -> None:
    for name in ("jax", "torch"):
        with pytest.raises(InputError, match=f"runs Keras on tensorflow and cannot .* {name}"):
            BACKENDS.get(name).load()
