"""Range estimators: from what was seen of a value to the range that 256 levels are spread over.

One interface, :data:`RangeEstimator`; every format takes its ranges from here. Which estimator
suits a value depends on what kind of value it is (:func:`kind_of`): a :class:`RangePolicy` names
one for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from edgevit.calibration.statistics import SCORES, Observed, Range
from edgevit.errors import InputError
from edgevit.export import ops
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Array

RangeEstimator = Callable[[Observed], Range]

# Of the span, the shares that an estimator which clips may keep.
_SHARES_KEPT = np.linspace(1, 0.3, 36)
_STEPS = 255
_PERCENTILE = 99.99
_BINS = 2048


def min_max(value: Observed) -> Range:
    """Return the least and the largest number: nothing is clipped."""
    return value.span


def percentile(value: Observed) -> Range:
    """Return the span of all but the outermost 0.01 % of the sample at either end."""
    if not value.sample.any():  # a rare activation that the sample missed
        return value.span
    low, high = np.percentile(value.sample, [100 - _PERCENTILE, _PERCENTILE])
    return float(low), float(high)


def running_mean(value: Observed) -> Range:
    """Return the mean over the images of each image's least and largest number.

    One photo that is unlike the others then moves the range little (the moving average of Jacob et
    al. 2018, arXiv:1712.05877, section 3.1, over a set that is seen once).
    """
    return float(np.mean(value.lows.min(axis=1))), float(np.mean(value.highs.max(axis=1)))


def mse(value: Observed) -> Range:
    """Return the clipped span whose 256 levels give the least squared error on the sample.

    One far outlier would otherwise take resolution from all other numbers.
    """
    return _best_share(value, lambda low, high: _squared_error(value.sample, low, high))


def entropy(value: Observed) -> Range:
    """Return the clipped span that keeps most of the sample's distribution.

    That is, with the least Kullback–Leibler divergence of the histogram in 256 levels from the
    histogram itself (Migacz 2017, "8-bit inference with TensorRT").
    """
    low, high = _with_zero(value.span)
    if high == low or not value.sample.any():
        return low, high
    # Zeros, of which ReLU leaves many, are on every grid.
    counts, edges = np.histogram(value.sample[value.sample != 0], bins=_BINS, range=(low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    return _best_share(value, lambda least, most: _divergence(counts, centres, least, most))


ESTIMATORS: Mapping[str, RangeEstimator] = {
    "min-max": min_max,
    "percentile": percentile,
    "running-mean": running_mean,
    "mse": mse,
    "entropy": entropy,
}


def _with_zero(span: Range) -> Range:
    return min(span[0], 0.0), max(span[1], 0.0)


def _best_share(value: Observed, cost: Callable[[float, float], float]) -> Range:
    low, high = _with_zero(value.span)
    costs = [cost(share * low, share * high) for share in _SHARES_KEPT]
    share = float(_SHARES_KEPT[int(np.argmin(costs))])
    return share * low, share * high


def _squared_error(sample: Array, low: float, high: float) -> float:
    scale = np.float32((high - low) / _STEPS or 1.0)
    levels = np.rint(sample.clip(low, high) / scale)
    return float(np.mean(np.square(levels * scale - sample)))


def _divergence(
    counts: npt.NDArray[np.int64], centres: npt.NDArray[np.float64], low: float, high: float
) -> float:
    """Return how far a histogram is from itself in 256 levels between two bounds, nats.

    What is clipped is counted in the outermost bins that are kept; within a level the counts are
    spread over the bins that were not empty.
    """
    kept = (centres >= low) & (centres <= high)
    if not kept.any():
        return np.inf
    clipped = counts[kept].astype(np.float64)
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    levels = np.rint((centres[kept] - low) / ((high - low) / _STEPS)).astype(np.int64)
    filled = counts[kept] > 0
    sums = np.bincount(levels, counts[kept], _STEPS + 1)
    bins = np.bincount(levels, filled, _STEPS + 1)
    spread = np.where(filled, sums[levels] / np.maximum(bins[levels], 1), 0.0)
    expected, actual = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
    seen = expected > 0
    return float(np.sum(expected[seen] * np.log(expected[seen] / np.maximum(actual[seen], 1e-12))))


Kind = Literal[
    "pixels", "norm", "gelu", "relu", "attention", "scores", "residual", "product", "statistics"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_KINDS: tuple[tuple[type[ops.Op] | tuple[type[ops.Op], ...], Kind], ...] = (
    (ops.Input, "pixels"),
    (ops.LayerNorm, "norm"),
    (ops.Gelu, "gelu"),
    (ops.Relu, "relu"),
    (ops.Attention, "attention"),
    ((ops.Add, ops.AddConstant, ops.PrependToken), "residual"),
)


def kind_of(graph: DeployGraph, name: str) -> Kind:
    """Return what kind of value a name stands for.

    ``attention`` is what attention returns; ``scores`` go into its softmax; ``statistics`` are the
    numbers inside a layer norm; ``product`` is what dense layers and convolutions return. What only
    moves numbers is of its source's kind.
    """
    op_name, _, part = name.rpartition("/")
    if part and op_name in graph and name not in graph:
        return "scores" if part == SCORES else "statistics"
    op = graph.op(name)
    while isinstance(op, ops.Moving):
        op = graph.op(op.inputs[0])
    return next((kind for types, kind in _KINDS if isinstance(op, types)), "product")


@dataclass(frozen=True)
class RangePolicy:
    """Which estimator gives the range of which kind of value.

    Attributes:
        default: Name of the estimator of the kinds that are not listed; ``statistics`` keep
            min-max, for their extremes decide about overflow.
        by_kind: Names of the others'.
    """

    default: str = "min-max"
    by_kind: Mapping[Kind, str] = field(default_factory=dict)

    def estimator(self, kind: Kind) -> RangeEstimator:
        """Return the estimator of a kind."""
        default = "min-max" if kind == "statistics" else self.default
        return ESTIMATORS[self.by_kind.get(kind, default)]

    def ranges(self, graph: DeployGraph, observed: Mapping[str, Observed]) -> dict[str, Range]:
        """Return the range of every value and part that was looked at."""
        return {
            name: self.estimator(kind_of(graph, name))(value) for name, value in observed.items()
        }

    def with_choices(self, choices: Iterable[str]) -> RangePolicy:
        """Return a policy in which a user's choices come first.

        Args:
            choices: ``ESTIMATOR`` for all kinds, or ``KIND=ESTIMATOR``; later ones come first.

        Raises:
            InputError: listing the valid names.
        """
        policy = self
        for choice in choices:
            kind, equals, name = choice.rpartition("=")
            if name not in ESTIMATORS:
                raise InputError(
                    f"unknown range estimator {name!r}", f"Valid: {', '.join(ESTIMATORS)}"
                )
            if not equals:
                policy = RangePolicy(name)
            elif kind in KINDS:
                policy = RangePolicy(policy.default, {**policy.by_kind, kind: name})
            else:
                raise InputError(f"unknown kind of value {kind!r}", f"Valid: {', '.join(KINDS)}")
        return policy
