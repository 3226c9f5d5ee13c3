"""Compares Keras's answers with NumPy's, in a process of its own.

``python -m tests.runtimes.keras_child BACKEND`` prints, as JSON, the largest difference of a
probability by model, and how pixels are refused that are not ``uint8``.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from edgevit import metrics
from edgevit.runtimes.keras import KerasSession
from edgevit.runtimes.keras_backends import BACKENDS, KERAS_CPU
from tests.bench.keras_runs import graph_answers, random_model

# Every layer that the models use: vgg16 takes BGR, vit-scratch has a layer of edgevit's own.
MODELS = {"vit-tiny": 16, "vit-scratch": 24, "vgg16": 32}


def main(backend: str) -> None:
    BACKENDS.get(backend).load()
    import keras

    found: dict[str, object] = {}
    for name, size in MODELS.items():
        pixels = np.random.default_rng(2).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        pixels.setflags(write=False)  # as in a data set's memory map
        with keras.device(KERAS_CPU.device.name):
            spec, model, weights = random_model(name, 3, size)
            session = KerasSession(model, KERAS_CPU)
        expected = graph_answers(spec, weights, pixels)
        answers = session.invoke(pixels)
        assert answers.dtype == np.float32
        softmax = metrics.softmax(session.logits(pixels[:1, ::1, ::-1]))
        mirrored = graph_answers(spec, weights, pixels[:1, ::1, ::-1])
        assert answers.max() < 0.99, f"{name} is too sure for a difference to show"
        found[name] = float(max(abs(answers - expected).max(), abs(softmax - mirrored).max()))
    try:
        session.invoke(pixels.astype(np.float32))
    except ValueError as error:
        found["refusal"] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
