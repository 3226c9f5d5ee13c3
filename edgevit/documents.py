"""JSON documents with a kind and a schema version, decoded into frozen dataclasses.

One small decoder serves every noun of the project (data set, run, bundle, results), so that a
hand-edited or half-copied file is refused with the place that is wrong, and never by a
``KeyError`` later. Supported field types: ``str``, ``int``, ``float``, ``bool``, ``None``,
``Literal``, ``X | None``, ``tuple[X, ...]``, fixed tuples, ``dict[str, X]`` and nested dataclasses.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edgevit.errors import InputError
from edgevit.storage import write_atomically

T = TypeVar("T")


class _MismatchError(Exception):
    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place or 'the document'}: {message}")


def encode(value: Any) -> Any:
    """Turn dataclasses, tuples and mappings into plain JSON values.

    Raises:
        ValueError: for NaN and infinities, which JSON cannot hold.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON cannot hold {value}")
    return value


def _decode_dataclass(cls: type, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _MismatchError(place, f"expected an object, got {type(value).__name__}")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        close = difflib.get_close_matches(unknown[0], fields, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise _MismatchError(place, f"unknown field {unknown[0]!r}{hint}")
    arguments = {}
    for name, field in fields.items():
        inner = f"{place}.{name}" if place else name
        if name in value:
            arguments[name] = _decode(hints[name], value[name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _MismatchError(inner, "is missing")
    try:
        return cls(**arguments)
    except (ValueError, InputError) as error:
        raise _MismatchError(place, str(error)) from error


def _decode_tuple(annotation: Any, value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _MismatchError(place, f"expected a list, got {type(value).__name__}")
    items = get_args(annotation)
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise _MismatchError(place, f"expected {len(items)} items, got {len(value)}")
    return tuple(
        _decode(item, element, f"{place}[{index}]")
        for index, (item, element) in enumerate(zip(items, value, strict=True))
    )


def _decode(annotation: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _decode_dataclass(annotation, value, place)
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (inner,) = (item for item in get_args(annotation) if item is not type(None))
        return _decode(inner, value, place)
    if origin is tuple:
        return _decode_tuple(annotation, value, place)
    if origin is dict:
        if not isinstance(value, dict):
            raise _MismatchError(place, f"expected an object, got {type(value).__name__}")
        inner = get_args(annotation)[1]
        return {key: _decode(inner, item, f"{place}.{key}") for key, item in value.items()}
    if origin is Literal:
        if value not in get_args(annotation):
            choices = ", ".join(map(repr, get_args(annotation)))
            raise _MismatchError(place, f"expected one of {choices}, got {value!r}")
        return value
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not annotation:
        raise _MismatchError(place, f"expected {annotation.__name__}, got {value!r}")
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a finite number")
    return value


def render(kind: str, schema_version: int, body: Any) -> bytes:
    """Return the document's bytes: the same body gives the same bytes."""
    document = {"kind": kind, "schema_version": schema_version, **encode(body)}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def write(path: Path, kind: str, schema_version: int, body: Any) -> None:
    """Write the dataclass ``body`` as a document, atomically."""
    write_atomically(path, render(kind, schema_version, body))


def read(path: Path, kind: str, schema_version: int, cls: type[T]) -> T:
    """Read and validate a document.

    Raises:
        InputError: if the file is missing, is no JSON, is another kind of document, was written
            by a newer schema, or holds a field of the wrong type.
    """
    remedy = f"Make it again, or check that the path is a folder with an intact {path.name}"
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", remedy) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", remedy) from None
    except (ValueError, RecursionError) as error:
        # No UTF-8, no JSON, a number that is not finite, or thousands of nested brackets.
        raise InputError(f"{path} is not valid JSON ({error})", remedy) from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        found = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise InputError(f"{path} should hold {kind!r} but holds {found!r}", remedy)
    version = document.get("schema_version")
    if version != schema_version:
        raise InputError(
            f"{path} has schema version {version!r}, this edgevit reads {schema_version}",
            "Use the edgevit version that wrote it, or make it again",
        )
    body = {k: v for k, v in document.items() if k not in ("kind", "schema_version")}
    return decode(body, cls, str(path), remedy)


def decode(body: Any, cls: type[T], source: str, remedy: str) -> T:
    """Turn plain values into the dataclass ``cls``, and validate them.

    Args:
        body: What JSON or TOML hold.
        cls: The dataclass.
        source: Where they are from, for the error.
        remedy: What to do about it.

    Raises:
        InputError: naming the place that is wrong.
    """
    try:
        decoded: T = _decode(cls, body, "")
    except _MismatchError as mismatch:
        raise InputError(f"{source}: {mismatch}", remedy) from mismatch
    return decoded
