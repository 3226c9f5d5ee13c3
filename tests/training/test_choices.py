from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from edgevit.data.dataset import Dataset
from edgevit.errors import InputError
from edgevit.training.choices import TrainChoices, resolve
from tests.training.tinynet import TinyNet, settings_for


def test_settings_are_the_models_when_nothing_is_chosen(tiny_dataset: Dataset) -> None:
    settings = resolve(TinyNet(), tiny_dataset, TrainChoices())

    assert settings == settings_for(tiny_dataset, seed=0)


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 9, "batch_size": 3},
        {"learning_rate": 0.5, "weights": "w.npz"},
        {"augment": (), "seed": 0},
    ],
)
def test_chosen_settings_are_taken_and_others_left_when_some_are_chosen(
    tiny_dataset: Dataset, changed: dict[str, Any]
) -> None:
    settings = resolve(TinyNet(), tiny_dataset, TrainChoices(**changed))

    assert settings == settings_for(tiny_dataset, **{"seed": 0, **changed})


def test_image_size_is_the_edge_of_the_input_when_chosen(tiny_dataset: Dataset) -> None:
    settings = resolve(TinyNet(), tiny_dataset, TrainChoices(image_size=24))

    assert settings.spec.input_shape == (24, 24, 3)


def test_batch_is_cut_with_a_note_when_larger_than_the_training_split(
    tiny_dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = resolve(TinyNet(), tiny_dataset, TrainChoices(batch_size=15))

    assert settings.batch_size == 14
    assert "There are 14 training photos: a batch has 14, not 15" in capsys.readouterr().err


def test_settings_are_the_checkpoints_when_one_is_continued(tiny_dataset: Dataset) -> None:
    saved = dataclasses.replace(
        resolve(TinyNet(), tiny_dataset, TrainChoices(image_size=24, epochs=9)),
        precision="mixed_bfloat16",
        devices=("GPU:0", "GPU:1"),
    )

    assert resolve(TinyNet(), tiny_dataset, TrainChoices(epochs=9), saved) == saved


@pytest.mark.parametrize(
    ("choices", "complaint"),
    [
        (TrainChoices(seed=8), "trained with seed 7, not 8"),
        (TrainChoices(image_size=24), "trained with model tinynet"),
        (TrainChoices(augment=()), "augment flip,rotation,zoom, not none"),
    ],
)
def test_choice_is_refused_when_it_differs_from_the_checkpoint(
    tiny_dataset: Dataset, choices: TrainChoices, complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        resolve(TinyNet(), tiny_dataset, choices, settings_for(tiny_dataset))


def test_no_heavy_package_is_loaded_when_choices_and_history_are_imported() -> None:
    code = (
        "import sys, edgevit.training.choices, edgevit.training.history; "
        "print(*{'click', 'keras', 'matplotlib', 'tensorflow'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
