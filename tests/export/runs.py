"""A run of vit-tiny with stirred weights around real prepared photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from edgevit.data.dataset import Dataset
from edgevit.data.prepare import prepare
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import WEIGHTS_FILE, Run
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
