"""What a pass is that looks at activations: it rewrites a graph for rounding, exactly in float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgevit.calibration.ranges import RangePolicy
from edgevit.calibration.statistics import Calibration
from edgevit.export.plan import Plan


@dataclass(frozen=True)
class Rounding:
    """What a calibrated pass prepares for.

    Attributes:
        plan: How each product will round.
        policy: Where ranges will come from.
    """

    plan: Plan
    policy: RangePolicy


CalibratedPass = Callable[[Calibration, Rounding], Calibration]
