"""What the phone's benchmark says about the model, which only this machine knows.

The app fills in what it measured; the result is a document of ``edgevit bench``, which
``edgevit report`` merges with those of other devices.
"""

from __future__ import annotations

import json
from typing import Any

from edgevit import __version__, documents, storage
from edgevit.android.golden import PhotoSource
from edgevit.bench.result import KIND, SCHEMA_VERSION, EvaluationRecord
from edgevit.bundle import BUNDLE_FILE, Bundle

TOOL = "edgevit android demo"
TARGET = "phone"
NOT_SCORED = (
    "the accuracy was not measured on the phone: the demo compares a few golden photos, it scores "
    "no test set"
)


def render_template(bundle: Bundle, source: PhotoSource) -> bytes:
    """Return ``bench_template.json``: a result without machine, protocol and measured numbers."""
    record = bundle.record
    evaluation = EvaluationRecord(
        source=source.description,
        dataset_sha256=source.dataset_sha256,
        image_count=0,
        same_photos=source.same_photos,
        calibrated_count=None,
    )
    measurement: dict[str, Any] = {
        "model": record.spec.model,
        "format": record.format,
        "precision": record.precision,
        "size_bytes": bundle.model_size_bytes,
        "model_sha256": storage.sha256_of_file(bundle.root / BUNDLE_FILE),
        "run_name": bundle.run_name,
        "run_sha256": bundle.run_sha256,
        "reference": documents.encode(record.source.reference),
        "evaluation": documents.encode(evaluation),
        "accuracy": None,
        "warnings": [NOT_SCORED],
    }
    document = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "tool": TOOL,
        "target": TARGET,
        "versions": {"edgevit": __version__},
        "rows": [{"name": bundle.name, "path": bundle.root.name, "measurement": measurement}],
        "notes": [],
        "settings": {},
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
