"""What is said about predictions: accuracy, agreement, and a paired drop with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

# Two-sided 95 % quantile of the normal distribution.
Z_95 = 1.959964


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
    comparing matched proportions"): half an image is added to each of the four cells.

    Args:
        reference: Scores of the full-precision model, ``float32 [n, classes]``.
        candidate: Scores of the other model, same shape.
        labels: True labels, ``int64 [n]``.
    """
    if reference.shape != candidate.shape or len(reference) != len(labels):
        raise ValueError(f"{reference.shape} against {candidate.shape} for {len(labels)} labels")
    reference_best, candidate_best = top_k(reference, 1)[:, 0], top_k(candidate, 1)[:, 0]
    reference_right, candidate_right = reference_best == labels, candidate_best == labels
    newly_wrong = int(np.sum(reference_right & ~candidate_right))
    newly_right = int(np.sum(~reference_right & candidate_right))
    count = len(labels)
    adjusted_count = count + 2
    lost, gained = newly_wrong + 0.5, newly_right + 0.5
    centre = (lost - gained) / adjusted_count
    variance = ((lost + gained) - (lost - gained) ** 2 / adjusted_count) / adjusted_count**2
    half_width = Z_95 * math.sqrt(variance)
    return PairedDrop(
        drop_points=100.0 * (newly_wrong - newly_right) / count,
        drop_points_low=100.0 * (centre - half_width),
        drop_points_high=100.0 * (centre + half_width),
        agreement=float(np.mean(reference_best == candidate_best)),
        newly_wrong=newly_wrong,
        newly_right=newly_right,
        image_count=count,
    )
