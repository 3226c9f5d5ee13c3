"""Runs whose weights nobody trained: latency does not depend on what a model has learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgevit import storage
from edgevit.data.dataset import Dataset
from edgevit.metrics import accuracy, softmax
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import (
    REFERENCE_FILE,
    RUN_FILE,
    WEIGHTS_FILE,
    DatasetReference,
    Reference,
    ReferenceRecord,
    RunRecord,
    TrainingRecord,
    Weights,
    write_reference,
    write_run,
)
from edgevit.spec import ModelSpec

_BATCH = 24
_LIKELY_CLASSES = 8
_SPREAD = 4.0  # standard deviation of a likely class's logit over the photos
_TRAINING = TrainingRecord(
    epochs=1,
    batch_size=1,
    learning_rate=1.0,
    weight_decay=0.0,
    label_smoothing=0.0,
    weights="random",
    augment=(),
    precision="float32",
    seed=0,
    best_epoch=1,
    seconds=0.0,
)


def write_stand_in(model_name: str, data: Path, root: Path) -> None:
    """Write a run of ``model_name`` on the prepared photos in ``data``; the seed is fixed."""
    import keras
    from safetensors.numpy import save_file

    dataset = Dataset.load(data)
    architecture = ARCHITECTURES.get(model_name)
    spec = architecture.spec(len(dataset.classes))
    keras.utils.set_random_seed(0)
    model = architecture.build_keras(spec)
    pixels = np.asarray(dataset.pixels("test", spec.preprocessing), dtype=np.float32)
    weights = _stir(model, pixels)
    logits = model.predict(pixels, batch_size=_BATCH, verbose=0)
    test = dataset.split("test")
    with storage.folder_in_one_piece(root, force=True, marker=RUN_FILE) as folder:
        save_file(weights, folder / WEIGHTS_FILE)
        write_reference(folder / REFERENCE_FILE, Reference(logits, test.labels(), test.hashes()))
        write_run(folder, _record(folder, root.name, spec, dataset, logits))


def _stir(model: Any, pixels: np.ndarray) -> Weights:
    """Move biases from 0 and gains from 1, and spread the logits; return the weights by path.

    A converter may drop what has no effect, and a file whose answers are all alike would pass no
    check.
    """
    random = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if "variance" in weight.path:
            weight.assign(random.uniform(0.5, 2.0, value.shape))
        elif value.ndim == 1:
            weight.assign(value + random.normal(0, 0.02, value.shape))
    logits = model.predict(pixels, batch_size=_BATCH, verbose=0)
    # Centred and spread over the photos; a few classes stand out, so that most answers are clear.
    spread = np.where(np.arange(logits.shape[1]) < _LIKELY_CLASSES, _SPREAD, 0.1 * _SPREAD)
    scale = spread / np.maximum(logits.std(axis=0), 1e-6)
    head = model.get_layer("head_logits")
    head.bias.assign((head.bias.numpy() - logits.mean(axis=0)) * scale)
    head.kernel.assign(head.kernel.numpy() * scale)
    return {weight.path: weight.numpy() for weight in model.weights}


def _record(
    folder: Path, name: str, spec: ModelSpec, dataset: Dataset, logits: np.ndarray
) -> RunRecord:
    test = dataset.split("test")
    return RunRecord(
        name=name,
        spec=spec,
        labels=dataset.classes,
        dataset=DatasetReference(
            path=str(dataset.root.resolve()),
            sha256=dataset.sha256,
            train_count=len(dataset.split("train").photos),
            val_count=len(dataset.split("val").photos),
            test_count=len(test.photos),
        ),
        training=_TRAINING,
        reference=ReferenceRecord(
            accuracy=accuracy(softmax(logits), test.labels()),
            per_class_top1=(None,) * len(dataset.classes),
            device="none",
            latency_ms_p50=1.0,
            latency_ms_p90=1.0,
        ),
        versions={},
        files={name: storage.record_of(folder / name) for name in (REFERENCE_FILE, WEIGHTS_FILE)},
    )
