"""The seam between the deployment graph and a file format.

Adding a format is one file with a class that has these members and one line in
:mod:`edgevit.export.registry`; the ladder, the bundle and the command line need no change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgevit.bundle import TensorRecord
from edgevit.calibration.statistics import Range
from edgevit.export.card import ModelCard
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array
from edgevit.export.passes.calibrated import CalibratedPass
from edgevit.export.plan import Operand, Plan, unplanned
from edgevit.export.precision import Precision

Files = dict[str, bytes]


@dataclass(frozen=True)
class FileDescription:
    """What a finished file says about itself.

    Attributes:
        input: Its only input.
        output: Its only output.
        op_dtypes: Number of ops by kind and arithmetic, such as ``{"FULLY_CONNECTED int8": 74}``.
        float_matrix_ops: Names of convolutions and dense layers that compute in float.
        weights: The file's constants, dequantised, by ``OP/FIELD`` of the graph and in the
            graph's layout; those that the format keeps under such names.
        bias_steps: Distance of two neighbours on the grid of each bias that is kept in integers.
            Next to the sums of products a step is nothing, next to a tiny bias it may be much.
    """

    input: TensorRecord
    output: TensorRecord
    op_dtypes: dict[str, int]
    float_matrix_ops: tuple[str, ...]
    weights: dict[str, Array]
    bias_steps: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What a file is made from.

    Attributes:
        graph: After the passes, the recipe's own among them.
        card: What the file says about itself.
        plan: How each product rounds.
        ranges: Of the graph's values and parts; empty where the recipe is not calibrated.
    """

    graph: DeployGraph
    card: ModelCard
    plan: Plan = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


def never(graph: DeployGraph) -> None:
    """Refuse no graph."""
    return


@dataclass(frozen=True)
class Recipe:
    """How a format makes one precision.

    Attributes:
        write: Returns the files by name. The same source gives the same bytes.
        calibrated: Whether activation ranges must be calibrated on images.
        applied: What is done, per kind of op, in words; it ends up in the bundle.
        plan: How each product of a graph rounds.
        alternatives: Where calibrated dense layers may get their ranges from instead, at no cost in
            latency: each takes what loses least.
        passes: What prepares the graph for rounding, in order, for what was seen of its
            activations, without changing its answers in float. Only calibrated recipes have any.
        corrects_bias: Whether biases make up for what rounding shifts on average.
        may_keep_float: Whether single products may stay float.
        refusal: Returns why a graph should not have this precision, or ``None``.
        notes: What a user of such a bundle should know.
    """

    write: Callable[[Source], Files]
    calibrated: bool
    applied: Mapping[str, str]
    plan: Callable[[DeployGraph], Plan] = unplanned
    alternatives: tuple[Operand, ...] = ()
    passes: tuple[CalibratedPass, ...] = ()
    corrects_bias: bool = False
    may_keep_float: bool = False
    refusal: Callable[[DeployGraph], str | None] = never
    notes: tuple[str, ...] = ()


class Lowering(Protocol):
    """Turns graphs into files of one format. The runtime of the same name runs them."""

    @property
    def name(self) -> str:
        """The format's name, as ``--format`` takes it."""

    @property
    def model_file(self) -> str:
        """The name of the file in a bundle that the runtime opens."""

    def recipes(self, graph: DeployGraph) -> Mapping[Precision, Recipe]:
        """Return how each precision that this format can have is made for a graph."""

    def describe(self, path: Path) -> FileDescription:
        """Read a finished file's inputs, outputs and arithmetic."""
