"""Random flips, rotations and zooms: one affine resampling per image, in the training graph.

The random numbers are a function of the seed and the global step alone, so a resumed training
draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevit.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

NAMES = ("flip", "rotation", "zoom")

# As in the Keras example of a vision transformer: 0.02 of a turn either way, 20 % in or out.
MAX_ROTATION_RADIANS = 0.02 * 2 * math.pi
MAX_ZOOM = 0.2


def parse(text: str) -> tuple[str, ...]:
    """Read ``flip,rotation,zoom``, or ``none``.

    Returns:
        The names in the order of :data:`NAMES`, each once.

    Raises:
        InputError: listing the valid names.
    """
    names = [name.strip().lower() for name in text.split(",")]
    if names == ["none"]:
        return ()
    for name in names:
        if name not in NAMES:
            raise InputError(
                f"unknown augmentation {name!r}",
                f"Valid: {', '.join(NAMES)} – several with commas – or none",
            )
    return tuple(name for name in NAMES if name in names)


def transforms(
    names: Sequence[str], count: int, height: int, width: int, seed: int, step: tf.Tensor
) -> tf.Tensor:
    """Draw one affine map per image, from output to input coordinates.

    Args:
        names: Which of :data:`NAMES` to draw; the others are the identity.
        count: Number of images.
        height: Rows of an image.
        width: Columns of an image.
        seed: Of the training.
        step: Global step, ``int64 []``.

    Returns:
        ``float32 [count, 8]``, as ``ImageProjectiveTransformV3`` takes them.
    """
    import tensorflow as tf

    base = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    # Four numbers for every image whatever the names are: naming one more changes no other.
    drawn = tf.random.stateless_uniform([4, count], base, -1.0, 1.0, alg="philox")
    ones = tf.ones([count])
    flip = tf.where(drawn[0] < 0, -ones, ones) if "flip" in names else ones
    angle = drawn[1] * MAX_ROTATION_RADIANS if "rotation" in names else 0.0 * ones
    zoom_x = 1.0 + drawn[2] * MAX_ZOOM if "zoom" in names else ones
    zoom_y = 1.0 + drawn[3] * MAX_ZOOM if "zoom" in names else ones
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    xx, xy = tf.cos(angle) * zoom_x * flip, -tf.sin(angle) * zoom_y
    yx, yy = tf.sin(angle) * zoom_x * flip, tf.cos(angle) * zoom_y
    shift_x = centre_x - xx * centre_x - xy * centre_y
    shift_y = centre_y - yx * centre_x - yy * centre_y
    zeros = tf.zeros([count])
    return tf.stack([xx, xy, shift_x, yx, yy, shift_y, zeros, zeros], axis=1)


def resample(images: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Apply one affine map to each image: bilinear, with reflected edges.

    Args:
        images: ``float32 [n, height, width, 3]``, 0–255.
        maps: ``float32 [n, 8]`` of :func:`transforms`.

    Returns:
        ``float32 [n, height, width, 3]``, 0–255.
    """
    import tensorflow as tf

    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=maps,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
