"""What a user decides about an export, beside the run, the formats and the precisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgevit.calibration.ranges import RangePolicy
from edgevit.export.passes.catalogue import check_pass_names


@dataclass(frozen=True)
class Choices:
    """What a user decides about the files of a job.

    Attributes:
        skipped_passes: Names of passes to leave out (:mod:`edgevit.export.passes.catalogue`).
        ranges: Range estimators, as :meth:`RangePolicy.with_choices` takes them.
        max_drop_points: Budget of top-1 on validation photos, percentage points.
        float_layers: Names of products to keep in float from the start.
    """

    skipped_passes: frozenset[str] = frozenset()
    ranges: tuple[str, ...] = ()
    max_drop_points: float | None = None
    float_layers: frozenset[str] = frozenset()


NO_CHOICES = Choices()


def choose(
    skipped_passes: Iterable[str],
    ranges: Iterable[str],
    max_drop_points: float | None = None,
    float_layers: Iterable[str] = (),
) -> Choices:
    """Check the spelling of what a user decided, before any work.

    Raises:
        InputError: listing the valid names.
    """
    wanted = tuple(ranges)
    RangePolicy().with_choices(wanted)
    skipped = check_pass_names(skipped_passes)
    return Choices(skipped, wanted, max_drop_points, frozenset(float_layers))
