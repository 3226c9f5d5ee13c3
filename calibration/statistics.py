"""Statistics of a graph's activations on calibration images, shared by every format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgevit import console
from edgevit.export.graph import DeployGraph
from edgevit.preprocessing import Pixels

Range = tuple[float, float]

_BATCH_SIZE = 2


@dataclass(frozen=True, eq=False)
class Calibration:
    """A graph and the images on which its activations are looked at.

    Attributes:
        graph: After the passes.
        images: ``uint8 [n, height, width, 3]``, training photos.
    """

    graph: DeployGraph
    images: Pixels

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """The least and the largest number of every value of the graph."""
        title = f"Looking at the activations on {len(self.images)} calibration images"
        with console.step(title):
            batches = self.graph.map_batches(self._batch_ranges, self.images, _BATCH_SIZE)
        return {
            name: (min(batch[name][0] for batch in batches), max(b[name][1] for b in batches))
            for name in batches[0]
        }

    def _batch_ranges(self, pixels: Pixels) -> dict[str, Range]:
        return {
            op.name: (float(value.min()), float(value.max()))
            for op, value in self.graph.walk(pixels)
        }
