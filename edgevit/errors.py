"""The one family of errors that edgevit raises on purpose.

Every error says the problem, the value received and the remedy. The command line catches
:class:`EdgevitError` in one place and turns it into one line and an exit code.
"""

from __future__ import annotations

from typing import ClassVar


def in_words(error: Exception) -> str:
    """Return an error for people: edgevit's own are sentences, others need their kind."""
    return str(error) if isinstance(error, EdgevitError) else f"{type(error).__name__}: {error}"


class EdgevitError(Exception):
    """A problem that a user can understand and mend.

    Args:
        problem: What is wrong, with the value received, as a sentence without a full stop.
        remedy: What to do about it, as a sentence without a full stop.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(problem if remedy is None else f"{problem}. {remedy}")


class InputError(EdgevitError):
    """A bad argument, file or folder: exit code 2."""


class UnreadableImageError(InputError):
    """A file that is not an image, is damaged, or is too large to decode: exit code 2."""


class MissingDependencyError(EdgevitError):
    """An optional package is not installed; the remedy is the command that installs it."""


class CheckFailedError(EdgevitError):
    """A check or a budget was not met: exit code 1."""

    exit_code: ClassVar[int] = 1
