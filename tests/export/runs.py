"""A run of vit-tiny with stirred weights around real prepared photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from edgevit import storage
from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.metrics import accuracy, softmax
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import (
    REFERENCE_FILE,
    WEIGHTS_FILE,
    DatasetReference,
    Reference,
    ReferenceRecord,
    Run,
    RunRecord,
    TrainingRecord,
    write_reference,
    write_run,
)
from tests.conftest import save_classes
from tests.models.template import stirred

CLASSES = {"café, noir": 20, "tabby cat": 20, "zebra": 20}


def make_photos(folder: Path) -> Dataset:
    """Prepare sixty photos of three classes for vit-tiny."""
    save_classes(folder / "photos", CLASSES)
    preprocessing = ARCHITECTURES.get("vit-tiny").preprocessing(64)
    return prepare(folder / "photos", folder / "data", preprocessing=preprocessing)


def make_run(root: Path, dataset: Dataset, name: str = "vit-tiny", size: int = 64) -> Run:
    """Write a run as training does, with weights that nobody trained."""
    import keras

    keras.utils.set_random_seed(0)
    architecture = ARCHITECTURES.get(name)
    spec = architecture.spec(len(dataset.classes), size)
    model = architecture.build_keras(spec)
    weights = stirred(model)
    root.mkdir(parents=True)
    save_file(weights, root / WEIGHTS_FILE)
    split = dataset.split("test")
    pixels = np.asarray(dataset.pixels("test", spec.preprocessing), dtype=np.float32)
    logits = np.asarray(model(pixels, training=False))
    write_reference(root / REFERENCE_FILE, Reference(logits, split.labels(), split.hashes()))
    counts = {part: len(dataset.split(part).photos) for part in ("train", "val", "test")}
    record = RunRecord(
        name=root.name,
        spec=spec,
        labels=dataset.classes,
        dataset=DatasetReference(
            str(dataset.root), dataset.sha256, counts["train"], counts["val"], counts["test"]
        ),
        training=TrainingRecord(
            epochs=1,
            batch_size=1,
            learning_rate=0.1,
            weight_decay=0.0,
            label_smoothing=0.0,
            weights="random",
            augment=(),
            precision="float32",
            seed=0,
            best_epoch=1,
            seconds=1.0,
        ),
        reference=ReferenceRecord(
            accuracy=accuracy(softmax(logits), split.labels()),
            per_class_top1=(1.0, 1.0, 1.0),
            device="a training machine",
            latency_ms_p50=1.5,
            latency_ms_p90=1.75,
        ),
        versions={},
        files={name: storage.record_of(root / name) for name in (REFERENCE_FILE, WEIGHTS_FILE)},
    )
    write_run(root, record)
    return Run.load(root)
