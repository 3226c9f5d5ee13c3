"""The learning rate as a function of the global step."""

from __future__ import annotations

import math

WARM_UP_SHARE = 0.05


def learning_rate(step: int, total_steps: int, peak: float) -> float:
    """Return the rate of one step: linear warm-up over 5 % of the steps, then a cosine to 0.

    Args:
        step: Global step, from 0.
        total_steps: Steps of the whole training.
        peak: The rate at the end of the warm-up.
    """
    warm_up_steps = max(1, round(WARM_UP_SHARE * total_steps))
    if step < warm_up_steps:
        return peak * (step + 1) / warm_up_steps
    progress = (step + 1 - warm_up_steps) / max(1, total_steps - warm_up_steps)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
