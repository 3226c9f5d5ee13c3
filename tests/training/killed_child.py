"""Trains TinyNet in a process of its own that is really killed after so many steps.

Usage: tests.training.killed_child DATASET OUT SIGNAL STEPS [resume]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevit.data.dataset import Dataset
from edgevit.training import job, pipeline, signals
from tests.training.tinynet import TinyNet, settings_for


def main() -> int:
    data, out, signal_number, steps = sys.argv[1:5]
    left = int(steps)
    real_batches = pipeline.batches

    def batches(examples: Any, order: Any, batch_size: int, *, first: int = 0) -> Iterator[Any]:
        nonlocal left
        for batch in real_batches(examples, order, batch_size, first=first):
            yield batch
            left -= 1
            if left == 0:
                os.kill(os.getpid(), int(signal_number))

    pipeline.batches = batches
    dataset = Dataset.load(Path(data))
    train_job = job.TrainJob(
        TinyNet(), dataset, settings_for(dataset), Path(out), resume="resume" in sys.argv
    )
    try:
        job.run_job(train_job)
    except signals.StoppedError as stopped:
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
