"""The page of equations names code that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgevit.models.registry import ARCHITECTURES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`([\w/]+\.py)`\s+`(\w+)`", PAGE)))
OPS = set(re.findall(r'`"([\w/]+)"`', PAGE))


def test_places_are_found_when_the_page_is_read() -> None:
    assert len(PLACES) > 15
    assert len(OPS) > 25


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_place_exists_when_the_page_names_it(path: str, name: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^ *(def|class) {name}\b", source, re.MULTILINE)


def test_ops_exist_when_the_page_names_them() -> None:
    found: set[str] = set()
    for model, size in (("vit-tiny", 8), ("vgg16", 32)):
        architecture = ARCHITECTURES.get(model)
        spec = architecture.spec(2, size)
        weights = {weight.path: weight.numpy() for weight in architecture.build_keras(spec).weights}
        found.update(op.name for op in architecture.build_graph(spec, weights).ops)
    assert found >= OPS
