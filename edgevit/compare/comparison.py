"""Two models' answers to the same photos: how accurate each is, and where they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgevit import metrics
from edgevit.metrics import SIGNIFICANCE, Accuracy, Labels, PairedDrop, Scores
from edgevit.pages import words

# The fewest throws of a coin whose all falling on one side has a two-sided p below SIGNIFICANCE:
# 2 · 0.5⁶ = 0.031, and 2 · 0.5⁵ = 0.063.
_FEWEST_PHOTOS = 6

Right = Literal["first", "second", "neither"]


@dataclass(frozen=True)
class Outcomes:
    """Numbers of photos by which of the two models is right."""

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int


@dataclass(frozen=True)
class ClassResult:
    """The photos of one class.

    Attributes:
        label: Index of the class.
        photo_count: Its photos; 0 where there is none.
        first_right: Those that the first model gets right.
        second_right: Those that the second model gets right.
    """

    label: int
    photo_count: int
    first_right: int
    second_right: int

    @property
    def first_top1(self) -> float | None:
        """Share that the first model gets right, 0–1; ``None`` without a photo."""
        return self.first_right / self.photo_count if self.photo_count else None

    @property
    def second_top1(self) -> float | None:
        """Share that the second model gets right, 0–1; ``None`` without a photo."""
        return self.second_right / self.photo_count if self.photo_count else None

    @property
    def difference_points(self) -> float | None:
        """First minus second, percentage points; ``None`` without a photo."""
        if not self.photo_count:
            return None
        return 100.0 * (self.first_right - self.second_right) / self.photo_count


@dataclass(frozen=True)
class Answer:
    """A model's label for a photo, and its probability, 0–1."""

    label: int
    probability: float


@dataclass(frozen=True)
class Disagreement:
    """A photo that the two models give different labels.

    Attributes:
        index: Of the photo.
        truth: Its true label.
        answers: Of the first and the second model.
    """

    index: int
    truth: int
    answers: tuple[Answer, Answer]

    @property
    def right(self) -> Right:
        """Which model is right; never both."""
        if self.answers[0].label == self.truth:
            return "first"
        return "second" if self.answers[1].label == self.truth else "neither"

    @property
    def wrong_probability(self) -> float:
        """How sure the model is that is wrong; where both are, the surer one."""
        return max(a.probability for a in self.answers if a.label != self.truth)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same photos.

    Attributes:
        first: Accuracy of the first model.
        second: Accuracy of the second model.
        paired: The second against the first: a drop above 0 says that the first is more accurate.
        outcomes: Numbers of photos by who is right.
        classes: Every class, in label order.
        disagreements: Photos with two answers, the most instructive first: those on which only one
            model is right, by how sure the other one is, then those on which both are wrong.
    """

    first: Accuracy
    second: Accuracy
    paired: PairedDrop
    outcomes: Outcomes
    classes: tuple[ClassResult, ...]
    disagreements: tuple[Disagreement, ...]

    @property
    def photo_count(self) -> int:
        """All photos."""
        return self.paired.image_count

    @property
    def empty_classes(self) -> tuple[ClassResult, ...]:
        """Classes without a photo, of which nothing can be said."""
        return tuple(item for item in self.classes if not item.photo_count)

    def classes_by_difference(self) -> tuple[ClassResult, ...]:
        """Return the classes, those first on which the models differ by the most photos.

        Not by the share: one photo of one would come before nine of ten.
        """
        return tuple(
            sorted(
                self.classes,
                key=lambda item: (
                    not item.photo_count,
                    -abs(item.first_right - item.second_right),
                    item.photo_count,
                    item.label,
                ),
            )
        )

    def differing_classes(self) -> tuple[ClassResult, ...]:
        """Return those of them of which the models get different numbers of photos right."""
        return tuple(c for c in self.classes_by_difference() if c.first_right != c.second_right)


def compare(first: Scores, second: Scores, labels: Labels) -> Comparison:
    """Compare two models photo by photo.

    Args:
        first: Probabilities, ``float32 [n, classes]``.
        second: Those of the other model, same shape.
        labels: True labels, ``int64 [n]``.

    Raises:
        ValueError: if there are no photos or the shapes differ.
    """
    paired = metrics.paired_drop(first, second, labels)
    answers = [metrics.top_k(scores, 1)[:, 0] for scores in (first, second)]
    is_right = [answer == labels for answer in answers]
    return Comparison(
        first=metrics.accuracy(first, labels),
        second=metrics.accuracy(second, labels),
        paired=paired,
        outcomes=Outcomes(
            both_right=int(np.sum(is_right[0] & is_right[1])),
            only_first=paired.newly_wrong,
            only_second=paired.newly_right,
            both_wrong=int(np.sum(~is_right[0] & ~is_right[1])),
        ),
        classes=tuple(
            ClassResult(
                label=label,
                photo_count=int(np.sum(labels == label)),
                first_right=int(np.sum(is_right[0][labels == label])),
                second_right=int(np.sum(is_right[1][labels == label])),
            )
            for label in range(first.shape[1])
        ),
        disagreements=_disagreements(first, second, labels),
    )


def _disagreements(first: Scores, second: Scores, labels: Labels) -> tuple[Disagreement, ...]:
    one, other = (metrics.top_k(scores, 1)[:, 0] for scores in (first, second))
    found = [
        Disagreement(
            index=index,
            truth=int(labels[index]),
            answers=(
                Answer(int(one[index]), float(first[index, one[index]])),
                Answer(int(other[index]), float(second[index, other[index]])),
            ),
        )
        for index in np.flatnonzero(one != other).tolist()
    ]
    found.sort(key=lambda item: (item.right == "neither", -item.wrong_probability, item.index))
    return tuple(found)


def difference_text(comparison: Comparison) -> str:
    """Return first minus second, points, with its 95 % interval: ``+1.32 (−2.10 to +4.60)``."""
    paired = comparison.paired
    interval = words.interval(paired.drop_points_low, paired.drop_points_high)
    return f"{words.points(paired.drop_points)} {interval}"


def verdict(comparison: Comparison, names: tuple[str, str]) -> str:
    """Say which model is more accurate, if the photos show that, without a full stop.

    Args:
        comparison: The comparison.
        names: Of the first and the second model.
    """
    only_first, only_second = comparison.outcomes.only_first, comparison.outcomes.only_second
    p = comparison.paired.mcnemar_p
    chance = f"(McNemar's p {words.p_value(p)})"
    if p >= SIGNIFICANCE:
        alone = "both get the same photos right"
        if only_first or only_second:
            alone = (
                f"{words.counted(only_first, 'photo')} only {names[0]} gets right, "
                f"{only_second:,} only {names[1]} {chance}"
            )
        return f"No difference is shown: {alone}; {_reach(comparison)}"
    better, worse = (0, 1) if only_first > only_second else (1, 0)
    counts = (only_first, only_second)
    return (
        f"{names[better]} is more accurate: {words.counted(counts[better], 'photo')} only it gets "
        f"right, {counts[worse]:,} only {names[worse]} {chance}"
    )


def _reach(comparison: Comparison) -> str:
    """Say what so few photos cannot show."""
    count = comparison.photo_count
    text = f"{words.counted(count, 'photo')} cannot show a difference"
    if count >= _FEWEST_PHOTOS:
        points = 100.0 * _FEWEST_PHOTOS / count
        text += f" of fewer than {_FEWEST_PHOTOS} of them ({points:.2f} points)"
    low, high = comparison.paired.drop_points_low, comparison.paired.drop_points_high
    if low > 0 or high < 0:
        # The interval is an approximation, and a little narrower than the exact test.
        text += ". That the interval leaves out 0 is not enough: the exact test decides"
    return text
