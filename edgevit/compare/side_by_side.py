"""Two compared models with everything that is said about them, for a terminal and for pages."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.bench.evaluation import DatasetPhotos
from edgevit.compare.candidates import Candidate, answers, cautions, names_apart, size_text
from edgevit.compare.comparison import Comparison, compare, verdict
from edgevit.data.dataset import Dataset, SplitName
from edgevit.pages import words

# With so many classes or fewer, top-5 is 100 % whatever a model says.
_TOP5 = 5
# What is said of a model: heading, unit, and whether it is a number.
_HEADINGS = (
    ("Kind", "", False),
    ("Format", "", False),
    ("Precision", "", False),
    ("Image size", "pixels", True),
    ("Parameters", "", True),
    ("Size", "MB", True),
    ("Photos", "", True),
    ("Top-1", "%", True),
    ("Top-5", "%", True),
    ("Loss", "nats", True),
    ("Answers", "", False),
)


@dataclass(frozen=True)
class Fact:
    """Something that is said of both models.

    Attributes:
        heading: What it is.
        unit: Of the numbers; empty where there is none.
        texts: Of the first and the second model.
        is_numeric: Whether the texts are numbers.
    """

    heading: str
    unit: str
    texts: tuple[str, str]
    is_numeric: bool = True


@dataclass(frozen=True)
class SideBySide:
    """Two models on the same photos.

    Attributes:
        candidates: The first and the second model.
        sources: Where the answers of each come from, in words.
        dataset: The photos.
        split: Which of them.
        comparison: Of the answers to all photos of the split, in its order.
        notes: What a reader must know, as clauses without a full stop.
    """

    candidates: tuple[Candidate, Candidate]
    sources: tuple[str, str]
    dataset: Dataset
    split: SplitName
    comparison: Comparison
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, str]:
        """What to call the two."""
        return names_apart(*self.candidates)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the classes, which both models have."""
        return self.candidates[0].labels

    @property
    def verdict(self) -> str:
        """Which model is more accurate, if that is shown, without a full stop."""
        return verdict(self.comparison, self.names)

    @property
    def photos_text(self) -> str:
        """How many photos there are, such as ``152 test photos``."""
        return words.counted(self.comparison.photo_count, f"{self.split} photo")

    @property
    def lead(self) -> str:
        """On which photos the two are compared, as a sentence."""
        name = self.dataset.root.resolve().name
        return f"{self.photos_text} of the data set {name}, each shown to both models."

    @property
    def disagreement_text(self) -> str:
        """How often the two disagree and who is right then, as a sentence."""
        outcomes, count = self.comparison.outcomes, len(self.comparison.disagreements)
        if not count:
            return f"Both give the same label to each of {self.photos_text}."
        neither = count - outcomes.only_first - outcomes.only_second
        return (
            f"They disagree on {count:,} of {self.photos_text}: on {outcomes.only_first:,} only "
            f"{self.names[0]} is right, on {outcomes.only_second:,} only {self.names[1]}, on "
            f"{neither:,} neither."
        )

    def facts(self) -> tuple[Fact, ...]:
        """Return what the two are, and how well each does."""
        rows = zip(_HEADINGS, self._texts(0), self._texts(1), strict=True)
        return tuple(
            Fact(heading, unit, (first, second), is_numeric)
            for (heading, unit, is_numeric), first, second in rows
            if heading != "Top-5" or len(self.labels) > _TOP5
        )

    def _texts(self, index: int) -> tuple[str, ...]:
        """Return a model's facts, in the order of the headings."""
        candidate = self.candidates[index]
        accuracy = (self.comparison.first, self.comparison.second)[index]
        parameters = candidate.parameter_count
        return (
            candidate.kind,
            candidate.format,
            candidate.precision,
            size_text(candidate.spec.preprocessing),
            words.NOTHING if parameters is None else f"{parameters:,}",
            words.megabytes(candidate.size_bytes),
            f"{accuracy.image_count:,}",
            words.percent(accuracy.top1),
            words.percent(accuracy.top5),
            f"{accuracy.loss:.4f}",
            self.sources[index],
        )


def put_side_by_side(
    first: Candidate, second: Candidate, dataset: Dataset, split: SplitName, threads: int
) -> SideBySide:
    """Let two models answer all photos of a split, and compare the answers.

    Args:
        first: One model.
        second: The other, which :func:`refuse_unlike` lets pass.
        dataset: Photos of their classes.
        split: Which of them.
        threads: Of the CPU, where a model is opened.

    Raises:
        InputError: if the split is empty, or a model or the photos cannot be used.
        MissingDependencyError: if a runtime is not installed.
    """
    photos = DatasetPhotos(dataset, split)
    scores, source = answers(first, photos, threads)
    other_scores, other_source = answers(second, photos, threads)
    return SideBySide(
        candidates=(first, second),
        sources=(source, other_source),
        dataset=dataset,
        split=split,
        comparison=compare(scores, other_scores, photos.labels),
        notes=cautions(first, second, photos),
    )
