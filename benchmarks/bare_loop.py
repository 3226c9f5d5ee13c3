"""One p50, milliseconds: by a loop as one would write it by hand, or by edgevit's own.

Arguments: ``bare|edgevit``, the bundle's folder, its model file, its format, threads, queries.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_WARMUP = 30


def main() -> None:
    """Print the median time of one inference."""
    kind, folder, model, format_name, threads, queries = sys.argv[1:]
    if kind == "edgevit":
        print(by_edgevit(Path(folder), int(threads), int(queries)))
        return
    invoke, shape = OPENERS[format_name](model, int(threads))
    images = photos(shape)
    for index in range(_WARMUP):
        invoke(images[index % len(images)])
    times = []
    for index in range(int(queries)):
        begun = time.perf_counter()
        invoke(images[index % len(images)])
        times.append(time.perf_counter() - begun)
    print(1000 * float(np.median(times)))


def photos(shape: tuple[int, ...]) -> list[Any]:
    """Return the same 64 noisy images in every process."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(64)]


def by_edgevit(folder: Path, threads: int, queries: int) -> float:
    """Time with edgevit's session and loop."""
    from edgevit.bench.protocol import Protocol, measure_latency
    from edgevit.runtimes.classifier import open_classifier

    classifier = open_classifier(folder, threads)
    images = np.concatenate(photos((1, *classifier.spec.input_shape)))
    rules = Protocol("paired", False, queries, 0.0, _WARMUP, 0.0, 0.0)
    return measure_latency(classifier.session.invoke, images, rules).latency_ms_p50


def open_tflite(model: str, threads: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
    """Open with LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=threads)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def invoke(pixels: Any) -> Any:
        interpreter.set_tensor(taken["index"], pixels)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    return invoke, tuple(taken["shape"])


def open_onnx(model: str, threads: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
    """Open with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    return lambda pixels: session.run(None, {taken.name: pixels}), tuple(taken.shape)


def open_openvino(model: str, threads: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
    """Open with OpenVINO, as its file asks to be computed."""
    import openvino

    core = openvino.Core()
    read = core.read_model(model)
    settings: dict[str, Any] = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    if read.has_rt_info(["edgevit", "inference_precision"]):
        hint = read.get_rt_info(["edgevit", "inference_precision"]).astype(str)
        settings["INFERENCE_PRECISION_HINT"] = hint
    compiled = core.compile_model(read, "CPU", settings)
    return lambda pixels: compiled([pixels]), tuple(compiled.inputs[0].shape)


OPENERS = {"tflite": open_tflite, "onnx": open_onnx, "openvino": open_openvino}

if __name__ == "__main__":
    main()
