"""A run of vit-tiny with stirred weights around real prepared photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from edgevit import storage
from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.export.choices import Choices
from edgevit.export.job import ExportJob
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import REFERENCE_FILE, WEIGHTS_FILE, Run, Weights, write_run
from tests.conftest import save_classes
from tests.models.template import stirred
from tests.records import finish_run

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
    pixels = np.asarray(dataset.pixels("test", spec.preprocessing), dtype=np.float32)
    logits = np.asarray(model(pixels, training=False))
    return finish_run(root, spec, dataset, logits)


def rewritten(run: Run, folder: Path, weights: Weights) -> Run:
    """Copy a run with other weights, whose hash is recorded as if training had written them."""
    save_file(weights, folder / WEIGHTS_FILE)
    (folder / REFERENCE_FILE).write_bytes((run.root / REFERENCE_FILE).read_bytes())
    files = {name: storage.record_of(folder / name) for name in (WEIGHTS_FILE, REFERENCE_FILE)}
    write_run(folder, replace(run.record, files=files))
    return Run.load(folder)


# What a job computes whatever the user chooses (and what only skipped passes would change).
_SHARED = ("calibration_set", "trained_graph", "graph", "held_out", "own_answers", "calibration")


def with_choices(job: ExportJob, choices: Choices, **known: Any) -> ExportJob:
    """Return the job of a user with other choices, without computing again what both share.

    Args:
        job: A job whose passes are all switched on.
        choices: The others, with all passes as well.
        known: What else is known already.
    """
    other = replace(job, choices=choices)
    other.__dict__.update({name: getattr(job, name) for name in _SHARED} | known)
    return other
