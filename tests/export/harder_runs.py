"""Runs that really classify, and runs that eight bits harm on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from edgevit.data.dataset import SPLITS, Dataset
from edgevit.data.prepare import prepare
from edgevit.export.choices import Choices
from edgevit.export.graph import DeployGraph
from edgevit.export.job import ExportJob, open_job
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import WEIGHTS_FILE, Run, Weights
from edgevit.spec import ModelSpec
from tests.records import finish_run

COLOURS = ("blue", "green", "red")
_PHOTOS_PER_COLOUR = 24
_RIDGE = 0.1
# The class's logit is so far above the others'.
_LOGIT = 4.0


def make_tinted_photos(folder: Path) -> Dataset:
    """Prepare photos of three tints for vit-tiny: 51 to train, 15 to validate, 6 to test."""
    for label, name in enumerate(COLOURS):
        for index in range(_PHOTOS_PER_COLOUR):
            random = np.random.default_rng([index, label])
            coarse = random.integers(0, 150, (4, 5, 3), dtype=np.uint8)
            coarse[:, :, 2 - label] += 100
            path = folder / "photos" / name / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC).save(path)
    return prepare(
        folder / "photos",
        folder / "data",
        preprocessing=ARCHITECTURES.get("vit-tiny").preprocessing(64),
        val_share=0.2,
        test_share=0.1,
    )


def make_taught_run(root: Path, spec: ModelSpec, dataset: Dataset, weights: Weights) -> Run:
    """Write a run that knows the photos' classes: its last layer is fitted to them."""
    root.mkdir(parents=True)
    taught = _taught(spec, dataset, weights)
    save_file(taught, root / WEIGHTS_FILE)
    pixels = np.asarray(dataset.pixels("test", spec.preprocessing))
    logits = np.log(_graph(spec, taught).evaluate(pixels))
    return finish_run(root, spec, dataset, logits)


def taught_job(
    root: Path, run: Run, dataset: Dataset, weights: Weights, choices: Choices | None = None
) -> ExportJob:
    """Open the job of a taught run that is like another but for its weights."""
    taught = make_taught_run(root, run.record.spec, dataset, weights)
    return open_job(taught, None, None, choices or Choices())


def _graph(spec: ModelSpec, weights: Weights) -> DeployGraph:
    return ARCHITECTURES.get(spec.model).build_graph(spec, weights)


def _taught(spec: ModelSpec, dataset: Dataset, weights: Weights) -> Weights:
    """Fit the last layer by ridge regression."""
    graph = _graph(spec, weights)
    (features_name,) = graph.op("logits").inputs
    pixels = np.concatenate([dataset.pixels(split, spec.preprocessing) for split in SPLITS])
    labels = np.concatenate([dataset.split(split).labels() for split in SPLITS])
    batches = graph.map_batches(lambda batch: graph.values(batch)[features_name], pixels, 4)
    features = np.concatenate(batches).astype(np.float64)
    middle = features.mean(axis=0)
    centred = features - middle
    products = centred @ centred.T
    products += _RIDGE * np.mean(np.diag(products)) * np.eye(len(products))
    wanted = _LOGIT * (np.eye(spec.class_count)[labels] - 1 / spec.class_count)
    kernel = centred.T @ np.linalg.solve(products, wanted)
    return {
        **weights,
        "head_logits/kernel": kernel.astype(np.float32),
        "head_logits/bias": (-middle @ kernel).astype(np.float32),
    }


def with_bad_layer(weights: Weights, block: int) -> Weights:
    """Return weights whose ``block_N/mlp_2`` loses in eight bits nearly all that it does.

    One row of it is a thousand times larger than the others and reads a channel that is a thousand
    times smaller: one scale suits neither the rows nor the channels, and behind a GELU no pass can
    balance them.
    """
    prefix = f"Transformer_encoderblock_{block}/MlpBlock_3/Transformer_encoderblock_{block}_Dense"
    names = (f"{prefix}_0/kernel", f"{prefix}_0/bias", f"{prefix}_1/kernel")
    hidden, bias, kernel = (weights[name].copy() for name in names)
    hidden[:, 0] /= 1000
    bias[0] /= 1000
    kernel *= 5  # what is lost is seen in the answers
    kernel[0] = 1000 * np.abs(kernel).max(axis=0) * np.sign(kernel[0])
    return {**weights, **dict(zip(names, (hidden, bias, kernel), strict=True))}


def with_outliers(weights: Weights, factor: float, channels: int = 6) -> Weights:
    """Return weights with the same answers, and outlier channels in the norms of every block."""
    random = np.random.default_rng(0)
    result = dict(weights)
    for name, gain in weights.items():
        block, _, part = name.partition("/LayerNorm_")
        if not part.endswith("/gamma"):
            continue
        factors = np.ones(len(gain), dtype=np.float32)
        chosen = random.choice(len(gain), channels, replace=False)
        factors[chosen] = random.uniform(factor / 2, factor * 1.5, channels)
        norm = name.removesuffix("/gamma")
        if part.startswith("0"):
            attention = f"{block}/MultiHeadDotProductAttention_1"
            readers = [f"{attention}/{reader}/kernel" for reader in ("query", "key", "value")]
        else:
            readers = [f"{block}/MlpBlock_3/{block}_Dense_0/kernel"]
        for field in ("gamma", "beta"):
            result[f"{norm}/{field}"] = weights[f"{norm}/{field}"] * factors
        for reader in readers:
            result[reader] = weights[reader] / factors[:, np.newaxis]
    return result
