"""Training curves of all models on common axes, and how long an epoch takes."""

from __future__ import annotations

from collections.abc import Sequence

from edgevit.pages import words
from edgevit.pages.axes import Axis, tick_text
from edgevit.pages.legend import icon, key
from edgevit.pages.markup import Html, element, join
from edgevit.pages.tables import Cell, Column, Row, table
from edgevit.study.marks import RADIUS, colour, meter, swatch
from edgevit.study.plot import (
    ACCURACY,
    LOSS,
    NARROW,
    WIDE,
    Clock,
    Trace,
    accuracy_axis,
    chart,
    loss_axis,
    trace_of,
)
from edgevit.study.study import StudiedModel
from edgevit.training.history import best_row, median_epoch_seconds

_METER_PIXELS = 220.0


def training_curves(models: Sequence[StudiedModel]) -> Html:
    """Return loss and top-1 accuracy by epoch and by training time, with a legend.

    Args:
        models: Their place gives each its colour. Those without a history are not drawn.
    """
    drawn = [(series, model) for series, model in enumerate(models) if model.history]
    if not drawn:
        return element("p", "No model has a training history.", class_="soft")
    longest = max(sum(row.seconds for row in model.history) for _, model in drawn)
    parts: list[Html] = [_legend(drawn)]
    cut: list[str] = []
    for heading, clock in (
        ("By epoch", Clock("epoch", None)),
        ("By training time", _time(longest)),
    ):
        panels: list[Html] = []
        for quantity in (LOSS, ACCURACY):
            traces = [
                trace_of(series, model.name, model.history, quantity, clock)
                for series, model in drawn
            ]
            scale = loss_axis(traces) if quantity is LOSS else accuracy_axis(traces)
            name = f"{quantity.heading} of each model, {heading.lower()}"
            panels += [
                element("div", chart(traces, quantity, clock, scale, frame, name), class_=style)
                for frame, style in ((WIDE, "wide"), (NARROW, "narrow"))
            ]
            # The same with either clock.
            cut = cut or _cut_texts(traces, scale)
        parts += [element("h4", heading), element("div", *panels, class_="panels")]
    caption = element("figcaption", _caption([model for _, model in drawn], cut), class_="soft")
    return element("figure", *parts, caption, class_="plot")


def epoch_times(models: Sequence[StudiedModel]) -> Html:
    """Return the median seconds of an epoch as bars, with photos per second and the whole time."""
    timed = [(series, model) for series, model in enumerate(models) if model.history]
    if not timed:
        return element("p", "No model has a training history.", class_="soft")
    medians = [median_epoch_seconds(model.history) for _, model in timed]
    longest = max(medians) or 1.0
    rows = []
    for (series, model), seconds in zip(timed, medians, strict=True):
        bar = meter(seconds / longest, _METER_PIXELS, colour(series))
        total = sum(row.seconds for row in model.history)
        photos = model.run.record.dataset.train_count
        rate = photos / seconds if seconds > 0 else None
        rows.append(
            Row(
                [
                    Cell(join([swatch(series), model.name]), model.name),
                    Cell(join([_number(seconds), bar]), seconds),
                    Cell(words.NOTHING if rate is None else _number(rate), rate),
                    Cell(_number(model.history[0].seconds)),
                    Cell(f"{len(model.history):,}"),
                    Cell(_number(total / 60), total),
                ]
            )
        )
    columns = (
        Column("Model", is_numeric=False),
        Column("Median epoch", "s"),
        Column("Training photos", "per s"),
        Column("First epoch", "s"),
        Column("Epochs"),
        Column("All epochs", "min"),
    )
    said = (
        "An epoch is one pass over the training photos and the validation after it. The median "
        "leaves out epochs that compiled the model too – the first, and the first after a stop – "
        "where there are others."
    )
    text = " ".join(filter(None, [said, _machines([model for _, model in timed])]))
    made = table(columns, [rows], "Training time of each model", is_stacked=True)
    return element("div", made, element("p", text, class_="soft"), class_="times")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _time(longest_seconds: float) -> Clock:
    for unit, seconds, least in (("hours", 3600.0, 18000.0), ("minutes", 60.0, 120.0)):
        if longest_seconds >= least:
            return Clock(f"{unit} of training", seconds)
    return Clock("seconds of training", 1.0)


def _legend(drawn: Sequence[tuple[int, StudiedModel]]) -> Html:
    items = []
    for series, model in drawn:
        kept, count = best_row(model.history), len(model.history)
        epoch = kept.epoch if kept else count
        blind = "" if _has_validation(model) else ", no validation photos"
        items.append((swatch(series), f"{model.name}: epoch {epoch} of {count} kept{blind}"))
    lines = [
        (icon(element("path", class_=f"curve {style} neutral", d="M0 9H18")), text)
        for style, text in (("thick", "validation"), ("thin", "training"))
        if style == "thin" or any(_has_validation(model) for _, model in drawn)
    ]
    dot = icon(element("circle", class_="model neutral", cx=9, cy=9, r=RADIUS + 1))
    parts = [key("Model", items), key("Line", [*lines, (dot, "epoch whose weights are kept")])]
    return element("div", *parts, class_="legend")


def _has_validation(model: StudiedModel) -> bool:
    return any(row.val_loss is not None for row in model.history)


def _cut_texts(traces: Sequence[Trace], scale: Axis) -> list[str]:
    """Name the values that lie beyond the upper end of an axis."""
    return [
        f"{tick_text(float(f'{y:.3g}'))} ({trace.name}, {kind})"
        for trace in traces
        for kind, curve in (("training", trace.training), ("validation", trace.validation))
        for _, y in curve
        if y > scale.high
    ]


def _caption(models: Sequence[StudiedModel], cut: Sequence[str]) -> str:
    parts = [
        "Training is measured during an epoch, with augmentation and dropout and while the weights "
        "still change; validation after it, without them. Loss is without label smoothing."
    ]
    if cut:
        parts.append(f"Beyond the upper end of the loss axis: {words.listed(list(cut))}.")
    return " ".join(filter(None, [*parts, _machines(models)]))


def _machines(models: Sequence[StudiedModel]) -> str:
    devices = sorted({model.run.record.reference.device for model in models})
    if len(devices) < 2:
        return ""
    return (
        f"Different processors, as far as the runs say ({words.listed(devices)}): the times say as "
        "much of the processors as of the models."
    )
