from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgevit.data.dataset import Dataset
from edgevit.pages.markup import Html
from edgevit.study.curves import epoch_times, median_epoch_seconds, training_curves
from edgevit.study.plot import LOSS, Clock, loss_axis, trace_of
from edgevit.study.study import StudiedModel
from edgevit.training.history import EpochRow
from tests.pages.outline import outline_of
from tests.study.models import history_of, make_dataset, make_model, sure_of

# Loss and accuracy, by epoch and by time, wide and narrow.
DRAWINGS = 8


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("photos") / "data")


def model(
    root: Path, photos: Dataset, name: str, history: tuple[EpochRow, ...], device: str = "a CPU"
) -> StudiedModel:
    answers = sure_of(photos.split("test").labels().tolist(), 3)
    return make_model(root / name, photos, answers, history=history, device=device)


def of_class(page: Html, *names: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the elements that have all those classes."""
    return [
        (tag, given)
        for tag, given in outline_of(page).seen
        if set(names) <= set((given.get("class") or "").split())
    ]


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_every_run_is_drawn_when_their_lengths_differ(tmp_path: Path, photos: Dataset) -> None:
    lengths = {"one": 1, "some": 30, "many": 200}
    page = training_curves(
        [
            model(tmp_path, photos, name, history_of([3 / (i + 1) for i in range(count)]))
            for name, count in lengths.items()
        ]
    )
    for series, count in enumerate(lengths.values()):
        # The mark of the kept epoch in each drawing, and once in the legend.
        assert len(of_class(page, "model", f"s{series}")) == DRAWINGS + 1
        curves = of_class(page, "curve", "thick", f"s{series}")
        assert [len(places(str(given["d"]))) for _, given in curves] == [count] * DRAWINGS
    # A training curve of one epoch is a ring: no line would be seen.
    assert len(of_class(page, "lone", "s0")) == DRAWINGS
    assert not of_class(page, "lone", "s1")
    text = outline_of(page).text()
    assert "some: epoch 30 of 30 kept" in text
    assert "epoch, log scale" in text


def test_mark_stands_at_the_best_epoch_when_it_is_not_the_last(
    tmp_path: Path, photos: Dataset
) -> None:
    history = history_of([1.0] * 5, accuracies=[0.2, 0.4, 0.8, 0.6, 0.6])
    page = training_curves([model(tmp_path, photos, "early", history)])
    assert "early: epoch 3 of 5 kept" in outline_of(page).text()
    first_chart = page[: page.index("</svg>", page.index("By epoch"))]
    tick = re.search(r'class="tick mid" x="([\d.]+)" y="[\d.]+">3<', first_chart)
    mark = re.search(
        r'<circle class="model s0" cx="([\d.]+)"[^>]*><title>early, weights', first_chart
    )
    assert tick is not None
    assert mark is not None
    assert tick[1] == mark[1]


def test_training_alone_is_drawn_when_there_are_no_validation_photos(
    tmp_path: Path, photos: Dataset
) -> None:
    history = history_of([2.0, 1.0, 0.5], has_validation=False)
    page = training_curves([model(tmp_path, photos, "blind", history)])
    assert len(of_class(page, "curve", "thin", "s0")) == DRAWINGS
    assert not of_class(page, "curve", "thick")
    assert len(of_class(page, "model", "s0")) == DRAWINGS + 1
    text = outline_of(page).text()
    assert "blind: epoch 3 of 3 kept, no validation photos" in text
    assert text.count("validation") == 2  # there, and where the caption explains the word


def test_models_of_one_colour_have_other_marks_when_there_are_more_than_colours(
    tmp_path: Path, photos: Dataset
) -> None:
    models = [model(tmp_path, photos, f"m{i}", history_of([2.0, 1.0 + i])) for i in range(8)]
    page = training_curves(models)
    tags = [tag for tag, _ in of_class(page, "model", "s0")]
    assert {tag: tags.count(tag) for tag in tags} == {
        "circle": DRAWINGS + 1,
        "polygon": DRAWINGS + 1,
    }


def test_a_huge_first_loss_is_cut_off_and_named_when_all_others_are_small(
    tmp_path: Path, photos: Dataset
) -> None:
    history = history_of([5000.0, 2.0, 1.5, 1.0])
    trace = trace_of(0, "wild", history, LOSS, Clock("epoch", None))
    axis = loss_axis([trace])
    assert not axis.is_log
    assert 2.2 < axis.high < 3
    text = outline_of(training_curves([model(tmp_path, photos, "wild", history)])).text()
    assert "Beyond the upper end of the loss axis: 5,000 (wild, training) and 5,500" in text
    calm = outline_of(training_curves([model(tmp_path, photos, "calm", history[1:])])).text()
    assert "Beyond" not in calm


@pytest.mark.parametrize(("other", "is_log"), [(4.0, False), (400.0, True)])
def test_loss_axis_is_logarithmic_when_models_lie_far_apart(other: float, is_log: bool) -> None:
    clock = Clock("epoch", None)
    traces = [
        trace_of(place, "a", history_of([3 * last, 2 * last, last]), LOSS, clock)
        for place, last in enumerate((1.0, other))
    ]
    axis = loss_axis(traces)
    assert axis.is_log is is_log
    assert axis.high > 3.3 * other


def test_time_is_the_sum_of_the_epochs_when_curves_are_drawn_over_it() -> None:
    history = history_of([3.0, 2.0, 1.0], seconds=[90.0, 30.0, 60.0])
    trace = trace_of(0, "a", history, LOSS, Clock("minutes", 60.0))
    assert [x for x, _ in trace.training] == pytest.approx([1.5, 2.0, 3.0])


def test_a_peak_is_kept_when_there_are_more_epochs_than_points(
    tmp_path: Path, photos: Dataset
) -> None:
    losses = [1.0] * 2000
    losses[777] = 2.5
    page = training_curves([model(tmp_path, photos, "long", history_of(losses))])
    first = places(str(of_class(page, "curve", "thin", "s0")[0][1]["d"]))
    assert len(first) < 250
    heights = [y for _, y in first]
    assert min(heights) < 0.6 * max(heights)


def test_median_leaves_out_the_first_epoch_when_there_are_more(
    tmp_path: Path, photos: Dataset
) -> None:
    history = history_of([3.0, 2.0, 1.0, 0.5], seconds=[100.0, 4.0, 2.0, 3.0])
    assert median_epoch_seconds(history) == 3.0
    assert median_epoch_seconds(history[:1]) == 100.0
    page = epoch_times([model(tmp_path, photos, "slow start", history)])
    # 12 training photos in 3 s.
    assert "3.00 4.00 100 4 1.82" in " ".join(re.findall(r"[\d.]+(?=<)", page))
    assert "processors" not in outline_of(page).text()


def test_processors_are_named_when_runs_say_different_ones(tmp_path: Path, photos: Dataset) -> None:
    history = history_of([1.0, 0.5])
    models = [model(tmp_path, photos, device, history, device) for device in ("an H100", "a Pi")]
    for page in (epoch_times(models), training_curves(models)):
        assert (
            "Different processors, as far as the runs say (a Pi and an H100): the times"
            in outline_of(page).text()
        )


def test_end_labels_differ_when_names_differ_in_their_middle(
    tmp_path: Path, photos: Dataset
) -> None:
    names = [f"vit-scratch-{kind}" for kind in ("72px-100epochs", "32px-100epochs")]
    models = [
        model(tmp_path, photos, name, history_of([2.0, last]))
        for name, last in zip(names, (1.0, 0.1), strict=True)
    ]
    labels = re.findall(r"</title>([^<]+)</text>", training_curves(models))
    # Loss and accuracy, by epoch and by time, wide and narrow.
    assert {text: labels.count(text) for text in labels} == {
        "…72px-100epochs": DRAWINGS // 2,
        "…32px-100epochs": DRAWINGS // 2,
        "…72px…epochs": DRAWINGS // 2,
        "…32px…epochs": DRAWINGS // 2,
    }


def test_names_are_shown_as_they_are_when_they_look_like_markup(
    tmp_path: Path, photos: Dataset
) -> None:
    name = '<b>"x"&y'
    models = [model(tmp_path, photos, name, history_of([2.0, 1.0]))]
    for page in (training_curves(models), epoch_times(models)):
        outline = outline_of(page)
        assert name in outline.text()
        assert outline.count("b") == 0


def test_nothing_is_drawn_when_no_model_has_a_history(tmp_path: Path, photos: Dataset) -> None:
    models = [model(tmp_path, photos, "old", ())]
    for page in (training_curves(models), epoch_times(models)):
        assert outline_of(page).text() == "No model has a training history."
