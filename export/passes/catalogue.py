"""The names by which a user switches passes off."""

from __future__ import annotations

from collections.abc import Iterable

from edgevit.errors import InputError
from edgevit.export.operands import choose_operands
from edgevit.export.passes.balance import balance_convolutions, balance_norms, balance_values
from edgevit.export.passes.balance_queries import balance_queries
from edgevit.export.passes.correct_bias import correct_bias
from edgevit.export.passes.exact import EXACT_PASSES
from edgevit.export.passes.join_pixels import join_pixels
from edgevit.export.passes.rotate_residual import rotate_residual


def name_of(function: object) -> str:
    """Return the name of a pass as the command line has it."""
    return str(getattr(function, "__name__", function)).replace("_", "-")


PASS_NAMES: tuple[str, ...] = tuple(
    name_of(function)
    for function in (
        *EXACT_PASSES,
        balance_convolutions,
        balance_norms,
        balance_values,
        balance_queries,
        rotate_residual,
        join_pixels,
        choose_operands,
        correct_bias,
    )
)


def check_pass_names(names: Iterable[str]) -> frozenset[str]:
    """Check what a user wants to leave out.

    Raises:
        InputError: listing the valid names.
    """
    asked = frozenset(names)
    for name in sorted(asked - set(PASS_NAMES)):
        raise InputError(f"unknown pass {name!r}", f"Valid: {', '.join(PASS_NAMES)}")
    return asked
