"""The ladder: what a file must prove in its real runtime before it becomes a bundle.

Graph against the run's own answers → loads → shapes → weights and values against the
full-precision graph → arithmetic → accuracy. The first rung that fails stops the export.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevit.bundle import RungRecord
from edgevit.errors import CheckFailedError
from edgevit.export.closeness import EXACT_DB, centred, centred_logits, mean_cosine, sqnr_db
from edgevit.export.graph import DeployGraph
from edgevit.export.lowering import FileDescription
from edgevit.export.ops import Array
from edgevit.export.precision import PROMISES, Precision
from edgevit.metrics import Labels, PairedDrop, Scores, claim, paired_drop
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import Session
from edgevit.runtimes.classifier import predict_all
from edgevit.spec import ModelSpec

# A check asks for right answers, not for speed.
CHECK_THREADS = 2

# An image on which the best two probabilities are closer than this may fall either way.
DECISIVE_MARGIN = 0.1

# Largest difference from the probabilities that training saved; a GPU may round coarsely.
GRAPH_TOLERANCE = 0.005

# With fewer clear images than this, all of them count, and a tenth more of them may flip.
_FEW_CLEAR = 8
_UNCLEAR_ALLOWANCE = 0.1

_NOTHING = np.empty(0, dtype=np.float32)
_PROGRESS = "Running the exported file"
_LESS_ROUNDING = "Try int8 without -full, more calibration images, or fp16"
_NAMED = 3  # tensors in a message
_HALF_STEP = 0.501


@dataclass(frozen=True)
class EvaluationImages:
    """Images with the full-precision graph's answers.

    Attributes:
        pixels: ``uint8 [n, height, width, 3]``.
        reference: The graph's probabilities, ``float32 [n, classes]``.
        labels: True labels, ``int64 [n]``; ``None`` where they are not used.
    """

    pixels: Pixels
    reference: Scores
    labels: Labels | None = None


class RoundingFailedError(CheckFailedError):
    """A rung failed because too much was rounded: fewer int8 layers would help."""


class Ladder:
    """Climbs rung by rung and remembers each.

    Args:
        announce: Called with each rung as soon as it is decided.
    """

    def __init__(self, announce: Callable[[RungRecord], None]) -> None:
        self._announce = announce
        self._rungs: list[RungRecord] = []

    @property
    def rungs(self) -> tuple[RungRecord, ...]:
        """The rungs so far."""
        return tuple(self._rungs)

    def skip(self, name: str, reason: str) -> None:
        """Record a rung that cannot be checked here."""
        self._record(RungRecord(name=name, passed=None, detail=f"not checked: {reason}"))

    def decide(
        self,
        name: str,
        passed: bool,
        detail: str,
        remedy: str = "Please report it",
        error: type[CheckFailedError] = CheckFailedError,
    ) -> None:
        """Record a rung.

        Args:
            name: Of the rung.
            passed: Whether it holds.
            detail: What was found.
            remedy: What to do if it does not.
            error: What to raise then.

        Raises:
            CheckFailedError: if it failed.
        """
        self._record(RungRecord(name=name, passed=passed, detail=detail))
        if not passed:
            raise error(f"the export failed at {name!r}: {detail}", f"No bundle was kept. {remedy}")

    def _record(self, rung: RungRecord) -> None:
        self._rungs.append(rung)
        self._announce(rung)


def check_graph(ladder: Ladder, graph: DeployGraph, images: EvaluationImages) -> None:
    """The graph gives the answers that the run itself gave when it was trained."""
    answers = graph.evaluate(images.pixels)
    difference = float(np.max(np.abs(answers - images.reference)))
    ladder.decide(
        "graph",
        difference <= GRAPH_TOLERANCE,
        f"probabilities within {difference:.1g} of the run's own on {len(answers)} test images "
        f"(at most {GRAPH_TOLERANCE:g})",
        "The run's weights are not those that it was measured with: copy or train it again",
    )


def check_loads(ladder: Ladder, open_session: Callable[[Path], Session], path: Path) -> Session:
    """The runtime opens the file."""
    session = open_session(path)
    ladder.decide("loads", True, session.placement().summary)
    return session


def check_shapes(
    ladder: Ladder, file: FileDescription, spec: ModelSpec, precision: Precision
) -> None:
    """Pixels go in and probabilities come out."""
    output_dtype = "uint8" if PROMISES[precision].integer_only else "float32"
    passed = (file.input.dtype, file.input.shape, file.output.dtype, file.output.shape) == (
        "uint8",
        (1, *spec.input_shape),
        output_dtype,
        (1, spec.class_count),
    )
    ladder.decide(
        "shapes",
        passed,
        f"{file.input.dtype} {list(file.input.shape)} → "
        f"{file.output.dtype} {list(file.output.shape)}, for {spec.class_count} labels",
        "The run's record belongs to another model, or this is a bug: please report it",
    )


def check_values(
    ladder: Ladder,
    session: Session,
    images: EvaluationImages,
    precision: Precision,
    least_exact: Sequence[str] = (),
) -> None:
    """The answers are the graph's, on training images that no range was computed on.

    If they are not, ``least_exact`` says which weights were rounded worst.
    """
    answers = predict_all(session, images.pixels, _PROGRESS)
    if not np.isfinite(answers).all():
        ladder.decide("values", False, "some probabilities are not finite")
    promise = PROMISES[precision]
    comparable = centred if promise.integer_only else centred_logits
    expected, actual = comparable(images.reference), comparable(answers)
    cosine = mean_cosine(expected, actual)
    same = images.reference.argmax(axis=1) == answers.argmax(axis=1)
    ranked = np.sort(images.reference, axis=1)
    decisive = ranked[:, -1] - ranked[:, -2] >= DECISIVE_MARGIN
    few = decisive.sum() < _FEW_CLEAR
    judged, least = same[decisive], promise.decisive_agreement
    if few:
        judged, least = same, promise.decisive_agreement - _UNCLEAR_ALLOWANCE
    passed = cosine >= promise.cosine and float(judged.mean()) >= least
    clear = f"{100 * judged.mean():.1f} % of {len(judged)} clear ones"
    worst = "" if passed or not least_exact else f"; rounded worst: {', '.join(least_exact)}"
    ladder.decide(
        "values",
        passed,
        f"top-1 agreement {100 * same.mean():.1f} % of {len(same)} held-out images "
        f"({'hardly any is clear' if few else clear}; at least {100 * least:.0f} %), "
        f"cosine {cosine:.5f} (at least {promise.cosine:g}), "
        f"SQNR {sqnr_db(expected, actual):.1f} dB{worst}",
        _LESS_ROUNDING,
        RoundingFailedError,
    )


def check_weights(
    ladder: Ladder, file: FileDescription, graph: DeployGraph, precision: Precision
) -> tuple[str, ...]:
    """The weights in the file are the graph's, up to rounding.

    A lost tensor need not show in the answers: in a trained ViT some whole matrices may be zeroed
    without a single flip on a few dozen photos.

    Returns:
        The tensors that were rounded worst, in words.
    """
    least_db = PROMISES[precision].weight_sqnr_db
    held = {f"{op.name}/{field}": a for op in graph.ops for field, a in op.arrays().items()}
    empty = [name for name, a in held.items() if name.endswith("/kernel") and not a.any()]
    if empty:
        remedy = "The run is damaged: copy it again, or train it again"
        ladder.decide("weights", False, f"{empty[0]} holds nothing but zeros", remedy)
    lost = [
        name
        for name, expected in held.items()
        if name.endswith("/kernel") and file.weights.get(name, _NOTHING).size != expected.size
    ]
    if lost:
        ladder.decide("weights", False, f"{len(lost)} are not in the file, such as {lost[0]}")
    sqnrs_db = {
        name: sqnr_db(expected, file.weights[name].reshape(expected.shape))
        for name, expected in held.items()
        if name in file.weights and file.weights[name].size == expected.size
    }
    count = len(sqnrs_db)
    for name, step in file.bias_steps.items():
        if name in sqnrs_db and _is_rounded(held[name], file.weights[name], step):
            del sqnrs_db[name]
    ranked = sorted(sqnrs_db, key=sqnrs_db.__getitem__)
    worst = sqnrs_db[ranked[0]]
    least_exact = tuple(f"{name} {sqnrs_db[name]:.1f} dB" for name in ranked[:_NAMED])
    named = least_exact[:1] if worst >= least_db else least_exact
    ladder.decide(
        "weights",
        worst >= least_db,
        f"{count} tensors, all exact"
        if worst == EXACT_DB
        else f"{count} tensors, the least exact: {', '.join(named)} (at least {least_db:g})",
        _LESS_ROUNDING,
        RoundingFailedError,
    )
    return least_exact


def _is_rounded(expected: Array, actual: Array, step: Array) -> bool:
    """Say whether every number is the nearest one of its grid (up to float32's own rounding)."""
    return bool(np.all(np.abs(expected - actual) <= _HALF_STEP * step + 1e-7 * np.abs(expected)))


def check_arithmetic(
    ladder: Ladder, file: FileDescription, precision: Precision, float_layers: int = 0
) -> None:
    """The file computes in the arithmetic that its precision promises.

    Args:
        ladder: The ladder.
        file: The file.
        precision: What it should be.
        float_layers: Number of convolutions and dense layers that are meant to compute in float.
    """
    promise = PROMISES[precision]
    counts: Counter[str] = Counter()
    for name, count in file.op_dtypes.items():
        counts[name.rsplit(" ", 1)[-1]] += count
    totals = ", ".join(f"{count} ops {dtype}" for dtype, count in sorted(counts.items()))
    left = file.float_matrix_ops
    if promise.integer_products and len(left) > float_layers:
        ladder.decide(
            "arithmetic",
            False,
            f"{len(left)} convolutions or dense layers compute in float32 "
            f"({float_layers} should), such as {left[0]}",
            "Leave no pass out (--without); if none was, please report it",
        )
    floats = [name for name in file.op_dtypes if "float" in name]
    if promise.integer_only and floats:
        ladder.decide("arithmetic", False, f"not only integers: {', '.join(floats)}")
    ladder.decide("arithmetic", True, totals)


def check_accuracy(
    ladder: Ladder, session: Session, images: EvaluationImages, max_drop_points: float | None
) -> PairedDrop:
    """Top-1 on validation images falls by no more than the budget.

    The budget is met by what was measured; what may be claimed is said beside it.
    """
    assert images.labels is not None
    answers = predict_all(session, images.pixels, _PROGRESS)
    drop = paired_drop(images.reference, answers, images.labels)
    budget = "no budget" if max_drop_points is None else f"budget {max_drop_points:g}"
    shown = "" if max_drop_points is None else f"; {claim(drop, max_drop_points)}"
    ladder.decide(
        "accuracy",
        max_drop_points is None or drop.drop_points <= max_drop_points,
        f"drop {drop.drop_points:+.2f} points on {drop.image_count} validation images "
        f"(95 %: {drop.drop_points_low:+.1f} to {drop.drop_points_high:+.1f}; {budget}), "
        f"{drop.newly_wrong} newly wrong and {drop.newly_right} newly right{shown}",
        _LESS_ROUNDING,
        RoundingFailedError,
    )
    return drop
