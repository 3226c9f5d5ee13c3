from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from edgevit.errors import MissingDependencyError
from edgevit.runtimes.keras_backends import BACKENDS, choose_backend
from tests.bench.keras_runs import child


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_answers_are_numpys_when_another_backend_computes_them(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install {backend}")
    done = child("tests.runtimes.keras_child", backend)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("refusal") == "pixels are uint8, not float32"
    assert set(found) == {"vit-tiny", "vit-scratch", "vgg16"}
    assert max(found.values()) < 1e-5


def test_backend_is_the_first_installed_when_none_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for backend in BACKENDS:
        monkeypatch.setattr(backend, "is_installed", lambda: True)
    for name in BACKENDS.names():
        assert choose_backend(None).name == name
        monkeypatch.setattr(BACKENDS.get(name), "is_installed", lambda: False)
        with pytest.raises(MissingDependencyError, match=rf"{name} is not installed\. pip install"):
            choose_backend(name)
    with pytest.raises(MissingDependencyError, match="none of Keras's backends is installed"):
        choose_backend(None)


def test_loading_names_the_command_when_the_backend_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # put back after the test
    monkeypatch.setitem(sys.modules, "torch", None)
    torch = BACKENDS.get("torch")
    monkeypatch.setattr(torch, "is_installed", lambda: True)
    with pytest.raises(MissingDependencyError, match=r"\(.*torch.*\)\. pip install .*torch"):
        torch.load()
