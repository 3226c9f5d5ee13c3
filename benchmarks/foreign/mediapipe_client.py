"""Classify photos with a bundle's file as an app would: MediaPipe Tasks, and nothing of edgevit.

The labels come out of the file's metadata. For the answers to be edgevit's own, give colour photos
that have the model's size already, as PNG: others MediaPipe squashes whole and resamples in its own
way, whatever the preprocessing that the model was trained with.

It needs an environment of its own, because MediaPipe brings another OpenCV than edgevit's (the
system's libraries are those of Debian and Ubuntu; they are loaded even where nothing is drawn)::

    apt-get install libegl1 libgl1 libgles2 libglib2.0-0
    python3.11 -m venv mediapipe && mediapipe/bin/pip install mediapipe==1.2.2
    mediapipe/bin/python benchmarks/foreign/mediapipe_client.py BUNDLE PHOTO...

For each photo it prints a line of JSON: ``{"photo": …, "answers": [{"label": …, "score": …}, …]}``
with all labels, best first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision


def main(arguments: list[str]) -> int:
    """Print the answers for photos; returns the exit code."""
    if len(arguments) < 2:
        print("usage: mediapipe_client.py BUNDLE PHOTO...", file=sys.stderr)
        return 2
    bundle, *photos = arguments
    model = next(Path(bundle).glob("*.tflite"), None)
    if model is None:
        print(f"there is no .tflite file in {bundle}", file=sys.stderr)
        return 2
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=str(model)))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for photo in photos:
            result = classifier.classify(mediapipe.Image.create_from_file(photo))
            answers = [
                {"label": answer.category_name, "score": answer.score}
                for answer in result.classifications[0].categories
            ]
            print(json.dumps({"photo": photo, "answers": answers}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
