"""Two models side by side: as a page with pictures, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgevit import __version__
from edgevit.compare.comparison import Answer, ClassResult, Disagreement, difference_text
from edgevit.compare.side_by_side import SideBySide
from edgevit.pages import markdown, words
from edgevit.pages.document import Section, build_document, resource
from edgevit.pages.gallery import Gallery
from edgevit.pages.markup import Html, element, join
from edgevit.pages.tables import Cell, Column, Row, table

# A few hundred kilobytes of pictures. The first are seen at once, the others are folded away.
_PICTURES = 60
_UNFOLDED = 12
# Classes and disagreements in the Markdown.
_MARKDOWN_ROWS = 20
# What headings of tiles and columns hold.
_NAME_LENGTH = 32


def build_comparison_page(pair: SideBySide) -> str:
    """Return the whole page, ``<!doctype html>`` first. The same content gives the same text."""
    return build_document(
        words.listed(_short_names(pair)),
        "edgevit compare",
        pair.lead,
        [
            Section("result", "Result", _result(pair)),
            Section("disagreements", "Where they disagree", list(_disagreements(pair))),
            Section("classes", "Class by class", list(_classes(pair))),
        ],
        f"Compared with edgevit {__version__}.",
        style=resource("edgevit.compare", "compare.css"),
        has_pictures=True,
    )


def build_comparison_markdown(pair: SideBySide) -> str:
    """Return the result, the classes that differ most and the first disagreements as tables."""
    escape, names = markdown.escape, pair.names
    facts = pair.facts()
    headings = [", ".join(filter(None, (fact.heading, fact.unit))) for fact in facts]
    columns = list(zip(headings, [fact.is_numeric for fact in facts], strict=True))
    models = [[name, *(fact.texts[i] for fact in facts)] for i, name in enumerate(names)]
    blocks = [
        f"**{escape(pair.verdict)}.**",
        escape(f"{pair.lead} {_difference_sentence(pair)}"),
        _markdown_table([("Model", False), *columns], models),
        _markdown_table(
            [("Photos", False), (f"{names[1]} right", True), (f"{names[1]} wrong", True)],
            _outcome_rows(pair, names),
        ),
    ]
    if pair.notes:
        blocks.append("\n".join(f"- {escape(note)}." for note in pair.notes))
    differing = pair.comparison.differing_classes()
    if classes := differing[:_MARKDOWN_ROWS]:
        blocks += [
            f"Classes by the photos that only one gets right{_first_of(classes, differing)}:",
            _markdown_table(
                [("Class", False), ("Photos", True), *((f"{name}, %", True) for name in names)],
                [_class_texts(pair, item) for item in classes],
            ),
        ]
    if empty := [pair.labels[item.label] for item in pair.comparison.empty_classes]:
        blocks.append(escape(f"Without a {pair.split} photo, so unknown: {words.listed(empty)}."))
    blocks.append(escape(pair.disagreement_text))
    disagreements = pair.comparison.disagreements
    if found := disagreements[:_MARKDOWN_ROWS]:
        blocks += [
            f"The most instructive photos{_first_of(found, disagreements)}:",
            _markdown_table(
                [("Photo", False), ("True label", False), *((name, False) for name in names)],
                [_disagreement_texts(pair, item) for item in found],
            ),
        ]
    return "\n\n".join(blocks) + "\n"


def answer_text(pair: SideBySide, answer: Answer) -> str:
    """Return such as ``beagle (97.3 %)``."""
    return f"{pair.labels[answer.label]} {probability_text(answer)}"


def probability_text(answer: Answer) -> str:
    """Return such as ``(97.3 %)``."""
    return f"({100 * answer.probability:.1f} %)"


def _result(pair: SideBySide) -> list[Html]:
    names = _short_names(pair)
    parts = [element("p", f"{pair.verdict}.", class_="verdict"), _tiles(pair, names)]
    if pair.notes:
        notes = [element("li", f"{note}.") for note in pair.notes]
        inner = [element("h3", "To be known"), element("ul", *notes)]
        parts.append(element("div", *inner, class_="caution warning"))
    facts = pair.facts()
    columns = [Column(fact.heading, fact.unit, is_numeric=fact.is_numeric) for fact in facts]
    models = [
        Row([Cell(name), *(Cell(fact.texts[index]) for fact in facts)])
        for index, name in enumerate(pair.names)
    ]
    outcomes = [
        Column("Photos", is_numeric=False),
        Column(names[1], "right"),
        Column(names[1], "wrong"),
    ]
    rows = [Row(list(map(Cell, texts))) for texts in _outcome_rows(pair, names)]
    square = table(outcomes, [rows], "Photos by which of the two is right")
    return [
        *parts,
        element("h3", "The models"),
        table(
            [Column("Model", is_numeric=False), *columns], [models], "Both models", is_stacked=True
        ),
        element("h3", "Photo by photo"),
        element("div", square, class_="square"),
    ]


def _tiles(pair: SideBySide, names: Sequence[str]) -> Html:
    comparison = pair.comparison
    paired, outcomes, count = comparison.paired, comparison.outcomes, comparison.photo_count
    points, _, interval = difference_text(comparison).partition(" ")
    chance = "Both get the same photos right"
    if alone := outcomes.only_first + outcomes.only_second:
        chance = (
            f"The chance of so uneven a share of the {words.counted(alone, 'photo')} that only one "
            "gets right, if neither model were better"
        )
    tiles = [
        _tile(
            name,
            words.percent(accuracy.top1),
            " % top-1",
            f"{outcomes.both_right + own:,} of {count:,} photos right",
            f"s{index}",
        )
        for index, (name, accuracy, own) in enumerate(
            (
                (names[0], comparison.first, outcomes.only_first),
                (names[1], comparison.second, outcomes.only_second),
            )
        )
    ]
    return element(
        "div",
        *tiles,
        _tile(
            "Difference",
            points,
            " points",
            f"95 % interval {interval.strip('()')}; + says that {names[0]} is right more often",
        ),
        _tile(
            "The same label",
            words.percent(paired.agreement),
            " %",
            f"{count - paired.flips:,} of {count:,} photos",
        ),
        _tile(
            "McNemar’s test",
            f"p {words.p_value(paired.mcnemar_p)}",
            "",
            chance,
        ),
        class_="tiles",
    )


def _tile(heading: str, figure: str, unit: str, detail: str, colour: str = "neutral") -> Html:
    return element(
        "div",
        element("h4", heading),
        element("p", element("b", figure), unit, class_="figure"),
        element("p", detail, class_="soft"),
        class_=f"tile {colour}",
    )


def _outcome_rows(pair: SideBySide, names: Sequence[str]) -> list[list[str]]:
    found = pair.comparison.outcomes
    return [
        [f"{names[0]} right", f"{found.both_right:,}", f"{found.only_first:,}"],
        [f"{names[0]} wrong", f"{found.only_second:,}", f"{found.both_wrong:,}"],
    ]


def _difference_sentence(pair: SideBySide) -> str:
    return (
        f"Difference in top-1: {difference_text(pair.comparison)} points, 95 % interval; + says "
        f"that {pair.names[0]} is right more often."
    )


def _disagreements(pair: SideBySide) -> Iterator[Html]:
    found = pair.comparison.disagreements
    if not found:
        yield element("p", pair.disagreement_text)
        return
    text = (
        f"{pair.disagreement_text} Above each pair of answers stands the true label. Photos that "
        "only one model gets right come first, those before others about which the other model "
        "was surer."
    )
    yield element("p", text, class_="soft")
    gallery = Gallery(pair.dataset, pair.split, pair.candidates[0].spec.preprocessing)
    cards = [_card(pair, gallery, item) for item in found[:_PICTURES]]
    yield element("div", *cards[:_UNFOLDED], class_="cards photos")
    if folded := cards[_UNFOLDED:]:
        summary = element("summary", element("span", f"{words.counted(len(folded), 'photo')} more"))
        yield element("details", summary, element("div", *folded, class_="cards photos"))
    if left := len(found) - len(cards):
        yield element(
            "p",
            f"{words.counted(left, 'more photo')} on which they disagree: not shown here.",
            class_="soft",
        )


def _card(pair: SideBySide, gallery: Gallery, item: Disagreement) -> Html:
    truth = pair.labels[item.truth]
    return element(
        "div",
        gallery.thumbnail(item.index, f"A photo of the class {truth}"),
        element(
            "div",
            element("h4", truth),
            *(_answer(pair, item, index) for index in (0, 1)),
            element("p", Path(gallery.photos[item.index].path).name, class_="soft"),
        ),
        class_="card",
    )


def _answer(pair: SideBySide, item: Disagreement, index: int) -> Html:
    answer = item.answers[index]
    is_right = answer.label == item.truth
    mark = "right" if is_right else "wrong"
    return element(
        "p",
        element("b", _short_names(pair)[index]),
        element("span", mark, class_="badge" if is_right else "badge failed"),
        element("br"),
        f"{pair.labels[answer.label]} ",
        element("span", probability_text(answer), class_="num"),
        class_=f"answer s{index}",
    )


def _classes(pair: SideBySide) -> Iterator[Html]:
    text = "Top-1 of each class; classes on which the models differ by the most photos come first."
    if empty := len(pair.comparison.empty_classes):
        has = "has" if empty == 1 else "have"
        text += (
            f" {empty:,} of {len(pair.labels):,} classes {has} no {pair.split} photo: nothing can "
            "be said of them."
        )
    yield element("p", text, class_="soft")
    columns = [
        Column("Class", is_numeric=False),
        Column("Photos"),
        *(Column(name, "right, %") for name in _short_names(pair)),
        Column("Difference", "points"),
    ]
    rows = [_class_row(pair, item) for item in pair.comparison.classes_by_difference()]
    yield table(columns, [rows], "Both models class by class", is_sortable=True)


def _class_row(pair: SideBySide, item: ClassResult) -> Row:
    name, points = pair.labels[item.label], item.difference_points
    if points is None:
        badge = element("span", f"no {pair.split} photo", class_="badge absent")
        cells = [Cell(join([name, badge]), name), Cell("0", 0), *[Cell(words.NOTHING)] * 3]
        return Row(cells, style="reference-row")
    shares = ((item.first_top1, item.first_right), (item.second_top1, item.second_right))
    return Row(
        [
            Cell(name, name),
            Cell(f"{item.photo_count:,}", item.photo_count),
            *(Cell(_share(share, right, item.photo_count), share) for share, right in shares),
            Cell(words.points(points), points),
        ]
    )


def _share(share: float | None, right: int, count: int) -> str:
    detail = element("span", f"{right:,} of {count:,}", class_="detail")
    return join([words.percent(share), detail])


def _class_texts(pair: SideBySide, item: ClassResult) -> list[str]:
    shares = [words.percent(share) for share in (item.first_top1, item.second_top1)]
    return [pair.labels[item.label], f"{item.photo_count:,}", *shares]


def _disagreement_texts(pair: SideBySide, item: Disagreement) -> list[str]:
    photo = pair.dataset.split(pair.split).photos[item.index]
    answers = [answer_text(pair, answer) for answer in item.answers]
    return [Path(photo.path).name, pair.labels[item.truth], *answers]


def _markdown_table(columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    texts = [
        [
            text if is_numeric else markdown.escape(text)
            for text, (_, is_numeric) in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    return markdown.table([(markdown.escape(name), numeric) for name, numeric in columns], texts)


def _first_of(shown: Sequence[object], every: Sequence[object]) -> str:
    return "" if len(shown) == len(every) else f" (the first {len(shown):,} of {len(every):,})"


def _short_names(pair: SideBySide) -> tuple[str, ...]:
    return words.shortened_apart(pair.names, _NAME_LENGTH)
