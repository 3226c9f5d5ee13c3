"""The compiled training and evaluation steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevit.training import augmentation
from edgevit.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@dataclass(frozen=True)
class Sums:
    """What was counted over the photos so far: summed cross-entropy in nats, and numbers."""

    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats; 0 before the first photo."""
        return self.loss_sum / max(1, self.seen)

    @property
    def accuracy(self) -> float:
        """Share classified right, 0–1; 0 before the first photo."""
        return self.correct / max(1, self.seen)


class Counter:
    """Running sums on the device, so that no step waits for the one before to be read."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._loss_sum = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._correct = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._seen = tf.Variable(0, dtype=tf.int64, trainable=False)

    def add(self, loss_sum: tf.Tensor, correct: tf.Tensor, seen: tf.Tensor) -> None:
        """Add one batch's sums; for use in a graph."""
        import tensorflow as tf

        self._loss_sum.assign_add(tf.cast(loss_sum, tf.float64))
        self._correct.assign_add(tf.cast(correct, tf.int64))
        self._seen.assign_add(tf.cast(seen, tf.int64))

    def read(self) -> Sums:
        """Return the sums; waits for the last step."""
        return Sums(
            float(self._loss_sum.numpy()), int(self._correct.numpy()), int(self._seen.numpy())
        )

    def set(self, sums: Sums) -> None:
        """Overwrite the sums."""
        self._loss_sum.assign(sums.loss_sum)
        self._correct.assign(sums.correct)
        self._seen.assign(sums.seen)


class Steps:
    """One training step and one evaluation step of a model, each compiled once.

    Args:
        model: Takes pixels 0–255, returns logits.
        optimizer: Built for the model's trainable variables.
        strategy: The devices.
        settings: Gives label smoothing, augmentation and seed.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: Any,
        strategy: tf.distribute.Strategy,
        settings: TrainSettings,
    ) -> None:
        import tensorflow as tf

        self._model = model
        self._optimizer = optimizer
        self._strategy = strategy
        self._settings = settings
        # Plain TensorFlow variables: the tape then watches these and nothing else.
        self._trained = [variable.value for variable in model.trainable_variables]
        self.train_counter = Counter()
        self.eval_counter = Counter()
        # Global step of the first loss that was no number; −1 while there is none.
        self._bad_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
        self._train = tf.function(self._train_graph)
        self._evaluate = tf.function(self._evaluate_graph)

    @property
    def bad_step(self) -> int | None:
        """The global step of the first loss that was NaN or infinite."""
        step = int(self._bad_step.numpy())
        return None if step < 0 else step

    def train(self, batch: tuple[tf.Tensor, ...], step: int, learning_rate: float) -> None:
        """Run one training step.

        Args:
            batch: Pixels, labels and weights, as :func:`pipeline.batches` gives them.
            step: Global step.
            learning_rate: Of this step.
        """
        import tensorflow as tf

        self._optimizer.learning_rate = learning_rate
        self._train(*batch, tf.constant(step, tf.int64))

    def evaluate(self, batch: tuple[tf.Tensor, ...]) -> None:
        """Count one batch in :attr:`eval_counter`, without augmentation or dropout."""
        self._evaluate(*batch)

    def _train_graph(
        self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, step: tf.Tensor
    ) -> None:
        import tensorflow as tf

        seen = tf.reduce_sum(weights)
        counts = self._strategy.run(self._train_replica, (images, labels, weights, seen, step))
        loss_sum, correct = self._summed(counts)
        self.train_counter.add(loss_sum, correct, seen)
        is_bad = (self._bad_step < 0) & ~tf.math.is_finite(loss_sum)
        self._bad_step.assign(tf.where(is_bad, step, self._bad_step))

    def _train_replica(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        seen: tf.Tensor,
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        images = self._augmented(images, step)
        labels, weights = self._share(labels), self._share(weights)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._trained)
            logits = tf.cast(self._model(images, training=True), tf.float32)
            smooth = self._smoothed_loss(logits, labels)
            loss = self._optimizer.scale_loss(tf.reduce_sum(smooth * weights) / seen)
        self._apply(tape.gradient(loss, self._trained))
        return _counts(logits, labels, weights)

    def _augmented(self, images: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Return this device's share of the batch as ``float32``, augmented."""
        import tensorflow as tf

        names, (count, height, width, _) = self._settings.augment, images.shape
        images = tf.cast(self._share(images), tf.float32)
        if not names:
            return images
        # Drawn for the whole batch on each device: how it is split changes no photo.
        maps = augmentation.transforms(names, count, height, width, self._settings.seed, step)
        return augmentation.resample(images, self._share(maps))

    def _smoothed_loss(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        classes, smoothing = logits.shape[-1], self._settings.label_smoothing
        target = tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(target, logits)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        import tensorflow as tf

        replicas = self._strategy.num_replicas_in_sync
        if replicas > 1:
            # Keras clips before it sums over the devices. Summed here first, and handed over as
            # equal shares, the clipped norm is the whole gradient's.
            context = tf.distribute.get_replica_context()
            summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients = [gradient / replicas for gradient in summed]
        self._optimizer.apply(gradients, self._model.trainable_variables)

    def _evaluate_graph(self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> None:
        import tensorflow as tf

        counts = self._strategy.run(self._evaluate_replica, (images, labels, weights))
        self.eval_counter.add(*self._summed(counts), tf.reduce_sum(weights))

    def _evaluate_replica(
        self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        images = tf.cast(self._share(images), tf.float32)
        logits = tf.cast(self._model(images, training=False), tf.float32)
        return _counts(logits, self._share(labels), self._share(weights))

    def _share(self, tensor: tf.Tensor) -> tf.Tensor:
        """Return this device's share of the rows."""
        import tensorflow as tf

        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1:
            return tensor
        shares = tf.reshape(tensor, (replicas, -1, *tensor.shape[1:]))
        return tf.gather(shares, tf.distribute.get_replica_context().replica_id_in_sync_group)

    def _summed(self, counts: tuple[Any, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        add = tf.distribute.ReduceOp.SUM
        first, second = (self._strategy.reduce(add, count, axis=None) for count in counts)
        return first, second


def _counts(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the summed cross-entropy, nats, and the number of right answers."""
    import tensorflow as tf

    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    right = tf.cast(tf.argmax(logits, axis=-1) == labels, tf.float32)
    return tf.reduce_sum(losses * weights), tf.reduce_sum(right * weights)
