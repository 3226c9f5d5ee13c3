"""The optimiser: AdamW with decay on matrices only, clipped gradients, and loss scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgevit.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

MAX_GRADIENT_NORM = 1.0


def build_optimizer(model: keras.Model, settings: TrainSettings, replica_count: int) -> Any:
    """Build the optimiser with its variables.

    Args:
        model: Its trainable variables are optimised.
        settings: Gives weight decay and precision.
        replica_count: Devices that share a batch. Each hands over its share of the summed
            gradient, 1/``replica_count`` of it, so the norm is clipped at that share.

    Returns:
        A Keras optimiser; with ``mixed_float16``, one that scales the loss.
    """
    import keras

    optimizer = keras.optimizers.AdamW(
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=MAX_GRADIENT_NORM / replica_count,
    )
    spared = [v for v in model.trainable_variables if not is_decayed(v)]
    optimizer.exclude_from_weight_decay(var_list=spared)
    if settings.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def is_decayed(variable: keras.Variable) -> bool:
    """Say whether weight decay applies: to kernels, not biases, norms, positions or tokens."""
    return str(variable.name).endswith("kernel")
