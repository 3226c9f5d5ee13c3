"""What is said about predictions: accuracy, agreement, and a paired drop with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# Two-sided 95 % quantile of the normal distribution.
Z_95 = 1.959964
# Percentage points that a drop is judged by where the user named no budget.
CLAIM_POINTS = 0.3
# A result that chance alone would bring less often than this is called a difference.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Accuracy:
    """Shares of images classified right, 0–1.

    Attributes:
        top1: The best score is the true label's.
        top5: The true label is among the five best (or all, when there are fewer classes).
        loss: Mean cross-entropy, nats.
        image_count: Number of images.
    """

    top1: float
    top5: float
    loss: float
    image_count: int


@dataclass(frozen=True)
class PairedDrop:
    """The accuracy that one model loses against another on the same images.

    Attributes:
        drop_points: Top-1 of the reference minus top-1 of the candidate, percentage points.
        drop_points_low: Lower end of the 95 % interval of ``drop_points``.
        drop_points_high: Upper end of the 95 % interval of ``drop_points``.
        agreement: Share of images on which both give the same top-1 label, 0–1.
        newly_wrong: Images that only the reference gets right.
        newly_right: Images that only the candidate gets right.
        image_count: Number of images.
    """

    drop_points: float
    drop_points_low: float
    drop_points_high: float
    agreement: float
    newly_wrong: int
    newly_right: int
    image_count: int

    @property
    def flips(self) -> int:
        """Images whose top-1 label changed, also from one wrong label to another."""
        return round((1 - self.agreement) * self.image_count)

    @property
    def mcnemar_p(self) -> float:
        """Exact two-sided p-value of McNemar's test, 0–1: of no drop and no gain.

        McNemar, Psychometrika 12, 1947: if neither model is better, each image that only one of
        them gets right falls to either with the odds of a coin.
        """
        trials, fewer = self.newly_wrong + self.newly_right, min(self.newly_wrong, self.newly_right)
        tail = sum(math.exp(_log_chance(trials, k)) for k in range(fewer + 1))
        return min(1.0, 2 * tail)


def has_top5(class_count: int) -> bool:
    """Tell whether top-5 says anything: with five classes it is 100 % whatever a model says."""
    return class_count > 5


def top_k(scores: Scores, k: int) -> Labels:
    """Return the ``k`` best labels of each row, best first; equal scores keep label order.

    Args:
        scores: ``float32 [n, classes]``.
        k: At most the number of classes are returned.

    Returns:
        ``int64 [n, min(k, classes)]``.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    return order[:, :k].astype(np.int64)


def softmax(logits: Scores) -> Scores:
    """Return the softmax over the last axis, ``float32``, computed stably."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Scores = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def accuracy(probabilities: Scores, labels: Labels) -> Accuracy:
    """Score ``float32 [n, classes]`` probabilities against ``int64 [n]`` labels.

    Raises:
        ValueError: if there are no images or the lengths differ.
    """
    if len(labels) == 0 or len(labels) != len(probabilities):
        raise ValueError(f"{len(probabilities)} predictions for {len(labels)} labels")
    best = top_k(probabilities, 5)
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Accuracy(
        top1=float(np.mean(best[:, 0] == labels)),
        top5=float(np.mean((best == labels[:, None]).any(axis=1))),
        loss=float(-np.mean(np.log(np.maximum(of_truth, 1e-12)))),
        image_count=len(labels),
    )


def confusion_matrix(predicted: Labels, labels: Labels, class_count: int) -> Labels:
    """Return ``int64 [classes, classes]`` counts; rows are true labels, columns predictions."""
    cells = np.bincount(labels * class_count + predicted, minlength=class_count**2)
    return cells.reshape(class_count, class_count).astype(np.int64)


def paired_drop(reference: Scores, candidate: Scores, labels: Labels) -> PairedDrop:
    """Compare two models on the same images, image by image.

    The interval is the Wald interval for a difference of paired proportions with Agresti and
    Min's adjustment (Statistics in Medicine 24, 2005, "Simple improved confidence intervals for
    comparing matched proportions"): half an image is added to each of the four cells. So it has a
    width even where no image flipped, for which Wald's and a bootstrap have none.

    Args:
        reference: Scores of the full-precision model, ``float32 [n, classes]``.
        candidate: Scores of the other model, same shape.
        labels: True labels, ``int64 [n]``.

    Raises:
        ValueError: if there are no images or the shapes differ.
    """
    if reference.shape != candidate.shape or len(reference) != len(labels) or not len(labels):
        raise ValueError(f"{reference.shape} against {candidate.shape} for {len(labels)} labels")
    reference_best, candidate_best = top_k(reference, 1)[:, 0], top_k(candidate, 1)[:, 0]
    reference_right, candidate_right = reference_best == labels, candidate_best == labels
    newly_wrong = int(np.sum(reference_right & ~candidate_right))
    newly_right = int(np.sum(~reference_right & candidate_right))
    low, high = _interval_points(newly_wrong, newly_right, len(labels))
    return PairedDrop(
        drop_points=100.0 * (newly_wrong - newly_right) / len(labels),
        drop_points_low=low,
        drop_points_high=high,
        agreement=float(np.mean(reference_best == candidate_best)),
        newly_wrong=newly_wrong,
        newly_right=newly_right,
        image_count=len(labels),
    )


def share_interval(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0–1 (Wilson, JASA 22, 1927).

    Raises:
        ValueError: if ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"{successes} of {count}")
    share, weight = successes / count, Z_95**2 / count
    centre = (share + weight / 2) / (1 + weight)
    half_width = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values that hold for all of several tests together.

    Holm, Scandinavian Journal of Statistics 6, 1979: the smallest counts as often as there are
    tests, the next one time less, and none is smaller than the one before.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def unpaired_half_width_points(reference_top1: float, candidate_top1: float, count: int) -> float:
    """Return half the width of the 95 % interval of a drop that was not paired, percentage points.

    It is that of two independent shares with Agresti and Caffo's adjustment (The American
    Statistician 54, 2000): two images, one right and one wrong, are added to each.

    Args:
        reference_top1: Share of images that the full-precision model gets right, 0–1.
        candidate_top1: Share that the other model gets right, 0–1.
        count: Images of each.
    """
    shares = [(top1 * count + 1) / (count + 2) for top1 in (reference_top1, candidate_top1)]
    return 100.0 * Z_95 * math.sqrt(sum(share * (1 - share) for share in shares) / (count + 2))


def least_claim_points(image_count: int) -> float:
    """Return the upper end of the drop's interval, percentage points, without a single flip.

    With so few images nobody can show that a drop is smaller.
    """
    return _interval_points(0, 0, image_count)[1]


def images_for_claim(points: float) -> int:
    """Return the fewest images with which a drop can be shown to be at most ``points``.

    It takes that many if not one of them flips, and more otherwise.

    Raises:
        ValueError: if ``points`` is not above 0: no number of images is enough.
    """
    if not points > 0:
        raise ValueError(f"a drop of at most {points} points can never be shown")
    # Without a flip the interval is ±100·z / (n + 2). The rounding takes off float noise.
    return max(1, math.ceil(round(100 * Z_95 / points - 2, 6)))


def claim(drop: PairedDrop, points: float) -> str:
    """Say whether the drop was shown to be at most ``points``, without a full stop.

    A drop that was measured as 0 on few images is no proof: the interval decides.
    """
    claimed = f"the drop is at most {points:g} point{'' if points == 1 else 's'}"
    if drop.drop_points_high <= points:
        return f"{claimed} (95 %)"
    least = least_claim_points(drop.image_count)
    if least <= points:
        reach = _above(drop.drop_points_high, points)
        return f"not shown that {claimed}: the interval reaches +{reach}"
    images = "1 image" if drop.image_count == 1 else f"{drop.image_count:,} images"
    enough = f"{images_for_claim(points):,} images" if points > 0 else "no number of images"
    return (
        f"{images} cannot show that {claimed}: even without a single flip the interval would "
        f"reach +{_above(least, points)}; {enough} could"
    )


def _above(value: float, limit: float) -> str:
    """Write a number above ``limit`` with two decimals, or as many as show that it is."""
    texts = (f"{value:.{digits}f}" for digits in range(2, 17))
    return next((text for text in texts if float(text) > limit), repr(value))


def _interval_points(newly_wrong: int, newly_right: int, count: int) -> tuple[float, float]:
    adjusted_count = count + 2
    lost, gained = newly_wrong + 0.5, newly_right + 0.5
    centre = (lost - gained) / adjusted_count
    variance = ((lost + gained) - (lost - gained) ** 2 / adjusted_count) / adjusted_count**2
    half_width = Z_95 * math.sqrt(variance)
    return 100.0 * (centre - half_width), 100.0 * (centre + half_width)


def _log_chance(trials: int, successes: int) -> float:
    """Return the log of the probability of that many heads in fair throws of a coin, nats."""
    ways = (
        math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    )
    return ways - trials * math.log(2)
