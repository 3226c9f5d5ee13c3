"""A real run of the smallest registered model, in seconds."""

from __future__ import annotations

from pathlib import Path

from edgevit.cli.main import main
from edgevit.data.dataset import Dataset


def train_vit_tiny(dataset: Dataset, folder: Path) -> Path:
    """Train vit-tiny for one epoch on 16×16 pixels through the command line."""
    options = ["--epochs", "1", "--image-size", "16", "--batch-size", "8"]
    assert main(["train", "vit-tiny", "--data", str(dataset.root), "--out", str(folder), *options]) == 0
    return folder
