"""A finished run's answers and record around weights that a test made itself."""

from __future__ import annotations

from pathlib import Path

from edgevit import storage
from edgevit.data.dataset import Dataset
from edgevit.metrics import Scores, accuracy, softmax
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
from edgevit.spec import ModelSpec


def finish_run(root: Path, spec: ModelSpec, dataset: Dataset, logits: Scores) -> Run:
    """Complete the run in ``root``, which holds its weights, with those test answers."""
    test = dataset.split("test")
    write_reference(root / REFERENCE_FILE, Reference(logits, test.labels(), test.hashes()))
    record = RunRecord(
        name=root.name,
        spec=spec,
        labels=dataset.classes,
        dataset=DatasetReference(
            path=str(dataset.root),
            sha256=dataset.sha256,
            train_count=len(dataset.split("train").photos),
            val_count=len(dataset.split("val").photos),
            test_count=len(test.photos),
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
            accuracy=accuracy(softmax(logits), test.labels()),
            per_class_top1=(1.0,) * len(dataset.classes),
            device="a training machine",
            latency_ms_p50=1.5,
            latency_ms_p90=1.75,
        ),
        versions={},
        files={name: storage.record_of(root / name) for name in (REFERENCE_FILE, WEIGHTS_FILE)},
    )
    write_run(root, record)
    return Run.load(root)
