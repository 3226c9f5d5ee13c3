from __future__ import annotations

import numpy as np

from edgevit.explain.attention import (
    attention_weights,
    entropy_nats,
    rollout,
    shares_of_patches,
)
from edgevit.export.ops import Attention

# Two blocks of two heads on three tokens, worked out by hand. Heads' means:
# W1 = [½ ½ 0; 0 ½ ½; ½ 0 ½], W2 = [0 ½ ½; ½ 0 ½; 0 ½ ½], and A = ½ W + ½ I.
FIRST = np.array(
    [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]], dtype=np.float32
)
SECOND = np.array(
    [[[0, 0.5, 0.5], [1, 0, 0], [0, 1, 0]], [[0, 0.5, 0.5], [0, 0, 1], [0, 0, 1]]],
    dtype=np.float32,
)
BY_HAND = np.array([[0.4375, 0.3125, 0.25], [0.25, 0.4375, 0.3125], [0.1875, 0.1875, 0.625]])


def test_rollout_equals_hand_computation_when_two_blocks_have_two_heads() -> None:
    np.testing.assert_allclose(rollout([FIRST, SECOND]), BY_HAND, rtol=1e-12)
    # The order of the blocks counts.
    assert np.abs(rollout([SECOND, FIRST]) - BY_HAND).max() > 0.01


def test_rollout_rows_add_up_to_one_when_weights_do_not() -> None:
    rolled = rollout([np.float32(3) * FIRST, np.float32(0.2) * SECOND])
    np.testing.assert_allclose(rolled.sum(axis=1), 1, rtol=1e-12)


def test_shares_take_the_class_row_when_there_is_a_class_token() -> None:
    shares = shares_of_patches(BY_HAND, class_token=True)
    np.testing.assert_allclose(shares, [5 / 9, 4 / 9], rtol=1e-12)


def test_shares_take_the_mean_when_there_is_no_class_token() -> None:
    shares = shares_of_patches(BY_HAND, class_token=False)
    np.testing.assert_allclose(shares, np.array([0.875, 0.9375, 1.1875]) / 3, rtol=1e-12)


def test_shares_are_even_when_the_class_token_looks_at_itself_only() -> None:
    assert shares_of_patches(np.eye(3), class_token=True).tolist() == [0.5, 0.5]


def test_entropy_is_zero_or_the_logarithm_when_heads_are_sharp_or_even() -> None:
    even = np.full((3, 3), 1 / 3, dtype=np.float32)
    np.testing.assert_allclose(
        entropy_nats(np.stack([FIRST[0], even])), [0, np.log(3)], rtol=1e-6, atol=1e-12
    )
    # Rows of ln 2, 0 and 0.
    np.testing.assert_allclose(entropy_nats(SECOND[:1]), [np.log(2) / 3], rtol=1e-6)


def test_weights_mix_values_as_the_op_does_when_recomputed() -> None:
    random = np.random.default_rng(0)
    queries, keys, values = (random.normal(0, 2, (5, 6)).astype(np.float32) for _ in range(3))
    op = Attention(name="attention", inputs=("q", "k", "v"), heads=2, scale=3**-0.5)
    weights = attention_weights(op, queries, keys)
    assert weights.shape == (2, 5, 5)
    mixed = [weights[head] @ values[:, 3 * head : 3 * head + 3] for head in range(2)]
    expected = op.evaluate(queries[None], keys[None], values[None])[0]
    np.testing.assert_allclose(np.concatenate(mixed, axis=1), expected, atol=1e-6)
