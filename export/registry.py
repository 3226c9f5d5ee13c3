"""Every format, by name, and the (format, precision) pairs that can be made."""

from __future__ import annotations

from edgevit.errors import InputError
from edgevit.export.lowering import Lowering
from edgevit.export.precision import PRECISIONS, Precision
from edgevit.export.tflite import TFLiteLowering
from edgevit.registry import Registry

LOWERINGS: Registry[Lowering] = Registry("format", [TFLiteLowering()])


def find_lowering(format_name: str, precision: str) -> tuple[Lowering, Precision]:
    """Return the lowering and the precision that a user asked for.

    Raises:
        InputError: listing the valid formats, or the valid precisions of the format.
    """
    lowering = LOWERINGS.get(format_name)
    for known in lowering.precisions:
        if known == precision:
            return lowering, known
    reason = "unknown precision" if precision not in PRECISIONS else f"{format_name} cannot have"
    raise InputError(
        f"{reason} {precision!r}", f"Valid for {format_name}: {', '.join(lowering.precisions)}"
    )
