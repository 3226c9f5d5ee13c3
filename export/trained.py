"""A run's weights as a deployment graph, before any pass."""

from __future__ import annotations

from edgevit.errors import InputError
from edgevit.export.graph import DeployGraph
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import WEIGHTS_FILE, Run, require_finite


def trained_graph(run: Run) -> DeployGraph:
    """Build the graph that a run has trained: every token in every block.

    Raises:
        InputError: if its weights are not finite, or not those of its architecture.
        MissingDependencyError: if safetensors is not installed.
    """
    spec = run.record.spec
    weights = run.weights()
    require_finite(weights, run.root / WEIGHTS_FILE)
    try:
        return ARCHITECTURES.get(spec.model).build_graph(spec, weights)
    except (KeyError, ValueError) as error:  # a tensor is missing or has another shape
        raise InputError(
            f"the weights of {run.root} are not those of a {spec.model} ({error})",
            "The run is damaged: copy it again, or train it again",
        ) from error
