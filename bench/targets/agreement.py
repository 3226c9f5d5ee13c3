"""Whether an accelerator computes a model, and computes it rightly: asked before it is timed.

Runtimes fall back to the CPU without a word, and drivers return garbage as fast as answers. Both
would make fine-looking rows.
"""

from __future__ import annotations

import numpy as np

from edgevit.bench.evaluation import spread
from edgevit.errors import CheckFailedError, InputError
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import AcceleratorUse, Device
from edgevit.runtimes.classifier import Classifier
from edgevit.runtimes.registry import RUNTIMES

# Photos whose answers are compared: enough to tell 90 % from what a sound device reaches.
COMPARED_PHOTOS = 64
# The same file in the device's float16 or bfloat16 keeps the label of 98–100 % of photos. At 98 %,
# 7 or more of 64 differ once in 3,000 devices; of those that keep 80 % or less one in 55 passes. A
# device that returns noise or one class keeps the share of that class.
MIN_AGREEMENT = 0.9
# What --require-device asks for. What is left to the CPU at 0.9 is conversions at both ends.
MIN_SHARE = 0.9
# Photos of the profiled pass; the first is not counted where there are more.
_PROFILED_PHOTOS = 8


def measure_use(
    on_device: Classifier, on_cpu: Classifier, threads: int, device: Device, pixels: Pixels
) -> AcceleratorUse:
    """Compare a model's answers on a device with those on the CPU, and see where its ops run.

    Args:
        on_device: The model, opened on the device.
        on_cpu: The same model, opened on the CPU.
        threads: Of the CPU.
        device: The accelerator.
        pixels: Real photos, ``uint8 [n, height, width, 3]``, of which up to
            :data:`COMPARED_PHOTOS` are compared.

    Raises:
        CheckFailedError: if the device's answers are no numbers, the same for every photo, or
            other than the CPU's for too many of them.
        InputError: if there are no photos.
    """
    if len(pixels) == 0:
        raise InputError("there is no photo to compare with", "Prepare a data set with test photos")
    photos = np.array(pixels[spread(len(pixels), COMPARED_PHOTOS)])
    answers, expected = _answers(on_device, photos), _answers(on_cpu, photos)
    agreement = require_agreement(answers, expected, str(device))
    runtime = RUNTIMES.get(on_device.format)
    ops_share, time_share, detail = runtime.accelerator_share(
        on_device.model_path, threads, device, photos[:_PROFILED_PHOTOS]
    )
    return AcceleratorUse(
        device=str(device),
        ops_share=ops_share,
        time_share=time_share,
        compared_count=len(photos),
        agreement=agreement,
        max_abs_difference=float(np.abs(answers - expected).max()),
        detail=detail,
    )


def require_agreement(answers: Scores, expected: Scores, device: str) -> float:
    """Check that a device's answers are the CPU's, and return the share of equal labels, 0–1.

    Args:
        answers: The device's, ``float32 [n, classes]``.
        expected: The CPU's.
        device: In words.

    Raises:
        CheckFailedError: if they are no numbers, the same for every photo, or too often others.
    """
    _require_answers(answers, expected, device)
    agreement = float(np.mean(answers.argmax(axis=1) == expected.argmax(axis=1)))
    if agreement < MIN_AGREEMENT:
        raise CheckFailedError(
            f"{device} gives the CPU's label for {agreement:.0%} of {len(answers)} photos, "
            f"{MIN_AGREEMENT:.0%} are needed",
            "Its times would mean nothing: update its driver, or export another precision for it",
        )
    return agreement


def require_device(use: AcceleratorUse) -> None:
    """Check that an accelerator computes nearly all of a model.

    Raises:
        CheckFailedError: if its share of ops or of time is below :data:`MIN_SHARE`, or neither is
            known.
    """
    remedy = "Leave out --require-device to measure it all the same"
    shares = {"ops": use.ops_share, "time": use.time_share}
    known = {name: share for name, share in shares.items() if share is not None}
    if not known:
        raise CheckFailedError(f"nobody knows what runs on {use.device} ({use.detail})", remedy)
    for name, share in known.items():
        if share < MIN_SHARE:
            raise CheckFailedError(
                f"{use.device} has {share:.0%} of the {name}, {MIN_SHARE:.0%} are required "
                f"({use.detail})",
                remedy,
            )


def _answers(classifier: Classifier, photos: Pixels) -> Scores:
    """Return ``float32 [n, classes]``; a session may reuse its array."""
    rows = [classifier.session.invoke(photos[i : i + 1])[0].copy() for i in range(len(photos))]
    return np.stack(rows).astype(np.float32, copy=False)


def _require_answers(answers: Scores, expected: Scores, device: str) -> None:
    """Refuse what is no answer at all.

    Raises:
        CheckFailedError: if numbers are not finite, or all rows alike where the CPU's are not.
    """
    remedy = "Update its driver, or export another precision for it"
    broken = int(np.sum(~np.isfinite(answers).all(axis=1)))
    if broken:
        raise CheckFailedError(
            f"{device} returns numbers that are not finite for {broken} of {len(answers)} photos",
            remedy,
        )
    if len(answers) > 1 and np.ptp(answers, axis=0).max() == 0 < np.ptp(expected, axis=0).max():
        raise CheckFailedError(f"{device} returns the same answer for every photo", remedy)
