"""Makes a small TFLite bundle for the smoke APK: ``python -m tests.android.tiny_bundle FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.standin import make_bundle, make_dataset, make_run


def main() -> None:
    """Write the colour classifier's data set, run and bundle below the folder that is named."""
    root = Path(sys.argv[1])
    dataset = make_dataset(root / "data")
    make_bundle(root / "colours.tflite.fp32", make_run(root / "run", dataset))


if __name__ == "__main__":
    main()
