"""Classify photos with a bundle's file as OpenVINO's Model API does, and nothing of edgevit.

The labels, and how photos become pixels, come out of the file's ``model_info``; a space, comma or
semicolon in a label is an underscore there. For the answers to be edgevit's own, give colour photos
that have the model's size already, as PNG: others Model API crops as edgevit does, but resamples
without antialiasing. On a CPU with AMX it computes float ops in bfloat16, whatever the file.

Model API runs ``.onnx`` files with OpenVINO too. Its adapter for ONNX Runtime takes no ``uint8``.

It needs an environment of its own, because Model API brings another OpenCV than edgevit's::

    python3.11 -m venv model-api && model-api/bin/pip install 'openvino-model-api[onnx]==0.4.7'
    model-api/bin/python benchmarks/foreign/model_api_client.py BUNDLE PHOTO...

For each photo it prints a line of JSON: ``{"photo": …, "answers": [{"label": …, "score": …}, …]}``
with all labels, best first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
from model_api.models import Model


def main(arguments: list[str]) -> int:
    """Print the answers for photos; returns the exit code."""
    if len(arguments) < 2:
        print("usage: model_api_client.py BUNDLE PHOTO...", file=sys.stderr)
        return 2
    bundle, *photos = arguments
    files = [*Path(bundle).glob("*.xml"), *Path(bundle).glob("*.onnx")]
    if not files:
        print(f"there is no .xml or .onnx file in {bundle}", file=sys.stderr)
        return 2
    model = Model.create_model(str(files[0]), device="CPU")
    model.set_param("topk", len(model.params.labels))
    for photo in photos:
        image = cv2.imread(photo)
        if image is None:
            print(f"{photo} cannot be read", file=sys.stderr)
            return 2
        answers = [
            {"label": answer.name, "score": float(answer.confidence)}
            for answer in model(image).top_labels
        ]
        print(json.dumps({"photo": photo, "answers": answers}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
