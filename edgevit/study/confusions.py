"""Which classes a model takes for which others, with the photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevit.metrics import Labels, Scores, confusion_matrix, top_k
from edgevit.pages import words
from edgevit.pages.gallery import Gallery
from edgevit.pages.markup import Html, element, join
from edgevit.study.marks import colour, swatch
from edgevit.study.overview import evenly
from edgevit.study.study import StudiedModel, Study

PAIRS = 6
_WRONG_PHOTOS = 3
_EXAMPLES = 2
_NAME_LENGTH = 40


@dataclass(frozen=True)
class ConfusedPair:
    """Photos of one class that a model takes for another.

    Attributes:
        true: Index of their class.
        predicted: Index of the class that the model says.
        count: How many there are, at least 1.
        share: Of the test photos of the class, 0–1.
        true_count: Test photos of the class.
        reverse_count: Photos of the other class that it takes for this one.
        photos: Indices in the test split, those first of which the model was the surest.
    """

    true: int
    predicted: int
    count: int
    share: float
    true_count: int
    reverse_count: int
    photos: tuple[int, ...]


def confused_pairs(
    probabilities: Scores, labels: Labels, class_count: int, limit: int
) -> tuple[ConfusedPair, ...]:
    """Return the most confused pairs of classes.

    Those with the most photos come first; of equal ones that with the larger share of its class,
    then that of which the model was the surest for a photo, then the first in label order.

    Args:
        probabilities: Answers to the test photos, ``float32 [n, classes]``.
        labels: True labels, ``int64 [n]``.
        class_count: Number of classes.
        limit: At most so many are returned.
    """
    predicted = top_k(probabilities, 1)[:, 0]
    matrix = confusion_matrix(predicted, labels, class_count)
    totals = matrix.sum(axis=1)
    surest: dict[tuple[int, int], float] = {}
    for true, guess, row in zip(labels.tolist(), predicted.tolist(), probabilities, strict=True):
        if true != guess:
            surest[true, guess] = max(surest.get((true, guess), 0.0), float(row[guess]))

    def order(pair: tuple[int, int]) -> tuple[float, ...]:
        count = int(matrix[pair])
        return (-count, -count / int(totals[pair[0]]), -surest[pair], *pair)

    return tuple(
        ConfusedPair(
            true=true,
            predicted=guess,
            count=int(matrix[true, guess]),
            share=int(matrix[true, guess]) / int(totals[true]),
            true_count=int(totals[true]),
            reverse_count=int(matrix[guess, true]),
            photos=_surest_first(probabilities, (labels == true) & (predicted == guess), guess),
        )
        for true, guess in sorted(surest, key=order)[:limit]
    )


def confusion_section(study: Study, test: Gallery, train: Gallery) -> Html:
    """Return the most confused pairs of each model, with the photos it got wrong.

    Args:
        study: Its labels are in the order of the test photos.
        test: The photos that were answered.
        train: Beside a wrong photo, what the model took it for.
    """
    if not len(study.labels):
        return element("p", "There is no test photo, so none is confused.", class_="soft")
    intro = (
        "Left of each arrow is the true class, right of it the model’s answer. Below are photos "
        "that it got wrong, the surest first, with the probability that it gave its answer; beside "
        "them training photos of the class that it took them for."
    )
    parts = [_model(study, model, series, test, train) for series, model in enumerate(study.models)]
    return element("div", element("p", intro, class_="soft"), *parts)


def _surest_first(probabilities: Scores, chosen: Labels, guess: int) -> tuple[int, ...]:
    rows = np.flatnonzero(chosen)
    order = np.argsort(-probabilities[rows, guess], kind="stable")
    return tuple(rows[order].tolist())


def _model(study: Study, model: StudiedModel, series: int, test: Gallery, train: Gallery) -> Html:
    count = len(study.labels)
    heading = element("h3", join([swatch(series), model.name]))
    answers = top_k(model.probabilities, 1)[:, 0]
    wrong = int(np.sum(answers != study.labels))
    if not wrong:
        text = f"All {words.counted(count, 'test photo')} right: nothing is confused."
        return join([heading, element("p", text)])
    answered = zip(study.labels.tolist(), answers.tolist(), strict=True)
    kinds = len({(true, guess) for true, guess in answered if true != guess})
    pairs = confused_pairs(model.probabilities, study.labels, len(study.dataset.classes), PAIRS)
    text = (
        f"{wrong:,} of {words.counted(count, 'test photo')} wrong, over "
        f"{words.counted(kinds, 'pair')} of classes."
    )
    if kinds > len(pairs):
        text += f" The {len(pairs)} most confused:"
    cards = [_pair(study, model, series, pair, test, train) for pair in pairs]
    return join(
        [heading, element("p", text, class_="soft"), element("div", *cards, class_="cards pairs")]
    )


def _pair(
    study: Study,
    model: StudiedModel,
    series: int,
    pair: ConfusedPair,
    test: Gallery,
    train: Gallery,
) -> Html:
    true, guess = (study.dataset.classes[label] for label in (pair.true, pair.predicted))
    short_true, short_guess = (words.shortened(name, _NAME_LENGTH) for name in (true, guess))
    said = (
        f"{pair.count:,} of {words.counted(pair.true_count, 'photo')} "
        f"({100 * pair.share:.0f} %); the other way round {pair.reverse_count:,}"
    )
    wrong = [
        element(
            "figure",
            test.thumbnail(index, f"A test photo of {true}, taken for {guess}"),
            element("figcaption", _certainty(float(model.probabilities[index, pair.predicted]))),
            class_="wrong",
        )
        for index in pair.photos[:_WRONG_PHOTOS]
    ]
    of_guess = [index for index, p in enumerate(train.photos) if p.label == pair.predicted]
    examples = [
        element(
            "figure",
            train.thumbnail(of_guess[place], f"A training photo of {guess}"),
            element("figcaption", "training"),
        )
        for place in evenly(len(of_guess), _EXAMPLES)
    ]
    heading = element(
        "h4",
        element("bdi", short_true),
        " → ",
        element("bdi", short_guess),
        title=f"{true} → {guess}",
    )
    return element(
        "article",
        heading,
        element("p", said, class_="soft"),
        element("div", *wrong, *examples, class_="shots five"),
        class_=f"card {colour(series)}",
    )


def _certainty(probability: float) -> str:
    return "<1 %" if probability < 0.01 else f"{100 * probability:.0f} %"
