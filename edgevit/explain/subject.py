"""The model that is explained: a run's float weights as a deployment graph."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from edgevit.bench.accuracy import find_run
from edgevit.bundle import Bundle
from edgevit.errors import InputError, MissingDependencyError
from edgevit.explain.gradcam import tail_of
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Attention
from edgevit.export.trained import trained_graph
from edgevit.run import Run
from edgevit.runtimes.classifier import find_kind

# The graph needs all but the last, the pictures need the last.
_PACKAGES = ("safetensors", "scipy", "threadpoolctl", "matplotlib")


@dataclass(frozen=True)
class Subject:
    """A model whose inner values can be computed.

    Attributes:
        run: Its weights.
        graph: Before any pass: every token in every block.
        bundle_name: The bundle that was asked about; ``None`` if the run itself was.

    Raises:
        InputError: if it has nothing that can be explained.
    """

    run: Run
    graph: DeployGraph
    bundle_name: str | None = None

    def __post_init__(self) -> None:
        if not self.attention and tail_of(self.graph) is None:
            raise InputError(
                f"{self.run.name} has neither attention nor a last convolution with dense layers "
                "behind it, so nothing of it can be explained",
                "Explained are attention (vit-b32, vit-b16, vit-scratch, vit-tiny) and, by "
                "Grad-CAM, convolutions (vgg16)",
            )

    @property
    def attention(self) -> tuple[Attention, ...]:
        """The attention of each encoder block, from the first block to the last."""
        return tuple(self.graph.of_type(Attention))

    def choose_layer(self, layer: int | None) -> int | None:
        """Return the index of the encoder block whose heads are shown.

        Args:
            layer: As the user gave it; the last block by default.

        Returns:
            ``None`` for a model without attention.

        Raises:
            InputError: if there is no such block.
        """
        count = len(self.attention)
        if layer is None:
            return count - 1 if count else None
        if not count:
            raise InputError(
                f"{self.run.name} is a {self.run.record.spec.model}, which has no attention, so "
                f"--layer {layer} names nothing",
                "Leave --layer out: it is explained by Grad-CAM",
            )
        if not 0 <= layer < count:
            raise InputError(
                f"{self.run.name} has no encoder block {layer}",
                f"Give --layer 0 to {count - 1}; the last is the default",
            )
        return layer


def open_subject(path: Path) -> Subject:
    """Open a run, or the run that a bundle was exported from.

    Raises:
        InputError: if it is neither, was changed, its run is not here, its weights are not finite
            or not of its architecture, or there is nothing to explain.
        MissingDependencyError: if a package for the computation or the pictures is missing.
    """
    _require_packages()
    bundle = Bundle.load(path) if find_kind(path) == "bundle" else None
    run = Run.load(path if bundle is None else _run_of(bundle))
    return Subject(run, trained_graph(run), None if bundle is None else bundle.name)


def _run_of(bundle: Bundle) -> Path:
    try:
        return find_run(bundle)
    except InputError as error:
        raise InputError(
            f"{bundle.name} is explained through its run, for a bundle keeps no float weights, and "
            f"{error.problem}",
            f"Give the run itself: edgevit explain runs/{bundle.run_name} …",
        ) from error


def _require_packages() -> None:
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"explaining a model needs {package}", "pip install 'edgevit[export,report]'"
            )
