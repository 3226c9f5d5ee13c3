from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from edgevit.errors import InputError
from edgevit.training import pictures
from edgevit.training.history import EpochRow, best_row, read_csv, write_csv
from edgevit.training.progress import epoch_line
from edgevit.training.schedule import learning_rate

ROW = EpochRow(1, 1.0, 0.5, 1.0, 0.5, 0.1, 61.0)


def rows(*validation: tuple[float, float]) -> list[EpochRow]:
    return [
        dataclasses.replace(ROW, epoch=epoch, val_accuracy=accuracy, val_loss=loss)
        for epoch, (accuracy, loss) in enumerate(validation, start=1)
    ]


def test_rate_warms_up_then_falls_to_zero_when_followed_over_all_steps() -> None:
    rates = [learning_rate(step, 200, 0.1) for step in range(200)]

    assert rates[:10] == pytest.approx([0.01 * n for n in range(1, 11)])
    assert max(rates) == pytest.approx(0.1)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_rate_is_the_peak_when_there_is_one_step() -> None:
    assert learning_rate(0, 1, 0.1) == 0.1


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        ([(0.5, 1.0), (0.9, 2.0), (0.8, 0.1)], 2),
        ([(0.9, 1.0), (0.9, 0.5), (0.9, 0.7)], 2),
        ([(0.9, 0.5), (0.9, 0.5)], 2),
    ],
)
def test_best_epoch_is_by_accuracy_then_loss_then_later_when_compared(
    validation: list[tuple[float, float]], expected: int
) -> None:
    best = best_row(rows(*validation))

    assert best is not None
    assert best.epoch == expected


def test_best_epoch_is_the_last_when_nothing_was_validated() -> None:
    unvalidated = [
        dataclasses.replace(ROW, epoch=epoch, val_accuracy=None, val_loss=None)
        for epoch in (1, 2, 3)
    ]

    assert best_row(unvalidated) == unvalidated[-1]


@pytest.mark.parametrize("count", [0, 3])
def test_history_comes_back_when_read(tmp_path: Path, count: int) -> None:
    written = tuple(rows(*[(0.1 + 0.2, 1 / 3)] * count))

    write_csv(tmp_path / "history.csv", written)

    assert read_csv(tmp_path / "history.csv") == written


def test_history_comes_back_when_nothing_was_validated(tmp_path: Path) -> None:
    written = (dataclasses.replace(ROW, val_loss=None, val_accuracy=None),)

    write_csv(tmp_path / "history.csv", written)

    assert read_csv(tmp_path / "history.csv") == written


def test_first_epoch_has_compiled_when_an_older_history_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write_csv(path, rows((0.5, 1.0), (0.6, 0.9)))
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    assert [row.compiled for row in read_csv(path)] == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("epoch,", "", "line 1 of .*history.csv .*the columns should be epoch,loss"),
        ("2,1.0", "3,1.0", "line 3 of .*expected epoch 2, got '3'"),
        ("\n2,1.0", "\n2,high", "line 3 of .*'high' is not a number"),
        ("\n2,1.0", "\n2,nan", "line 3 of .*'nan' is not a finite number"),
        ("\n2,1.0", "\n2,", "line 3 of .*'' is not a number"),
        ("\n2,1.0", "\n2", "line 3 of .*expected 8 cells, got 7"),
        ("\n2,1.0", '\n2,"1.0', "line 3 of .*unexpected end"),
        ("61.0,0\n2", "61.0,yes\n2", "line 2 of .*'yes' is neither 0 nor 1"),
    ],
)
def test_damaged_line_is_named_when_a_history_is_read(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = tmp_path / "history.csv"
    write_csv(path, rows((0.5, 1.0), (0.6, 0.9)))
    whole = path.read_text()
    assert old in whole
    path.write_text(whole.replace(old, new))

    with pytest.raises(InputError, match=complaint):
        read_csv(path)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00"])
def test_history_is_refused_when_there_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "history.csv").write_bytes(content)

    with pytest.raises(InputError, match=r"history\.csv cannot be read"):
        read_csv(tmp_path / "history.csv")


def test_line_names_all_numbers_when_an_epoch_ends() -> None:
    assert epoch_line(ROW, 3) == (
        "epoch 1/3: loss 1.0000, accuracy 50.0 %, val loss 1.0000, val accuracy 50.0 %, 1 min 01 s"
    )


@pytest.mark.parametrize("classes", [2, 12, 160])
def test_confusion_picture_grows_when_there_are_more_classes(tmp_path: Path, classes: int) -> None:
    pytest.importorskip("matplotlib")
    import numpy as np

    names = [f"$class_{label}$ – 狗" for label in range(classes)]
    pictures.write_confusion(tmp_path / "c.png", np.eye(classes, dtype=np.int64), names)

    with Image.open(tmp_path / "c.png") as image:
        assert 400 < image.width < 4000
        assert image.width > 12 * classes


def test_curves_are_drawn_when_nothing_was_validated(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    unvalidated = [dataclasses.replace(ROW, val_accuracy=None, val_loss=None)]

    pictures.write_curves(tmp_path / "c.png", unvalidated)

    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (1100, 462)
