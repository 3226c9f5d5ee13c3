"""Range estimators: from what was seen of a value to the range that 256 levels are spread over."""

from __future__ import annotations

import numpy as np

from edgevit.calibration.statistics import Observed, Range
from edgevit.export.ops import Array

_SHARES_KEPT = np.linspace(1, 0.3, 36)
_STEPS = 255


def min_max(value: Observed) -> Range:
    """Return the least and the largest number: nothing is clipped."""
    return value.span


def least_squares(value: Observed) -> Range:
    """Return the clipped span whose 256 levels give the least squared error on the sample.

    One far outlier would otherwise take resolution from all other numbers.
    """
    low, high = value.span
    low, high = min(low, 0.0), max(high, 0.0)
    errors = [_squared_error(value.sample, share * low, share * high) for share in _SHARES_KEPT]
    share = float(_SHARES_KEPT[int(np.argmin(errors))])
    return share * low, share * high


def _squared_error(sample: Array, low: float, high: float) -> float:
    scale = np.float32((high - low) / _STEPS or 1.0)
    levels = np.rint(sample.clip(low, high) / scale)
    return float(np.mean(np.square(levels * scale - sample)))
