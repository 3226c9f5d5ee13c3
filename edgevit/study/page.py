"""The page of a study, section by section."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from edgevit import __version__
from edgevit.bench.report import tables
from edgevit.bench.report.entries import Report, merge
from edgevit.bench.report.figures import scatters
from edgevit.bench.report.page import warning_cards
from edgevit.data.dataset import SplitName
from edgevit.pages import words
from edgevit.pages.document import Section, build_document, resource
from edgevit.pages.gallery import Gallery
from edgevit.pages.markup import Html, element
from edgevit.study import results
from edgevit.study.augmented import augmented_examples
from edgevit.study.classes import class_table
from edgevit.study.conclusion import conclude
from edgevit.study.confusions import confusion_section
from edgevit.study.curves import epoch_times, training_curves
from edgevit.study.overview import overview
from edgevit.study.study import Study

Part = Html | None


def build_study_page(study: Study) -> str:
    """Return the whole page, ``<!doctype html>`` first; it needs no network."""
    gallery = gallery_of(study)
    report = None if study.bench is None else merge([study.bench])
    contents: dict[str, tuple[str, Callable[[], list[Part]]]] = {
        "conclusion": ("Conclusion", lambda: _conclusion(study)),
        "photos": ("Photos", lambda: [overview(study.dataset, gallery)]),
        "augmentation": ("Augmentation", lambda: _augmentation(study)),
        "models": ("Models", lambda: _models(study)),
        "training": ("Training", lambda: _training(study)),
        "accuracy": ("Accuracy", lambda: _accuracy(study)),
        "classes": ("Classes", lambda: [class_table(study)]),
        "confusions": (
            "Confusions",
            lambda: [confusion_section(study, gallery("test"), gallery("train"))],
        ),
        "exports": ("Exports", lambda: _exports(report)),
    }
    sections = [
        Section(anchor, heading, [part for part in build() if part is not None])
        for anchor, (heading, build) in contents.items()
    ]
    style = resource("edgevit.bench.report", "report.css") + resource("edgevit.study", "study.css")
    return build_document(
        study.title,
        "edgevit study",
        _lead(study),
        [section for section in sections if section.parts],
        f"Made with edgevit {__version__}.",
        style=style,
        has_pictures=True,
    )


def gallery_of(study: Study) -> Callable[[SplitName], Gallery]:
    """Return the photos of each split; where files are gone, in the largest input's pixels."""
    inputs = [model.run.record.spec.preprocessing for model in study.models]
    largest = max(inputs, key=lambda preprocessing: preprocessing.height)
    return cache(lambda split: Gallery(study.dataset, split, largest))


def _lead(study: Study) -> str:
    names = words.listed([model.name for model in study.models])
    photos, classes = len(study.dataset.photos), len(study.dataset.classes)
    return (
        f"{names} on {photos:,} photos of {classes:,} classes; {len(study.labels):,} of the photos "
        "are for the test."
    )


def _conclusion(study: Study) -> list[Part]:
    notes = [element("li", text) for text in results.notes_of(study)]
    return [
        results.conclusion_table(study, conclude(study)),
        element("ul", *notes, class_="notes") if notes else None,
    ]


def _augmentation(study: Study) -> list[Part]:
    return [augmented_examples(study.models, study.dataset)]


def _models(study: Study) -> list[Part]:
    return [
        results.models_table(study.models),
        element("h3", "How they were trained"),
        results.training_table(study.models),
        element("p", results.machines_note(study.models), class_="soft"),
        element("h3", "Op by op"),
        results.layer_tables(study.models),
    ]


def _training(study: Study) -> list[Part]:
    return [training_curves(study.models), element("h3", "An epoch"), epoch_times(study.models)]


def _accuracy(study: Study) -> list[Part]:
    pairs = results.pairs_table(study)
    if pairs is None:
        return [results.results_table(study)]
    explained = element("p", results.pairs_explained(), class_="soft")
    return [
        results.results_table(study),
        element("h3", "Which differences are shown"),
        explained,
        pairs,
    ]


def _exports(report: Report | None) -> list[Part]:
    if report is None:
        return []
    if not report.entries:
        return list(warning_cards(report))
    protocol = report.results[0].protocol
    speed = "" if protocol.comparable else ", briefly: compare no other machine by it"
    return [
        element(
            "p",
            f"Measured on {words.listed(list(report.devices))}{speed}. Drops are against the "
            "model’s own full-precision answers, photo by photo: + is worse.",
            class_="soft",
        ),
        *warning_cards(report),
        tables.summary(report),
        element("h3", "Accuracy against latency"),
        *scatters(report),
    ]
