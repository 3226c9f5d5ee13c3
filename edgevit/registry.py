"""An explicit table of named things: no discovery, no import side effects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from edgevit.errors import InputError


class Named(Protocol):
    """Anything with a registry name."""

    @property
    def name(self) -> str:
        """The key, as a user types it."""


N = TypeVar("N", bound=Named)


class Registry(Generic[N]):
    """Named entries in a fixed order.

    Args:
        noun: What an entry is, for error messages ("model", "runtime").
        entries: The entries; two with one name are a programming error.
    """

    def __init__(self, noun: str, entries: Iterable[N]) -> None:
        self._noun = noun
        self._entries: dict[str, N] = {}
        for entry in entries:
            if entry.name in self._entries:
                raise ValueError(f"two {noun}s are named {entry.name!r}")
            self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[N]:
        return iter(self._entries.values())

    def names(self) -> tuple[str, ...]:
        """Return the names in registration order."""
        return tuple(self._entries)

    def get(self, name: str) -> N:
        """Return the entry called ``name``.

        Raises:
            InputError: listing the valid names.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise InputError(
                f"unknown {self._noun} {name!r}", f"Valid: {', '.join(self._entries)}"
            ) from None
