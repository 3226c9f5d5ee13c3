"""A tiny real classifier of colours, with real photos, a run and a bundle around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle import (
    LABELS_FILE,
    BundleRecord,
    SourceRecord,
    TensorRecord,
    render_labels,
    write_bundle,
)
from edgevit.data.dataset import SPLITS, Dataset, SplitName
from edgevit.preprocessing import Pixels, Preprocessing
from edgevit.run import WEIGHTS_FILE, Run
from edgevit.spec import ModelSpec
from edgevit.storage import record_of
from tests.datasets import Counts, write_dataset
from tests.records import finish_run

COLOURS = ("blue", "green", "red")
SIZE = 16
TRAIN_PHOTOS_PER_COLOUR = 6
TEST_PHOTOS_PER_COLOUR = 4
CHANNEL = {"red": 0, "green": 1, "blue": 2}
SPEC = ModelSpec("colours", len(COLOURS), Preprocessing(height=SIZE, width=SIZE))


def photo_of(colour: str, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return ``uint8 [SIZE, SIZE, 3]``: dark noise and one bright channel."""
    noise = np.random.default_rng([seed, CHANNEL[colour]]).integers(0, 100, (SIZE, SIZE, 3))
    noise[:, :, CHANNEL[colour]] += 120
    return noise.astype(np.uint8)


@cache
def colour_model(kind: str = "float") -> bytes:
    """Convert the model: ``float``, ``int8`` or ``uint8`` input, or two ``partitions``."""
    import tensorflow as tf

    mix = np.zeros((1, 1, 3, 3), dtype=np.float32)
    for label, colour in enumerate(COLOURS):
        mix[0, 0, CHANNEL[colour], label] = 1 / 64
    integer = kind in ("int8", "uint8")
    dtype = tf.float32 if integer else tf.uint8

    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], dtype)])
    def forward(pixels: Any) -> Any:
        values = tf.nn.conv2d(tf.cast(pixels, tf.float32), mix, 1, "SAME")
        if kind == "partitions":
            values = tf.cumsum(values, axis=1) / SIZE
            values = tf.nn.conv2d(values, np.eye(3, dtype=np.float32)[None, None], 1, "SAME")
        return tf.nn.softmax(tf.reduce_mean(values, [1, 2]))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()])
    if integer:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = _representative_photos
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(kind)
    model: bytes = converter.convert()
    return model


def _representative_photos() -> Iterator[list[Any]]:
    # The extremes make the input's scale exactly 1.
    yield [np.zeros((1, SIZE, SIZE, 3), dtype=np.float32)]
    yield [np.full((1, SIZE, SIZE, 3), 255, dtype=np.float32)]
    for seed in range(3):
        for colour in COLOURS:
            yield [photo_of(colour, seed)[None].astype(np.float32)]


def make_dataset(
    root: Path,
    val_photos_per_colour: int = 1,
    *,
    colours: tuple[str, ...] = COLOURS,
    draw: Callable[[str, int], Pixels] = photo_of,
) -> Dataset:
    """Write a data set of colour photos, drawn from the colour and a seed."""
    counts: Counts = {
        "train": TRAIN_PHOTOS_PER_COLOUR,
        "val": val_photos_per_colour,
        "test": TEST_PHOTOS_PER_COLOUR,
    }

    def draw_photo(label: int, split: SplitName, number: int) -> Pixels:
        return draw(colours[label], 1000 * SPLITS.index(split) + number)

    return write_dataset(root, dict.fromkeys(colours, counts), draw_photo, source="stand-in")


def make_run(root: Path, dataset: Dataset, wrong: int = 1) -> Run:
    """Write a run whose saved answers are right but for the first ``wrong`` test photos."""
    root.mkdir(parents=True)
    answers = dataset.split("test").labels()
    answers[:wrong] = (answers[:wrong] + 1) % len(COLOURS)
    (root / WEIGHTS_FILE).write_bytes(b"never read here")
    logits = np.eye(len(COLOURS), dtype=np.float32)[answers] * 5
    return finish_run(root, SPEC, dataset, logits)


def make_bundle(root: Path, run: Run, kind: str = "float") -> Path:
    """Write a bundle of the colour model."""
    root.mkdir(parents=True)
    (root / "model.tflite").write_bytes(colour_model(kind))
    (root / LABELS_FILE).write_bytes(render_labels(COLOURS))
    record = BundleRecord(
        name=root.name,
        format="tflite",
        precision="fp32",
        applied_precision={},
        float_layers=None,
        op_dtypes={},
        placement={},
        spec=SPEC,
        labels=COLOURS,
        model_file="model.tflite",
        fp32_weights_bytes=36,
        input=TensorRecord("pixels", "uint8", (1, SIZE, SIZE, 3)),
        output=TensorRecord("probabilities", "float32", (1, len(COLOURS))),
        source=SourceRecord(
            run_name=run.name,
            run_path=str(run.root),
            run_sha256=run.sha256,
            dataset=run.record.dataset,
            reference=run.record.reference,
            calibration_sha256=None,
            skipped_passes=(),
            ranges=(),
        ),
        validation=None,
        max_drop_points=None,
        ladder=(),
        notes=(),
        versions={},
        files={name: record_of(root / name) for name in ("model.tflite", LABELS_FILE)},
    )
    write_bundle(root, record)
    return root
