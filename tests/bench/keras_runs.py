"""A run of a real Keras model with random weights, whose answers NumPy computed.

In a process of its own with the backend that the command shall use:
``python -m tests.bench.keras_runs BACKEND DATASET RUN OUT`` makes the run and measures it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bench import protocol
from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.run import WEIGHTS_FILE, Run
from edgevit.runtimes.keras_backends import BACKENDS
from tests.bench.standin import SIZE
from tests.records import finish_run

SHORT = protocol.Protocol(
    "short",
    False,
    min_queries=3,
    min_seconds=0.0,
    warmup_min_queries=1,
    warmup_min_seconds=0.0,
    warmup_max_seconds=0.0,
    repeats=2,
)


def random_model(model: str, class_count: int, image_size: int) -> tuple[Any, Any, Any]:
    """Build a model on the backend that is loaded; returns its spec, itself and its weights."""
    import keras

    from edgevit.models.registry import ARCHITECTURES

    keras.utils.set_random_seed(1)
    architecture = ARCHITECTURES.get(model)
    spec = architecture.spec(class_count, image_size)
    built = architecture.build_keras(spec)
    random = np.random.default_rng(0)
    weights = {}
    for variable in built.weights:
        array = np.float32(keras.ops.convert_to_numpy(variable.value))
        if array.ndim == 1:  # zeros or ones at first, which would hide what is left out
            array = array + random.uniform(-0.1, 0.1, array.shape).astype(np.float32)
            variable.assign(array)
        weights[variable.path] = array
    return spec, built, weights


def graph_answers(spec: Any, weights: Any, pixels: Any) -> Any:
    """Return the deployment graph's probabilities, ``float32 [n, classes]``, computed by NumPy."""
    from edgevit.models.registry import ARCHITECTURES

    return ARCHITECTURES.get(spec.model).build_graph(spec, weights).evaluate(pixels)


def make_keras_run(root: Path, dataset: Dataset) -> Run:
    """Write a run of vit-tiny."""
    from safetensors.numpy import save_file

    spec, _, weights = random_model("vit-tiny", len(dataset.classes), SIZE)
    root.mkdir(parents=True)
    save_file(weights, root / WEIGHTS_FILE)
    pixels = np.asarray(dataset.pixels("test", spec.preprocessing))
    return finish_run(root, spec, dataset, np.log(graph_answers(spec, weights, pixels)))


def child(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a test's module in a process of its own, with the repository last on its path."""
    code = (
        f"import runpy, sys; sys.path.append({str(Path(__file__).parents[2])!r}); "
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


if __name__ == "__main__":
    name, data, run, out = sys.argv[1:]
    BACKENDS.get(name).load()
    make_keras_run(Path(run), Dataset.load(Path(data)))
    protocol.QUICK = SHORT  # type: ignore[misc]
    sys.exit(main(["reference", run, "--backend", name, "--quick", "--out", out]))
