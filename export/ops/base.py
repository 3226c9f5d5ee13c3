"""What an op of a deployment graph is, and the two families that passes care about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Op(ABC):
    """One step of a graph.

    Attributes:
        name: Of the op and of the value that it computes.
        inputs: Names of the values that it reads.
    """

    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def shape(self, *inputs: Shape) -> Shape:
        """Return the output's shape; raises ValueError if the inputs do not fit."""

    @abstractmethod
    def evaluate(self, *inputs: Any) -> Array:
        """Compute the output for a batch."""

    def arrays(self) -> dict[str, Array]:
        """Return the op's weights by field name."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in held.items() if isinstance(value, np.ndarray)}


class TokenWise(Op):
    """An op that treats every token (or pixel) on its own: a selection of tokens passes it.

    The shape stays, unless a subclass says otherwise.
    """

    def shape(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        return inputs[0]


class Moving(Op):
    """An op that only moves, drops or repeats numbers: the input's range and grid suit them."""
