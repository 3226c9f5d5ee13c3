"""The seam between the deployment graph and a file format.

Adding a format is one file with a class that has these members and one line in
:mod:`edgevit.export.registry`; the ladder, the bundle and the command line need no change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevit.bundle import TensorRecord
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array
from edgevit.export.precision import Precision
from edgevit.preprocessing import Pixels


@dataclass(frozen=True)
class Lowered:
    """A model file's bytes, and what was really done to get them.

    Attributes:
        data: The file.
        applied_precision: Per kind of op, in words.
    """

    data: bytes
    applied_precision: dict[str, str]


@dataclass(frozen=True)
class FileDescription:
    """What a finished file says about itself.

    Attributes:
        input: Its only input.
        output: Its only output.
        op_dtypes: Number of ops by kind and arithmetic, such as ``{"FULLY_CONNECTED int8": 74}``.
        float_matrix_ops: Names of convolutions and dense layers whose weights are float32.
        weights: The file's constants, dequantised, by ``OP/FIELD`` of the graph and in the
            graph's layout; those that the format keeps under such names.
    """

    input: TensorRecord
    output: TensorRecord
    op_dtypes: dict[str, int]
    float_matrix_ops: tuple[str, ...]
    weights: dict[str, Array]


class Lowering(Protocol):
    """Turns graphs into files of one format. The runtime of the same name runs them."""

    @property
    def name(self) -> str:
        """The format's name, as ``--format`` takes it."""

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that this format can have."""

    @property
    def model_file(self) -> str:
        """The name of the file in a bundle."""

    def needs_calibration(self, graph: DeployGraph, precision: Precision) -> bool:
        """Say whether activation ranges must be calibrated on images."""

    def lower(
        self, graph: DeployGraph, precision: Precision, calibration: Pixels | None
    ) -> Lowered:
        """Make the file: the same arguments give the same bytes.

        Args:
            graph: After the passes.
            precision: One of :attr:`precisions`.
            calibration: ``uint8 [n, height, width, 3]``; ``None`` where none is needed.
        """

    def describe(self, path: Path) -> FileDescription:
        """Read a finished file's inputs, outputs and arithmetic."""
