from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from edgevit import documents
from edgevit.errors import InputError


@dataclass(frozen=True)
class Inner:
    share: float


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    mode: Literal["a", "b"]
    inner: Inner
    pair: tuple[int, str]
    many: tuple[Inner, ...]
    table: dict[str, Inner]
    maybe: int | None = None
    flag: bool = False


BODY = Outer("café", 3, "a", Inner(0.5), (1, "x"), (Inner(1.0),), {"k": Inner(2.0)})


def written(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "outer.json"
    document = json.loads(documents.render("test.outer", 1, BODY))
    document.update(changes)
    path.write_text(json.dumps(document))
    return path


def read(path: Path) -> Outer:
    return documents.read(path, "test.outer", 1, Outer)


def test_read_gives_the_same_value_when_written(tmp_path: Path) -> None:
    path = tmp_path / "outer.json"
    documents.write(path, "test.outer", 1, BODY)
    assert read(path) == BODY


def test_render_gives_the_same_bytes_when_repeated() -> None:
    assert documents.render("k", 1, BODY) == documents.render("k", 1, BODY)
    assert "café".encode() in documents.render("k", 1, BODY)


def test_read_takes_whole_numbers_when_floats_are_expected(tmp_path: Path) -> None:
    value = read(written(tmp_path, inner={"share": 1})).inner.share
    assert value == 1.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name: expected str, got 3"),
        ({"count": True}, "count: expected int, got True"),
        ({"count": 1.5}, "count: expected int, got 1.5"),
        ({"count": None}, "count: expected int, got None"),
        ({"mode": "c"}, "mode: expected one of 'a', 'b', got 'c'"),
        ({"inner": {}}, "inner.share: is missing"),
        ({"inner": []}, "inner: expected an object, got list"),
        ({"inner": {"share": "x"}}, "inner.share: expected float, got 'x'"),
        ({"pair": [1]}, "pair: expected 2 items, got 1"),
        ({"pair": [1, 2]}, r"pair\[1\]: expected str, got 2"),
        ({"many": {}}, "many: expected a list, got dict"),
        ({"many": [{"share": 1}, {}]}, r"many\[1\].share: is missing"),
        ({"table": {"k": 1}}, "table.k: expected an object, got int"),
        ({"maybe": "x"}, "maybe: expected int, got 'x'"),
        ({"flag": 1}, "flag: expected bool, got 1"),
        ({"surprise": 1}, "unknown field 'surprise'"),
        ({"kind": "test.other"}, "should hold 'test.outer' but holds 'test.other'"),
        ({"schema_version": 2}, "has schema version 2, this edgevit reads 1"),
    ],
)
def test_read_names_the_place_when_a_field_is_wrong(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"kind": NaN}'])
def test_read_refuses_when_the_file_is_no_document(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "outer.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"outer\.json"):
        read(path)


def test_read_refuses_when_the_file_is_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "outer.json")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_read_refuses_when_the_nesting_is_absurd(tmp_path: Path) -> None:
    path = tmp_path / "outer.json"
    path.write_text("[" * 200_000)
    with pytest.raises(InputError, match="not valid JSON"):
        read(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_render_refuses_when_a_number_is_not_finite(number: float) -> None:
    with pytest.raises(ValueError, match="JSON cannot hold"):
        documents.render("k", 1, Inner(number))


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_read_refuses_when_a_number_is_not_finite(tmp_path: Path, number: str) -> None:
    path = tmp_path / "inner.json"
    path.write_text(f'{{"kind": "test.inner", "schema_version": 1, "share": {number}}}')
    with pytest.raises(InputError, match="not valid JSON"):
        documents.read(path, "test.inner", 1, Inner)
