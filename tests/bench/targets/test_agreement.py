from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bench.targets.agreement import (
    COMPARED_PHOTOS,
    MIN_AGREEMENT,
    MIN_SHARE,
    measure_use,
    require_device,
)
from edgevit.errors import CheckFailedError, InputError
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.runtimes.base import AcceleratorUse, Device, Placement
from edgevit.runtimes.classifier import Classifier, open_classifier
from tests.bench.standin import COLOURS, photo_of
from tests.runtimes.compiled import SOFTMAX, compile_delegate

PHOTOS = np.stack([photo_of(colour, seed) for seed in range(30) for colour in COLOURS])
USE = AcceleratorUse("npu NPU", 1.0, 1.0, 64, 1.0, 0.0, "all of it")


@dataclasses.dataclass(frozen=True)
class Faulty:
    """The right answers, but for some photos."""

    right: Any
    wrong: int
    seen: list[int] = dataclasses.field(default_factory=list)

    def invoke(self, pixels: Pixels) -> Scores:
        self.seen.append(1)
        scores: Scores = self.right.invoke(pixels).copy()
        return scores[:, ::-1] - 1 if len(self.seen) <= self.wrong else scores

    def placement(self) -> Placement:
        return Placement("", {}, 0)


def with_fault(classifier: Classifier, wrong: int) -> Classifier:
    # The middle label of three stays where it is: blue and red photos come before and after it.
    return dataclasses.replace(classifier, session=Faulty(classifier.session, wrong))


@pytest.mark.parametrize(("takes", "taken_count"), [(SOFTMAX, 1), (0, 0)])
def test_use_tells_agreement_and_share_when_a_real_delegate_computes(
    tmp_path: Path, bundle: Path, takes: int, taken_count: int
) -> None:
    library = compile_delegate(tmp_path, f"TAKES={takes}")
    device = Device("npu", str(library))
    on_device, on_cpu = open_classifier(bundle, 1, device), open_classifier(bundle, 1)
    use = measure_use(on_device, on_cpu, 1, device, PHOTOS)
    op_count = sum(on_cpu.session.placement().ops.values())
    assert (use.device, use.compared_count) == (str(device), COMPARED_PHOTOS)
    assert (use.agreement, use.time_share) == (1, None)
    assert use.max_abs_difference < 1e-5
    assert use.ops_share == taken_count / op_count
    assert f"{library.name}: {taken_count} of {op_count} ops" in use.detail
    with pytest.raises(CheckFailedError, match=r"% of the ops, 90% are required \(libtest_"):
        require_device(use)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [(1, "not finite for 64 of 64 photos"), (2, "the same answer for every photo")],
)
def test_use_is_refused_when_a_real_delegate_computes_garbage(
    tmp_path: Path, bundle: Path, wrong: int, complaint: str
) -> None:
    device = Device("npu", str(compile_delegate(tmp_path, f"TAKES={SOFTMAX}", f"WRONG={wrong}")))
    on_device, on_cpu = open_classifier(bundle, 1, device), open_classifier(bundle, 1)
    with pytest.raises(CheckFailedError, match=complaint):
        measure_use(on_device, on_cpu, 1, device, PHOTOS)


def test_use_is_refused_when_too_many_labels_differ(tmp_path: Path, bundle: Path) -> None:
    device = Device("npu", str(compile_delegate(tmp_path)))
    on_cpu, photos = open_classifier(bundle, 1), PHOTOS[np.arange(len(PHOTOS)) % 3 != 1][:20]
    use = measure_use(with_fault(on_cpu, 2), on_cpu, 1, device, photos)
    assert use.agreement == pytest.approx(MIN_AGREEMENT)
    assert use.max_abs_difference > 0.5
    with pytest.raises(CheckFailedError, match="the CPU's label for 85% of 20 photos, 90% are"):
        measure_use(with_fault(on_cpu, 3), on_cpu, 1, device, photos)


def test_use_is_refused_when_there_are_no_photos(bundle: Path) -> None:
    classifier = open_classifier(bundle, 1)
    with pytest.raises(InputError, match="no photo"):
        measure_use(classifier, classifier, 1, Device("npu", "none"), PHOTOS[:0])


@pytest.mark.parametrize(("ops", "time"), [(1.0, 1.0), (MIN_SHARE, None), (None, MIN_SHARE)])
def test_device_is_accepted_when_every_known_share_is_large(
    ops: float | None, time: float | None
) -> None:
    require_device(dataclasses.replace(USE, ops_share=ops, time_share=time))


@pytest.mark.parametrize(
    ("ops", "time", "complaint"),
    [
        (0.0, None, "npu NPU has 0% of the ops"),
        (0.89, 1.0, "has 89% of the ops"),
        (0.99, 0.4, "has 40% of the time"),  # the one op that was left is the large one
        (None, 0.0, "has 0% of the time"),
        (None, None, "nobody knows what runs on npu NPU"),
    ],
)
def test_device_is_refused_when_a_share_is_small_or_none_is_known(
    ops: float | None, time: float | None, complaint: str
) -> None:
    with pytest.raises(CheckFailedError, match=complaint) as caught:
        require_device(dataclasses.replace(USE, ops_share=ops, time_share=time))
    assert "Leave out --require-device" in str(caught.value)
