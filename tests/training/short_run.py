"""Real runs in seconds."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgevit.cli.main import main
from edgevit.data.dataset import Dataset
from edgevit.training import reference


@contextmanager
def short_latency() -> Iterator[None]:
    """Time the reference a few times instead of for seconds."""
    short = dataclasses.replace(
        reference.REFERENCE_PROTOCOL, min_seconds=0.0, min_queries=3, warmup_min_seconds=0.0
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "REFERENCE_PROTOCOL", short)
        yield


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let writing fail as on a full disk once a file has so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def train_vit_tiny(dataset: Dataset, folder: Path) -> Path:
    """Train vit-tiny for one epoch on 16×16 pixels through the command line."""
    options = ["--epochs", "1", "--image-size", "16", "--batch-size", "8", "--out", str(folder)]
    with short_latency():
        assert main(["train", "vit-tiny", "--data", str(dataset.root), *options]) == 0
    return folder
