"""The tables of a study: the models, how often they are right, and the conclusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevit.metrics import SIGNIFICANCE, Labels, has_top5, share_interval
from edgevit.pages import words
from edgevit.pages.markup import Html, element, join
from edgevit.pages.tables import Cell, Column, Row, table
from edgevit.study.conclusion import Criterion, differences
from edgevit.study.marks import swatch
from edgevit.study.study import StudiedModel, Study
from edgevit.training.weights import RANDOM

_RESULTS = (
    Column("Model", is_numeric=False),
    Column("Test top-1", "%, with its 95 % interval"),
    Column("Test top-5", "%"),
    Column("Test loss", "cross-entropy, nats"),
    Column("Photos"),
)
_PAIRS = (
    Column("More accurate", is_numeric=False),
    Column("than", is_numeric=False),
    Column("By", "points of top-1 (95 %)"),
    Column("Only the first right", "photos"),
    Column("Only the second right", "photos"),
    Column("McNemar’s p", "exact, Holm-adjusted"),
    Column("Shown", is_numeric=False),
)
_MODELS = (
    Column("Model", is_numeric=False),
    Column("Architecture", is_numeric=False),
    Column("Input", "pixels"),
    Column("Parameters"),
    Column("Trained", "parameters"),
    Column("Frozen", "parameters"),
    Column("Weights", "MB, float32"),
    Column("Started from", is_numeric=False),
)
_TRAINING = (
    Column("Model", is_numeric=False),
    Column("Epochs"),
    Column("Kept", "epoch"),
    Column("Batch", "photos"),
    Column("Learning rate", "peak"),
    Column("Weight decay"),
    Column("Label smoothing"),
    Column("Augmentation", is_numeric=False),
    Column("Arithmetic", is_numeric=False),
    Column("Seed"),
)
_LAYERS = (
    Column("Op", is_numeric=False),
    Column("Kind", is_numeric=False),
    Column("Output", "for one photo"),
    Column("Parameters"),
)


def conclusion_table(study: Study, criteria: Sequence[Criterion]) -> Html:
    """Return a row for each question: every model's value and the answer."""
    columns = (
        Column("Question", is_numeric=False),
        *(Column(model.name, is_numeric=False) for model in study.models),
        Column("Answer", is_numeric=False),
    )
    rows = []
    for criterion in criteria:
        detail = element("span", criterion.measure, class_="detail")
        values = (
            Cell(element("strong", text) if index == criterion.best else text)
            for index, text in enumerate(criterion.values)
        )
        rows.append(
            Row([Cell(join([criterion.question, detail])), *values, Cell(criterion.answer)])
        )
    return table(columns, [rows], "Conclusion", is_stacked=True)


def results_table(study: Study) -> Html:
    """Return loss, top-1 and top-5 of every model on the test photos."""
    rows = []
    for index, model in enumerate(study.models):
        accuracy = model.run.record.reference.accuracy
        right = round(accuracy.top1 * accuracy.image_count)
        low, high = share_interval(right, accuracy.image_count)
        interval = f"({words.percent(low)} to {words.percent(high)})"
        top5 = accuracy.top5 if has_top5(len(model.run.record.labels)) else None
        rows.append(
            Row(
                [
                    _name(model, index),
                    Cell(
                        join(
                            [
                                words.percent(accuracy.top1),
                                element("span", interval, class_="detail"),
                            ]
                        ),
                        accuracy.top1,
                    ),
                    Cell(words.percent(top5), top5),
                    Cell(f"{accuracy.loss:.4f}", accuracy.loss),
                    Cell(f"{accuracy.image_count:,}", accuracy.image_count),
                ]
            )
        )
    return table(_RESULTS, [rows], "Accuracy on the test photos", is_sortable=True)


def notes_of(study: Study) -> list[str]:
    """Return what must be known before the conclusion is believed."""
    guessing = guessing_note(study)
    return [*study.failures, *study.notes, *([] if guessing is None else [guessing])]


def guessing_note(study: Study) -> str | None:
    """Name the models that are not shown to be better than guessing; ``None`` if all are."""
    share = _commonest_share(study.labels)
    names = []
    for model in study.models:
        accuracy = model.run.record.reference.accuracy
        right = round(accuracy.top1 * accuracy.image_count)
        if share_interval(right, accuracy.image_count)[0] <= share:
            names.append(model.name)
    if not names:
        return None
    return (
        f"Always naming the commonest class of the test photos would be right for "
        f"{100 * share:.1f} % of them; {words.listed(names)} {'is' if len(names) == 1 else 'are'} "
        "not shown to be better. Times and sizes hold all the same."
    )


def _commonest_share(labels: Labels) -> float:
    counts: dict[int, int] = {}
    for label in labels.tolist():
        counts[label] = counts.get(label, 0) + 1
    return max(counts.values()) / len(labels)


def pairs_table(study: Study) -> Html | None:
    """Return every two models compared photo by photo; ``None`` for one model."""
    rows = []
    for pair in differences(study):
        interval = words.interval(pair.points_low, pair.points_high)
        points = join([words.points(pair.points), element("span", interval, class_="detail")])
        rows.append(
            Row(
                [
                    _text(study.models[pair.first].name),
                    _text(study.models[pair.second].name),
                    Cell(points, pair.points),
                    Cell(f"{pair.only_first:,}", pair.only_first),
                    Cell(f"{pair.only_second:,}", pair.only_second),
                    Cell(words.p_value(pair.p), pair.p),
                    _text("yes" if pair.is_shown else "no"),
                ]
            )
        )
    return table(_PAIRS, [rows], "Every two models", is_sortable=True) if rows else None


def pairs_explained() -> str:
    """Return what the table of pairs means."""
    return (
        "Two models answer the same photos, so what counts are the photos that only one of them "
        f"gets right. A difference is called shown below p = {SIGNIFICANCE:g}; p is raised for the "
        "number of pairs that are compared (Holm)."
    )


def models_table(models: Sequence[StudiedModel]) -> Html:
    """Return what the models are, with their parameter counts."""
    rows = []
    for index, model in enumerate(models):
        record, counts = model.run.record, model.parameters
        height, width, _ = record.spec.input_shape
        start = record.training.weights
        rows.append(
            Row(
                [
                    _name(model, index),
                    _text(record.spec.model),
                    Cell(f"{height} × {width}", height * width),
                    _count(counts.total),
                    _count(counts.trainable),
                    _count(counts.non_trainable),
                    Cell(words.megabytes(4 * counts.total), counts.total),
                    _text("random weights" if start == RANDOM else Path(start).name),
                ]
            )
        )
    return table(_MODELS, [rows], "Models", is_sortable=True)


def training_table(models: Sequence[StudiedModel]) -> Html:
    """Return how the models were trained."""
    rows = []
    for index, model in enumerate(models):
        training = model.run.record.training
        rows.append(
            Row(
                [
                    _name(model, index),
                    _count(training.epochs),
                    _count(training.best_epoch),
                    _count(training.batch_size),
                    Cell(f"{training.learning_rate:g}", training.learning_rate),
                    Cell(f"{training.weight_decay:g}", training.weight_decay),
                    Cell(f"{training.label_smoothing:g}", training.label_smoothing),
                    _text(", ".join(training.augment) or "none"),
                    _text(training.precision),
                    Cell(str(training.seed), training.seed),
                ]
            )
        )
    return table(_TRAINING, [rows], "Settings of the trainings", is_sortable=True)


def machines_note(models: Sequence[StudiedModel]) -> str:
    """Return what the models were trained on, as far as their runs say."""
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.run.record.reference.device, []).append(model.name)
    if len(names) == 1:
        return f"Trained on {next(iter(names))}, as far as the runs say."
    return " ".join(f"Trained on {device}: {words.listed(of)}." for device, of in names.items())


def layer_tables(models: Sequence[StudiedModel]) -> Html:
    """Return every model's ops, folded away."""
    return join(_layers(model) for model in models)


def _layers(model: StudiedModel) -> Html:
    rows = [
        Row(
            [
                Cell(layer.name),
                Cell(layer.kind),
                Cell(" × ".join(f"{size:,}" for size in layer.shape)),
                Cell(f"{layer.parameter_count:,}" if layer.parameter_count else words.NOTHING),
            ]
        )
        for layer in model.layers
    ]
    total = Row([Cell("All"), Cell(""), Cell(""), _count(model.parameters.total)])
    text = f" · {words.counted(len(rows), 'op')}, {model.parameters.total:,} parameters"
    return element(
        "details",
        element("summary", element("span", model.name), text),
        table(_LAYERS, [rows, [total]], f"Ops of {model.name}"),
    )


def _name(model: StudiedModel, index: int) -> Cell:
    return Cell(join([swatch(index), model.name]), model.name)


def _text(text: str) -> Cell:
    return Cell(text, text)


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", number)
