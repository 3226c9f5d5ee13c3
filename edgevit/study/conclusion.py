"""What the study says: which model is faster to train, more accurate, lighter – if it is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgevit.bench.result import BenchRow, Measurement
from edgevit.metrics import SIGNIFICANCE, holm, paired_drop
from edgevit.pages import words
from edgevit.study.study import StudiedModel, Study
from edgevit.training.history import median_epoch_seconds

# What differs by less is called equal: repeats of one measurement may differ as much.
LEAST_RATIO = 1.05
_ALONE = "one model alone has no rival"


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
    """Return the median duration of an epoch that did not compile, if there is one."""
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
    best, answer = _leader(models, order[0], ahead, len(study.labels))
    return Criterion("More accurate", "test top-1", values, best, answer)


def _leader(
    models: Sequence[StudiedModel], leader: int, ahead: Sequence[Difference], photos: int
) -> tuple[int | None, str]:
    """Say whether the model with the most right answers is shown to be better than all others."""
    name = models[leader].name
    if not ahead:
        return None, _ALONE
    unclear = [difference for difference in ahead if not difference.is_shown]
    p = words.p_value(max(difference.p for difference in unclear or ahead))
    if not unclear:
        rival = models[ahead[0].second].name
        chance = f"McNemar’s p {p}" if len(ahead) == 1 else f"McNemar’s p at most {p}"
        return leader, f"{name}, by {ahead[0].points:.1f} points over {rival} ({chance})"
    equal = [difference for difference in unclear if difference.points == 0]
    if equal:
        names = [name, *(models[difference.second].name for difference in equal)]
        return None, f"not shown: {words.listed(names)} are equally often right"
    rivals = words.listed([f"{models[d.second].name} (by {d.points:.1f} points)" for d in unclear])
    return None, (
        f"not shown: {name} leads {rivals}, which {photos:,} photos do not tell from chance "
        f"(McNemar’s p {p})"
    )


def _of_times(
    question: str,
    measure: str,
    models: Sequence[StudiedModel],
    seconds_of: Callable[[StudiedModel], float | None],
    write: Callable[[StudiedModel], str] | None = None,
) -> Criterion:
    values = [seconds_of(model) for model in models]
    texts = tuple(
        words.NOTHING if value is None else words.duration(value) if write is None else write(model)
        for model, value in zip(models, values, strict=True)
    )
    if not same_processor(models):
        answer = "they were trained on different processors, which no time compares"
        return Criterion(question, measure, texts, None, answer)
    best, answer = _least(models, values, "takes {} times as long")
    return Criterion(question, measure, texts, best, answer + _compiling(models))


def same_processor(models: Sequence[StudiedModel]) -> bool:
    """Tell whether all were trained on processors of one name, which is what a run keeps."""
    # A run says where its reference was measured, at the end of the training.
    return len({model.run.record.reference.device for model in models}) == 1


def _compiling(models: Sequence[StudiedModel]) -> str:
    """Name the models of which no epoch is known that only trained."""
    lone = [model.name for model in models if all(row.compiled for row in model.history)]
    if not lone or len(models) == 1:
        return ""
    if len(lone) == len(models):
        return "; every epoch compiled too: train longer to compare times"
    return f"; every epoch of {words.listed(lone)} compiled too"


def _trained(model: StudiedModel) -> str:
    training = model.run.record.training
    return f"{words.duration(training.seconds)}, {words.counted(training.epochs, 'epoch')}"


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
    best, answer = _least(models, values, rival_words)
    return Criterion(question, measure, texts, best, answer)


def _least(
    models: Sequence[StudiedModel], values: Sequence[float | None], rival_words: str
) -> tuple[int | None, str]:
    """Return the model with the least value, and how far the next one is."""
    if len(models) == 1:
        return None, _ALONE
    unknown = [model.name for model, v in zip(models, values, strict=True) if v is None]
    if unknown:
        return None, f"not known for {words.listed(unknown)}"
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    (first, best), (second, rival) = known[:2]
    if second <= first * LEAST_RATIO:
        alike = [models[index].name for value, index in known if value <= first * LEAST_RATIO]
        are = "are equal" if first == known[len(alike) - 1][0] else "hardly differ"
        return None, f"{words.listed(alike)} {are}"
    factor = second / first if first else math.inf
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
    best, answer = _least(study.models, values, "takes {} times as long")
    repeats = {index: pair[1].repeats.latency_ms_p50 for index, pair in enumerate(fastest) if pair}
    if best is not None:
        near = [i for i in repeats if i != best and min(repeats[i]) <= max(repeats[best])]
        if near:
            names = [study.models[index].name for index in (best, *near)]
            best, answer = None, f"the repeats of {words.listed(names)} overlap"
    return Criterion("Faster to run", "fastest export, p50 of one photo", texts, best, answer)
