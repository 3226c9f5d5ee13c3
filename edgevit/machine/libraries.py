"""Which of the packages that matter are installed, without importing any."""

from __future__ import annotations

from importlib import metadata

from edgevit import __version__

# Distributions that a result or a bug report names, with the extra that brings each.
LIBRARIES: dict[str, str | None] = {
    "numpy": None,
    "pillow": None,
    "ai-edge-litert": "tflite",
    "tflite-runtime": "tflite",
    "onnxruntime": "onnx",
    "onnxruntime-gpu": "onnx",
    "onnxruntime-openvino": "onnx",
    "onnxruntime-qnn": "onnx",
    "onnxruntime-ep-openvino": "onnx",
    "openvino": "openvino",
    "tensorflow": "train",
    "keras": "train",
    "vit-keras": "train",
    "litert-quantizer": "export",
    "onnx": "export",
}

# They stand in for others of the list: 32-bit Arm's interpreter, builds of ONNX Runtime with other
# execution providers, a provider of its own. Nobody misses them.
VARIANTS = frozenset(
    {
        "tflite-runtime",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-qnn",
        "onnxruntime-ep-openvino",
    }
)


def installed_versions() -> dict[str, str]:
    """Return the versions of edgevit and of those :data:`LIBRARIES` that are installed."""
    found = {library: version_of(library) for library in LIBRARIES}
    return {"edgevit": __version__, **{name: text for name, text in found.items() if text}}


def version_of(package: str) -> str | None:
    """Return the version of an installed distribution, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
