from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.errors import InputError
from edgevit.study.recipe import (
    ModelRecipe,
    Recipe,
    parse_recipe,
    read_recipe,
    recipe_of,
    with_choices,
)

TWO = Recipe(
    model=(
        ModelRecipe(model="vit-tiny", name="small", epochs=3),
        ModelRecipe(model="vit-tiny", name="large", image_size=96),
        ModelRecipe(run="runs/old"),
    )
)


def test_sweep_is_that_of_the_original_study_when_read_by_its_name() -> None:
    models = read_recipe("scratch-vit-sweep").model
    assert [(m.model, m.image_size, m.epochs) for m in models] == [
        ("vit-scratch", 72, 100),
        ("vit-scratch", 32, 100),
        ("vit-scratch", 72, 200),
    ]
    assert len({m.title for m in models}) == 3


def test_recipe_holds_everything_when_everything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
title = "Mine"
data = "photos/data"
[[model]]
model = "vit-tiny"
name = "small"
epochs = 3
batch-size = 8
image-size = 32
learning-rate = 1
weights = "random"
augment = ["flip"]
seed = 5
mixed-precision = true
[[model]]
run = "runs/old"
[exports]
formats = ["onnx"]
precisions = ["int8"]
threads = [1, 2]
protocol = "full"
"""
    )
    recipe = read_recipe(str(path))
    small, old = recipe.model
    assert (recipe.title, recipe.data) == ("Mine", str(tmp_path / "photos/data"))
    assert small.choices.learning_rate == 1.0
    assert small.choices.augment == ("flip",)
    assert (small.choices.batch_size, small.choices.image_size) == (8, 32)
    assert small.choices.mixed_precision
    assert old.run == str(tmp_path / "runs/old")
    assert old.title == "old"
    assert recipe.exports.threads == (1, 2)
    assert recipe.exports.protocol == "full"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = 3", "mine.toml: model: expected a list, got int"),
        ("[[model]]\nmodel = 'vit-tiny'\nepoch = 3", "'epoch'; did you mean 'epochs'?"),
        ("[[model]]\nmodel = 'vit-tiny'\nepochs = '3'", "model[0].epochs: expected int, got '3'"),
        ("[[model]]\nname = 'a'", "needs either model (to train it) or run (a finished one)"),
        ("[[model]]\nmodel = 'a'\nrun = 'b'", "needs either model (to train it) or run"),
        ("[[model]]\nrun = 'b'\nepochs = 2", "epochs means nothing for the finished run b"),
        ("[[model]]\nmodel = 'a'\nname = '../b'", "'../b' cannot be a folder's name"),
        ("[[model]]\nmodel = 'a'\nname = \"a\\u0000\"", "cannot be a folder's name"),
        ("model = []", "a study needs at least one model"),
        (
            "[[model]]\nmodel = 'a'\n[[model]]\nrun = 'x/a'",
            "two models of the study are called 'a'",
        ),
        (
            "[exports]\nprotocol = 'fast'\n[[model]]\nmodel='a'",
            "one of 'short', 'quick', 'full', got 'fast'",
        ),
        ("[[model]", "mine.toml is no TOML"),
        ("[[model]]\nrun = 'b'\nseed = 0", "seed means nothing for the finished run b"),
        ("[[model]]\nmodel = 'a'\naugment = ['rotate']", "unknown augmentation 'rotate'"),
        ("[[model]]\nmodel = 'a'\nbatch-size = 1\nbatch_size = 2", "with - and with _"),
        ("[[model]]\nmodel = 'a'\n[exports]\nthreads = []", "asked for, and no threads"),
        ("[[model]]\nmodel = 'a'\n[exports]\nprecisions = []", "asked for, and no precisions"),
    ],
)
def test_recipe_is_refused_with_the_place_when_it_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_recipe(text, "mine.toml", Path())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_recipe_names_those_of_edgevit_when_there_is_no_such_file() -> None:
    with pytest.raises(InputError, match="scratch-vit-sweep"):
        read_recipe("nothing.toml")


def test_recipe_is_refused_when_it_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "photo.toml"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="no TOML"):
        read_recipe(str(path))


@pytest.mark.parametrize(
    ("written", "meant"), [("['zoom', 'flip']", ("flip", "zoom")), ("['none']", ()), ("[]", ())]
)
def test_augmentation_is_in_the_order_of_training_when_read(
    written: str, meant: tuple[str, ...]
) -> None:
    recipe = parse_recipe(f"[[model]]\nmodel = 'a'\naugment = {written}", "a.toml", Path())
    assert recipe.model[0].choices.augment == meant


def test_weight_file_is_beside_the_recipe_when_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "vgg.h5").touch()
    text = "[[model]]\nmodel = 'vgg16'\nweights = '{}'"
    weights = [
        parse_recipe(text.format(name), "a.toml", tmp_path).model[0].weights
        for name in ("vgg.h5", "imagenet")
    ]
    assert weights == [str(tmp_path / "vgg.h5"), "imagenet"]


def test_choice_is_refused_when_nothing_is_trained() -> None:
    with pytest.raises(InputError, match="--epochs means nothing: this study trains no model"):
        with_choices(recipe_of([], [Path("runs/old")]), "epochs", {None: 5})


def test_choice_goes_to_the_named_model_before_all_others_when_both_are_given() -> None:
    changed = with_choices(TWO, "epochs", {None: 1, "large": 9})
    assert [m.epochs for m in changed.model] == [1, 9, None]


def test_choice_goes_to_every_model_of_an_architecture_when_that_is_named() -> None:
    changed = with_choices(TWO, "seed", {"vit-tiny": 4})
    assert [m.seed for m in changed.model] == [4, 4, None]


@pytest.mark.parametrize("name", ["vgg16", "old"])
def test_choice_is_refused_when_its_model_is_not_trained(name: str) -> None:
    with pytest.raises(InputError, match=f"--batch-size names {name}.*It trains: small, large"):
        with_choices(TWO, "batch_size", {name: 4})


def test_recipe_has_models_and_runs_when_both_are_named() -> None:
    recipe = recipe_of(["vgg16"], [Path("runs/old")])
    assert [m.title for m in recipe.model] == ["vgg16", "old"]
