"""TensorFlow and Keras, loaded quietly and set up the way that training needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from edgevit.errors import InputError
from edgevit.runtimes.keras_backends import BACKENDS

if TYPE_CHECKING:
    import tensorflow as tf

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_CPU_INFO = Path("/proc/cpuinfo")
# The flags, as Linux spells them, of processors that multiply bfloat16 in hardware.
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def load_tensorflow() -> None:
    """Import TensorFlow and Keras on it, without their chatter on the user's terminal.

    Raises:
        MissingDependencyError: if one of them is not installed.
        InputError: if this process runs Keras on another backend.
    """
    BACKENDS.get("tensorflow").load()


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and allow only deterministic kernels."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def gpus() -> tuple[str, ...]:
    """Return the names of the GPUs that TensorFlow sees, such as ``GPU:0``."""
    import tensorflow as tf

    return tuple(f"GPU:{i}" for i, _ in enumerate(tf.config.list_physical_devices("GPU")))


def choose_precision(mixed: bool, *, cpu_info: Path = _CPU_INFO) -> Precision:
    """Choose the number format to train in.

    Args:
        mixed: Compute in 16 bits where the hardware does; weights stay ``float32`` regardless.
        cpu_info: Where Linux lists the processor's flags.

    Raises:
        InputError: if there is no GPU and the processor has no bfloat16.
    """
    if not mixed:
        return "float32"
    if gpus():
        return "mixed_float16"
    if not _BFLOAT16_FLAGS & _cpu_flags(cpu_info):
        raise InputError(
            "--mixed-precision needs a GPU or a processor with bfloat16, and this machine has "
            f"neither (none of {', '.join(sorted(_BFLOAT16_FLAGS))} in {cpu_info})",
            "Train without --mixed-precision",
        )
    return "mixed_bfloat16"


def _cpu_flags(cpu_info: Path) -> frozenset[str]:
    with contextlib.suppress(OSError):
        for line in cpu_info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def multi_gpu_devices(batch_size: int) -> tuple[str, ...]:
    """Return the GPUs over which a batch is split.

    Raises:
        InputError: if there are fewer than two, or the batch does not split evenly.
    """
    devices = gpus()
    if len(devices) < 2:
        raise InputError(
            f"--multi-gpu needs at least 2 GPUs, TensorFlow sees {len(devices)}",
            "Train without --multi-gpu",
        )
    if batch_size % len(devices):
        raise InputError(
            f"a batch of {batch_size} images does not split evenly over {len(devices)} GPUs",
            f"Use --batch-size {max(1, batch_size // len(devices)) * len(devices)}",
        )
    return devices


def strategy_over(devices: Sequence[str]) -> tf.distribute.Strategy:
    """Return what runs one step on all the devices: none named means TensorFlow's default one."""
    import tensorflow as tf

    if not devices:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(list(devices))


@contextlib.contextmanager
def dtype_policy(precision: Precision) -> Iterator[None]:
    """Build Keras layers in ``precision`` inside the block."""
    import keras

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
