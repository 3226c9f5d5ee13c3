from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import save_file

from edgevit.errors import InputError
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import WEIGHTS_FILE
from edgevit.study.study import layers_of, studied_model
from edgevit.training.history import HISTORY_FILE, write_csv
from tests.study.models import make_dataset, make_model, sure_of

pytest.importorskip("tensorflow")
pytest.importorskip("vit_keras")


@pytest.mark.parametrize(("name", "size"), [("vit-tiny", 16), ("vit-scratch", 12), ("vgg16", 32)])
def test_layers_add_up_to_the_parameters_when_a_model_is_listed(name: str, size: int) -> None:
    from edgevit.training.job import weights_by_path

    architecture = ARCHITECTURES.get(name)
    spec = architecture.spec(5, size)
    model = architecture.build_keras(spec)
    layers = layers_of(architecture.build_graph(spec, weights_by_path(model)))
    total = sum(layer.parameter_count for layer in layers)
    assert total == architecture.parameter_counts(spec).total == model.count_params()
    assert layers[0].shape == (size, size, 3)
    assert layers[-1].shape == (5,)


def test_studied_model_is_refused_when_its_weights_are_of_another_model(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    made = make_model(tmp_path / "a", dataset, sure_of([0] * 9, 3))
    write_csv(made.run.root / HISTORY_FILE, made.history)
    save_file({}, made.run.root / WEIGHTS_FILE)
    with pytest.raises(InputError, match="are not those of a vit-tiny"):
        studied_model(made.run, dataset)
