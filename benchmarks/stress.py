"""The same model, harder to quantise: a ViT whose layer norms have a few outlier channels.

In each encoder block some channels of both layer norms are multiplied by a factor, and the rows
of the dense layers that read them are divided by it. In float the answers stay as they were; a
single scale for all channels of such an activation leaves the others few of its 256 levels.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgevit import documents, storage
from edgevit.data.dataset import Dataset
from edgevit.errors import CheckFailedError, InputError
from edgevit.metrics import softmax
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import REFERENCE_FILE, RUN_FILE, WEIGHTS_FILE, Run, Weights, write_run

OUTLIERS_FILE = "outliers.json"
CHANNELS = 6
# Largest change of a probability that rounding may explain.
TOLERANCE = 1e-4

_PROBE_IMAGES = 8
_KIND = "edgevit.benchmark.outliers"
_SCHEMA_VERSION = 1
_BLOCK = re.compile(r"(Transformer_encoderblock_\d+)/LayerNorm_0/gamma")


class Norm(NamedTuple):
    """A layer norm's path, and those of the kernels that read it."""

    path: str
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class OutlierRecord:
    """How a run was made harder to quantise.

    Attributes:
        run_sha256: Of the run before.
        factor: Each channel's own is drawn evenly from half of it to one and a half times it.
        channels: Of each layer norm.
        seed: Of the channels and factors.
        max_difference: Largest change of a probability on a few test photos, in float32.
    """

    run_sha256: str
    factor: float
    channels: int
    seed: int
    max_difference: float


def norms_of(names: Iterable[str]) -> tuple[Norm, ...]:
    """Return the layer norms of every encoder block; none if it is not one of the large ViTs.

    Args:
        names: Of a run's weights.
    """
    blocks = sorted({found[1] for name in names if (found := _BLOCK.fullmatch(name))})
    norms = []
    for block in blocks:
        attention = f"{block}/MultiHeadDotProductAttention_1"
        projections = tuple(f"{attention}/{part}/kernel" for part in ("query", "key", "value"))
        norms += [
            Norm(f"{block}/LayerNorm_0", projections),
            Norm(f"{block}/LayerNorm_2", (f"{block}/MlpBlock_3/{block}_Dense_0/kernel",)),
        ]
    return tuple(norms)


def with_outliers(weights: Weights, factor: float, seed: int) -> Weights:
    """Return weights with :data:`CHANNELS` outlier channels in each layer norm of the blocks."""
    random = np.random.default_rng(seed)
    result = dict(weights)
    for norm in norms_of(weights):
        width = len(weights[f"{norm.path}/gamma"])
        chosen = random.choice(width, size=CHANNELS, replace=False)
        factors = np.ones(width, dtype=np.float32)
        factors[chosen] = random.uniform(factor / 2, factor * 1.5, size=CHANNELS)
        for part in ("gamma", "beta"):
            result[f"{norm.path}/{part}"] = weights[f"{norm.path}/{part}"] * factors
        for name in norm.kernels:
            kernel = weights[name]
            result[name] = kernel / factors.reshape(-1, *[1] * (kernel.ndim - 1))
    return result


def fits(run: Run) -> bool:
    """Tell whether a run's model has layer norms that outliers can be put into."""
    from safetensors import safe_open

    with safe_open(run.root / WEIGHTS_FILE, "numpy") as file:
        return bool(norms_of(file.keys()))


def write_outliers(run_root: Path, data: Path, root: Path, factor: float, seed: int) -> None:
    """Write a run with outliers, and the answers of the run that it was made from.

    Args:
        run_root: A ViT's run.
        data: Its prepared photos.
        root: The new run's folder; one that would come out the same is kept.
        factor: See :class:`OutlierRecord`.
        seed: Of the channels and factors.

    Raises:
        CheckFailedError: if the answers are not the same in float32.
    """
    from safetensors.numpy import save_file

    run = Run.load(run_root)
    weights = run.weights()
    record = OutlierRecord(run.sha256, factor, CHANNELS, seed, 0.0)
    if _is_kept(root, record):
        return
    changed = with_outliers(weights, factor, seed)
    record = dataclasses.replace(record, max_difference=_difference(run, data, weights, changed))
    with storage.folder_in_one_piece(root, force=True, marker=RUN_FILE) as folder:
        save_file(changed, folder / WEIGHTS_FILE)
        shutil.copyfile(run.root / REFERENCE_FILE, folder / REFERENCE_FILE)
        documents.write(folder / OUTLIERS_FILE, _KIND, _SCHEMA_VERSION, record)
        names = (WEIGHTS_FILE, REFERENCE_FILE, OUTLIERS_FILE)
        files = {name: storage.record_of(folder / name) for name in names}
        write_run(folder, dataclasses.replace(run.record, name=root.name, files=files))


def read_outliers(root: Path) -> OutlierRecord:
    """Return how a run was made harder to quantise.

    Raises:
        InputError: if it was not.
    """
    return documents.read(root / OUTLIERS_FILE, _KIND, _SCHEMA_VERSION, OutlierRecord)


def _is_kept(root: Path, record: OutlierRecord) -> bool:
    try:
        Run.load(root)
        found = read_outliers(root)
    except InputError:
        return False
    return found == dataclasses.replace(record, max_difference=found.max_difference)


def _difference(run: Run, data: Path, before: Weights, after: Weights) -> float:
    """Return the largest change of a probability, through the deployment graph.

    Raises:
        CheckFailedError: if it is above :data:`TOLERANCE`.
    """
    spec = run.record.spec
    # Where full precision is least sure: a probability near 1 hardly moves, whatever is wrong.
    ranked = np.sort(softmax(run.reference().logits), axis=1)
    unsure = np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")[:_PROBE_IMAGES]
    pixels = np.asarray(Dataset.load(data).pixels("test", spec.preprocessing)[np.sort(unsure)])
    architecture = ARCHITECTURES.get(spec.model)
    answers = [architecture.build_graph(spec, each).evaluate(pixels) for each in (before, after)]
    difference = float(np.max(np.abs(answers[1] - answers[0])))
    if not difference < TOLERANCE:  # NaN fails too
        raise CheckFailedError(
            f"outliers changed a probability of {run.name} by {difference:.2g} in float32, "
            f"allowed is {TOLERANCE:g}",
            "Take a smaller --outliers",
        )
    return difference
