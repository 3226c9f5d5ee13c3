"""What ONNX and OpenVINO files say about themselves, in the keys that OpenVINO's Model API reads.

Source: openvino-model-api 0.4.7: ``models/parameters.py`` has the keys, ``models/types.py`` how
their text is read; what is not given here has the value that these files need. A key is a path in
an OpenVINO file's ``rt_info`` and the same path, joined by spaces, in an ONNX file's
``metadata_props`` (``adapters/utils.py``).

Model API reads photos with OpenCV, as BGR; ``reverse_input_channels`` has it hand over RGB. It adds
a softmax to outputs whose sum is not within 1e-5 of 1, so a file's softmax must be float32.
"""

from __future__ import annotations

import json
import re

from edgevit.export.card import ModelCard

# Model API splits the labels at white space, Intel's DL Streamer also at these.
_SEPARATORS = re.compile(r"[\s,;]+")


def rt_info(card: ModelCard) -> dict[tuple[str, str], str]:
    """Return everything that a file says about itself, as text by path.

    ``model_info`` is for Model API. ``edgevit`` holds what has no place there: among it the labels
    as they are, as JSON.
    """
    sections = {"model_info": model_info(card), "edgevit": _own_info(card)}
    return {
        (name, key): text for name, section in sections.items() for key, text in section.items()
    }


def metadata_props(card: ModelCard) -> dict[str, str]:
    """Return the same for an ONNX file."""
    return {" ".join(path): text for path, text in rt_info(card).items()}


def model_info(card: ModelCard) -> dict[str, str]:
    """Return the section for Model API.

    The graph normalises: there is no mean and no scale.
    """
    geometry = card.preprocessing
    # Model API mistakes the aspect ratio that it crops to, unless that is 1.
    crop = geometry.resize_mode == "crop" and geometry.height == geometry.width
    return {
        "model_type": "Classification",
        "model_name": card.name,
        "labels": " ".join(_SEPARATORS.sub("_", label) for label in card.labels),
        "input_dtype": "u8",
        "reverse_input_channels": "True",
        "resize_type": "crop" if crop else "standard",
        "interpolation_mode": "LINEAR" if geometry.interpolation == "bilinear" else "CUBIC",
    }


def _own_info(card: ModelCard) -> dict[str, str]:
    geometry = card.preprocessing
    return {
        "labels": json.dumps(card.labels, ensure_ascii=False),
        "input": f"uint8 [1, {geometry.height}, {geometry.width}, 3] RGB pixels; the "
        f"normalisation is inside; photos are resized by {geometry.geometry}",
        "output": "probabilities",
        "description": card.description,
        "version": card.version,
    }
