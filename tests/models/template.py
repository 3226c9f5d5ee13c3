"""What every model must do; a new model is tested by one subclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from edgevit.export.passes.exact import run_passes
from edgevit.metrics import softmax
from edgevit.models.architecture import Architecture
from edgevit.models.registry import ARCHITECTURES
from edgevit.spec import ModelSpec

TOLERANCE = 1e-4


def stirred(model: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Give a fresh model weights without zeros and ones, and return them by path.

    Fresh biases are 0 and gains 1: with those a graph that forgets them would pass.
    """
    random = np.random.default_rng(seed)
    for weight in model.weights:
        value = weight.numpy()
        if "variance" in weight.path:
            weight.assign(random.uniform(0.5, 2.0, value.shape))
        elif value.ndim == 1:
            weight.assign(value + random.normal(0, 0.2, value.shape))
        elif "logits" in weight.path:
            weight.assign(value * 4)  # answers that are not all alike
    return {weight.path: weight.numpy() for weight in model.weights}


class ArchitectureTemplate:
    """Subclass with ``name`` (and ``image_size``, if the default one is too slow)."""

    name: ClassVar[str]
    image_size: ClassVar[int | None] = None
    class_count: ClassVar[int] = 7

    @pytest.fixture(scope="class")
    @classmethod
    def architecture(cls) -> Architecture:
        return ARCHITECTURES.get(cls.name)

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls, architecture: Architecture) -> ModelSpec:
        return architecture.spec(cls.class_count, cls.image_size)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, architecture: Architecture, spec: ModelSpec) -> Any:
        import keras

        keras.utils.set_random_seed(0)
        return architecture.build_keras(spec)

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, model: Any) -> Mapping[str, np.ndarray]:
        return stirred(model)

    @pytest.fixture(scope="class")
    @classmethod
    def pixels(cls, spec: ModelSpec) -> np.ndarray:
        shape = (3, *spec.input_shape)
        return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)

    def test_counts_equal_keras_when_computed_by_formula(
        self, architecture: Architecture, spec: ModelSpec, model: Any
    ) -> None:
        counts = architecture.parameter_counts(spec)
        assert counts.total == model.count_params()
        assert counts.trainable == sum(int(np.prod(w.shape)) for w in model.trainable_weights)

    def test_paths_are_unique_when_weights_are_saved_by_them(self, model: Any) -> None:
        paths = [weight.path for weight in model.weights]
        assert len(set(paths)) == len(paths)

    def test_graph_equals_keras_when_evaluated_in_numpy(
        self,
        architecture: Architecture,
        spec: ModelSpec,
        model: Any,
        weights: Mapping[str, np.ndarray],
        pixels: np.ndarray,
    ) -> None:
        logits = model(pixels.astype(np.float32), training=False).numpy()
        expected = softmax(logits)
        assert np.ptp(expected) > 0.01  # not all classes alike, or the test could not fail
        graph = architecture.build_graph(spec, weights)
        np.testing.assert_allclose(graph.evaluate(pixels), expected, atol=TOLERANCE)

    def test_graph_holds_every_weight_when_built(
        self,
        architecture: Architecture,
        spec: ModelSpec,
        weights: Mapping[str, np.ndarray],
    ) -> None:
        graph = architecture.build_graph(spec, weights)
        # Four vectors of a batch norm become two; normalisation holds six numbers of its own.
        batch_norms = [p for p in weights if p.endswith("/moving_mean")]
        folded = 2 * sum(weights[path].size for path in batch_norms)
        assert graph.parameter_count == sum(w.size for w in weights.values()) - folded + 6

    def test_answers_stay_when_all_passes_ran(
        self,
        architecture: Architecture,
        spec: ModelSpec,
        weights: Mapping[str, np.ndarray],
        pixels: np.ndarray,
    ) -> None:
        graph = architecture.build_graph(spec, weights)
        rewritten, reports = run_passes(graph, pixels)
        np.testing.assert_allclose(
            rewritten.evaluate(pixels), graph.evaluate(pixels), atol=TOLERANCE
        )
        assert all(report.max_difference <= TOLERANCE for report in reports)
