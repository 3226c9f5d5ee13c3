from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit import metrics
from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.runtimes.keras import KerasRuntime, KerasSession, assign_weights

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


def test_opened_run_gives_its_reference_answers_when_loaded_again(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    from edgevit.run import Run
    from tests.training.short_run import train_vit_tiny

    run = train_vit_tiny(tiny_dataset, tmp_path / "run")
    session = KerasRuntime().open(run, 1)

    spec, reference = Run.load(run).record.spec, Run.load(run).reference()
    answers = session.invoke(np.asarray(tiny_dataset.pixels("test", spec.preprocessing)))
    np.testing.assert_allclose(answers, metrics.softmax(reference.logits), atol=1e-5)
