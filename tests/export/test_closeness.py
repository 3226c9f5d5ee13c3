from __future__ import annotations

import numpy as np
import pytest

from edgevit.export.closeness import (
    EXACT_DB,
    centred,
    centred_logits,
    mean_cosine,
    sqnr_db,
    top1_agreement,
)
from edgevit.metrics import softmax


def test_logits_are_known_but_for_a_constant_when_probabilities_are_given() -> None:
    logits = np.float32([[1, 2, -3], [0, 0, 9]])
    np.testing.assert_allclose(centred_logits(softmax(logits + 5)), centred(logits), atol=1e-5)


def test_logits_are_finite_when_a_probability_is_zero() -> None:
    assert np.isfinite(centred_logits(np.float32([[0, 1, 0]]))).all()


@pytest.mark.parametrize(("noise", "decibels"), [(1.0, 0), (0.1, 20), (0.001, 60)])
def test_noise_is_in_decibels_below_the_signal_when_compared(noise: float, decibels: float) -> None:
    signal = np.tile([1.0, -1.0], (3, 4))
    assert sqnr_db(signal, signal + noise) == pytest.approx(decibels, abs=1e-6)


def test_noise_is_limited_when_nothing_or_everything_differs() -> None:
    ones = np.ones((2, 3))
    assert sqnr_db(ones, ones) == EXACT_DB
    assert sqnr_db(ones, ones + 1e-12) == EXACT_DB
    assert sqnr_db(0 * ones, ones) < -200


def test_cosine_is_the_mean_over_rows_when_they_differ() -> None:
    expected = np.array([[1.0, 0], [1, 0], [0, 2]])
    actual = np.array([[3.0, 0], [0, 1], [0, -1]])
    assert mean_cosine(expected, actual) == pytest.approx(0)
    assert mean_cosine(expected, 2 * expected) == pytest.approx(1)
    assert mean_cosine(0 * expected, expected) == 0


def test_agreement_is_the_share_of_same_labels_when_rows_differ() -> None:
    expected = np.float32([[0.5, 0.3], [0.1, 0.9], [0.6, 0.4], [0.2, 0.8]])
    actual = np.float32([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.0, 1.0]])
    assert top1_agreement(expected, actual) == 0.75
