"""What must be known before a row's numbers are used."""

from __future__ import annotations

from edgevit.bench.protocol import MAX_REPEAT_SPREAD
from edgevit.bench.result import Measurement
from edgevit.bench.targets.agreement import MIN_SHARE
from edgevit.runtimes.base import AcceleratorUse


def warnings_of(measurement: Measurement) -> tuple[str, ...]:
    """Return every reason to doubt a row, the gravest first, as clauses without a full stop."""
    return (
        *_of_the_accelerator(measurement.accelerator),
        *_of_the_device(measurement),
        *_of_the_photos(measurement),
        *_of_the_times(measurement),
    )


def _of_the_accelerator(use: AcceleratorUse | None) -> list[str]:
    if use is None:
        return []
    if use.ops_share is None:
        return [f"nobody knows how much of the model runs on {use.device} ({use.detail})"]
    if use.ops_share < MIN_SHARE:
        return [f"only {use.ops_share:.0%} of the ops run on {use.device} ({use.detail})"]
    return []


def _of_the_device(measurement: Measurement) -> list[str]:
    conditions = measurement.conditions
    if conditions is None:
        return []
    lines = []
    if conditions.new_throttling:
        causes = ", ".join(conditions.new_throttling)
        lines.append(
            f"the device throttled while it was measured ({causes}): these times are not valid; "
            "check cooling and power supply, and measure again"
        )
    if conditions.clock_jump_seconds:
        lines.append(
            f"the time of day was set by {conditions.clock_jump_seconds:+.0f} s meanwhile; the "
            "times come from a clock that this does not touch"
        )
    return lines


def _of_the_photos(measurement: Measurement) -> list[str]:
    evaluation = measurement.evaluation
    lines = []
    if evaluation.calibrated_count:
        lines.append(
            f"the model was calibrated on {evaluation.calibrated_count:,} of these "
            f"{evaluation.image_count:,} photos: its accuracy looks better than it is"
        )
    if not evaluation.same_photos:
        lines.append(f"measured on other photos ({evaluation.source}) than the run's own")
    return lines


def _of_the_times(measurement: Measurement) -> list[str]:
    lines = []
    if not measurement.latency.warmup_settled:
        lines.append("the times were not steady after the longest warm-up: is the machine busy?")
    spread = measurement.repeats.spread
    if spread > MAX_REPEAT_SPREAD:
        lines.append(
            f"the medians of {len(measurement.repeats.latency_ms_p50)} repeats differ by "
            f"{100 * spread:.0f} %, more than {100 * MAX_REPEAT_SPREAD:g} %: is the machine busy?"
        )
    return lines
