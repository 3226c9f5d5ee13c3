"""What the study says: which model is faster to train, more accurate, lighter – if it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgevit.bench.result import BenchRow, Measurement
from edgevit.compare.comparison import SIGNIFICANCE, p_text
from edgevit.metrics import holm, paired_drop
from edgevit.pages import words
from edgevit.study.study import StudiedModel, Study
from edgevit.training.history import median_epoch_seconds
from edgevit.training.progress import duration

# Times that differ by less are called equal: repeats of one measurement may differ as much.
LEAST_RATIO = 1.05


@dataclass(frozen=True)
class Criterion:
    """A line of the conclusion.

    Attributes:
        question: Such as ``Faster to train``.
        measure: What is compared, with its unit.
        values: Of each model, as text.
        best: Index of the model that is better than all others; ``None`` if none was shown to be.
        answer: In words.
    """

    question: str
    measure: str
    values: tuple[str, ...]
    best: int | None
    answer: str


@dataclass(frozen=True)
class Difference:
    """Two models on the same test photos.

    Attributes:
        first: Index of the one that is better, or the earlier of equals.
        second: Index of the other.
        points: Top-1 of the first minus that of the second, percentage points.
        points_low: Lower end of its 95 % interval.
        points_high: Upper end.
        only_first: Photos that only the first gets right.
        only_second: Photos that only the second gets right.
        p: McNemar's p-value, exact, adjusted by Holm's method for all pairs that are compared.
    """

    first: int
    second: int
    points: float
    points_low: float
    points_high: float
    only_first: int
    only_second: int
    p: float

    @property
    def is_shown(self) -> bool:
        """Whether so large a difference would be rare by chance."""
        return self.p < SIGNIFICANCE


def conclude(study: Study) -> tuple[Criterion, ...]:
    """Answer the study's questions; those about exports only where there are any."""
    models = study.models
    criteria = [
        _of_times("Faster to train", "time per epoch, median", models, epoch_seconds),
        _of_times("", "whole training", models, lambda m: m.run.record.training.seconds, _trained),
        _accuracy(study),
        _smallest("Lighter", "parameters", models, lambda m: m.parameters.total, "{:,.0f}".format),
    ]
    if study.bench is not None and study.bench.measured_count:
        criteria += [_lightest_export(study), _fastest_export(study)]
    return tuple(criteria)


def epoch_seconds(model: StudiedModel) -> float | None:
    """Return the median duration of an epoch; ``None`` where the history is empty."""
    return median_epoch_seconds(model.history) if model.history else None


def differences(study: Study) -> tuple[Difference, ...]:
    """Compare every two models; the most accurate first."""
    order, models = by_accuracy(study), study.models
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    drops = [
        paired_drop(models[a].probabilities, models[b].probabilities, study.labels)
        for a, b in pairs
    ]
    adjusted = holm([drop.mcnemar_p for drop in drops])
    return tuple(
        Difference(
            first=a,
            second=b,
            points=drop.drop_points,
            points_low=drop.drop_points_low,
            points_high=drop.drop_points_high,
            only_first=drop.newly_wrong,
            only_second=drop.newly_right,
            p=p,
        )
        for (a, b), drop, p in zip(pairs, drops, adjusted, strict=True)
    )


def by_accuracy(study: Study) -> list[int]:
    """Return the models' indices, the highest test top-1 first, equal ones as they were named."""
    top1 = [model.run.record.reference.accuracy.top1 for model in study.models]
    return sorted(range(len(top1)), key=lambda index: -top1[index])


def _accuracy(study: Study) -> Criterion:
    models = study.models
    values = tuple(
        f"{words.percent(model.run.record.reference.accuracy.top1)} %" for model in models
    )
    order = by_accuracy(study)
    ahead = [difference for difference in differences(study) if difference.first == order[0]]
    unclear = [difference for difference in ahead if not difference.is_shown]
    best: int | None = order[0]
    if not ahead:
        best, answer = None, _ALONE
    elif not unclear:
        name, worst = models[order[0]].name, max(ahead, key=lambda d: d.p)
        answer = (
            f"{name}, by {ahead[0].points:.1f} points over {models[order[1]].name} "
            f"(McNemar’s p {p_text(worst.p)})"
        )
    else:
        best = None
        answer = "not shown: " + _unclear(models, unclear, len(study.labels))
    return Criterion("More accurate", "test top-1", values, best, answer)


def _unclear(models: Sequence[StudiedModel], unclear: Sequence[Difference], photos: int) -> str:
    first, closest = unclear[0].first, max(unclear, key=lambda d: d.p)
    names = words.listed([models[difference.second].name for difference in unclear])
    return (
        f"{models[first].name} leads, but {photos:,} photos do not tell it from {names} "
        f"(McNemar’s p {p_text(closest.p)})"
    )


_ALONE = "one model alone has no rival"


def _of_times(
    question: str,
    measure: str,
    models: Sequence[StudiedModel],
    seconds_of: Callable[[StudiedModel], float | None],
    write: Callable[[StudiedModel], str] | None = None,
) -> Criterion:
    values = [seconds_of(model) for model in models]
    texts = tuple(
        words.NOTHING if value is None else duration(value) if write is None else write(model)
        for model, value in zip(models, values, strict=True)
    )
    # A run says where its reference was measured, at the end of the training.
    machines = {model.run.record.reference.device for model in models}
    if len(machines) > 1:
        answer = "they were trained on different machines, which no time compares"
        return Criterion(question, measure, texts, None, answer)
    best, answer = _least(models, values, LEAST_RATIO, "takes {} times as long")
    return Criterion(question, measure, texts, best, answer)


def _trained(model: StudiedModel) -> str:
    training = model.run.record.training
    return f"{duration(training.seconds)}, {words.counted(training.epochs, 'epoch')}"


def _smallest(
    question: str,
    measure: str,
    models: Sequence[StudiedModel],
    value_of: Callable[[StudiedModel], float | None],
    write: Callable[[float], str],
    rival_words: str = "has {} times as many",
) -> Criterion:
    values = [value_of(model) for model in models]
    texts = tuple(words.NOTHING if value is None else write(value) for value in values)
    best, answer = _least(models, values, 1.0, rival_words)
    return Criterion(question, measure, texts, best, answer)


def _least(
    models: Sequence[StudiedModel],
    values: Sequence[float | None],
    least_ratio: float,
    rival_words: str,
) -> tuple[int | None, str]:
    """Return the model with the least value, and by how much it is below the next."""
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    if len(known) < 2:
        return None, _ALONE
    (first, best), (second, rival) = known[:2]
    if second <= first * least_ratio:
        names = f"{models[best].name} and {models[rival].name}"
        return None, f"{names} are equal" if first == second else f"{names} hardly differ"
    factor = second / first if first else float("inf")
    text = f"{factor:.1f}" if factor < 10 else f"{factor:,.0f}"
    return best, f"{models[best].name}: {models[rival].name} {rival_words.format(text)}"


def measured_rows(study: Study, model: StudiedModel) -> list[tuple[BenchRow, Measurement]]:
    """Return the measured exports of a model."""
    rows = () if study.bench is None else study.bench.rows
    return [
        (row, row.measurement)
        for row in rows
        if row.measurement is not None and row.measurement.run_sha256 == model.run.sha256
    ]


def _lightest_export(study: Study) -> Criterion:
    def size_of(model: StudiedModel) -> float | None:
        return min((m.size_bytes for _, m in measured_rows(study, model)), default=None)

    def write(size_bytes: float) -> str:
        return f"{words.megabytes(round(size_bytes))} MB"

    return _smallest("", "smallest export", study.models, size_of, write, "is {} times as large")


def _fastest_export(study: Study) -> Criterion:
    fastest = [
        min(
            (pair for pair in measured_rows(study, model) if pair[1].headline_valid),
            key=lambda pair: pair[1].latency.latency_ms_p50,
            default=None,
        )
        for model in study.models
    ]
    values = [None if pair is None else pair[1].latency.latency_ms_p50 for pair in fastest]
    texts = tuple(
        words.NOTHING
        if pair is None
        else f"{words.milliseconds(pair[1].latency.latency_ms_p50)} ms, "
        f"{pair[1].format} {pair[1].precision}, {words.counted(pair[0].threads, 'thread')}"
        for pair in fastest
    )
    best, answer = _least(study.models, values, LEAST_RATIO, "takes {} times as long")
    return Criterion("Faster to run", "fastest export, p50 of one photo", texts, best, answer)
