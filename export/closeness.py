"""How close answers are to others: cosine and signal-to-quantisation-noise ratio (SQNR)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.metrics import Scores

Floats = npt.NDArray[np.floating[Any]]

EXACT_DB = 200.0  # stands for "no difference"


def centred(values: Floats) -> Floats:
    """Return rows without their mean."""
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def centred_logits(probabilities: Scores) -> Floats:
    """Return the logarithms of probabilities without the mean of each row: logits, for sure."""
    return centred(np.log(np.maximum(probabilities.astype(np.float64), 1e-7)))


def mean_cosine(expected: Floats, actual: Floats) -> float:
    """Return the mean cosine similarity of rows."""
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    return float(np.mean(np.sum(expected * actual, axis=1) / np.maximum(norms, 1e-12)))


def power(value: Floats) -> float:
    """Return the sum of squares."""
    return float(np.sum(np.square(value), dtype=np.float64))


def sqnr_db(expected: Floats, actual: Floats) -> float:
    """Return the signal-to-quantisation-noise ratio, decibels."""
    noise, signal = power(expected.astype(np.float64) - actual), power(expected.astype(np.float64))
    if noise == 0:
        return EXACT_DB
    return min(float(10 * np.log10(max(signal, 1e-30) / noise)), EXACT_DB)


def top1_agreement(expected: Scores, actual: Scores) -> float:
    """Return the share of rows with the same best label, 0–1."""
    return float(np.mean(expected.argmax(axis=1) == actual.argmax(axis=1)))
