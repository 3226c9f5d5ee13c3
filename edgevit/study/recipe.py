"""What a study consists of: models to train or finished runs, and what is exported of each.

A recipe is a TOML file with the names of the command line's options::

    title = "Does the size of the image matter?"
    data = "data/dogs"              # beside the recipe, unless --data is given

    [[model]]
    model = "vit-scratch"           # a name that `edgevit models` lists …
    name = "vit-scratch-32"         # … and how the study calls it
    image-size = 32
    epochs = 100

    [[model]]
    run = "runs/vgg16"              # or a finished run

    [exports]
    precisions = ["fp32", "int8"]
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from edgevit import documents
from edgevit.errors import InputError, MissingDependencyError
from edgevit.run import require_plain_name
from edgevit.training import augmentation
from edgevit.training.choices import TrainChoices

if sys.version_info >= (3, 11):
    import tomllib

DEFAULT_MODELS = ("vgg16", "vit-scratch", "vit-b32")
DEFAULT_TITLE = "Which classifier"
_SUFFIX = ".toml"
_PACKAGE = "edgevit.study"
_OF_TRAINING = tuple(field.name for field in dataclasses.fields(TrainChoices))


@dataclass(frozen=True)
class ModelRecipe(TrainChoices):
    """A model to train, with what is decided about its training, or a finished run.

    Attributes:
        model: Registry name of the architecture to train.
        run: Folder of a finished run instead.
        name: Of the run's folder in the study; the model's by default.
    """

    model: str | None = None
    run: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.run is None):
            raise InputError("a model needs either model (to train it) or run (a finished one)")
        if self.name is not None:
            require_plain_name(self.name)
        for name in ("name", *_OF_TRAINING) if self.run is not None else ():
            value = getattr(self, name)
            if value is not None and value is not False:
                raise InputError(f"{name} means nothing for the finished run {self.run}")
        if self.augment:  # in the order of training, and without "none"
            object.__setattr__(self, "augment", augmentation.parse(",".join(self.augment)))

    @property
    def title(self) -> str:
        """How the study calls it."""
        return self.name or self.model or Path(self.run or "").resolve().name

    @property
    def choices(self) -> TrainChoices:
        """What is decided about its training."""
        return TrainChoices(**{name: getattr(self, name) for name in _OF_TRAINING})


@dataclass(frozen=True)
class ExportsRecipe:
    """What is exported of every model, and how that is measured.

    Attributes:
        formats: As ``edgevit export --format`` takes them; none for no exports.
        precisions: As ``edgevit export --quantize`` takes them.
        threads: Numbers of threads of the benchmark.
        protocol: Of the benchmark.
    """

    formats: tuple[str, ...] = ("tflite",)
    precisions: tuple[str, ...] = ("int8",)
    threads: tuple[int, ...] = (1,)
    protocol: Literal["short", "quick", "full"] = "short"

    def __post_init__(self) -> None:
        for name in ("precisions", "threads"):
            if self.formats and not getattr(self, name):
                raise InputError(f"exports are asked for, and no {name}", "Name at least one")


@dataclass(frozen=True)
class Recipe:
    """A study before it is done.

    Attributes:
        model: At least one; all have different names.
        data: The prepared photos.
        title: Of the page.
    """

    model: tuple[ModelRecipe, ...]
    data: str | None = None
    title: str = DEFAULT_TITLE
    exports: ExportsRecipe = dataclasses.field(default_factory=ExportsRecipe)

    def __post_init__(self) -> None:
        if not self.model:
            raise InputError("a study needs at least one model", "Name one: --models vgg16")
        names = [entry.title for entry in self.model]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"two models of the study are called {name!r}",
                    "Name trained models in a recipe; rename the folder of a finished run",
                )


def read_recipe(source: str) -> Recipe:
    """Read a recipe; paths in it are relative to its own folder.

    Args:
        source: The path of a TOML file, or the name of a recipe that comes with edgevit.

    Raises:
        InputError: if there is no such recipe, or it is not valid.
        MissingDependencyError: on Python 3.10, which has no TOML reader.
    """
    shipped = shipped_recipes()
    if source in shipped:
        return parse_recipe(shipped[source], f"the recipe {source}", Path())
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"there is no recipe {source}",
            f"Give a TOML file, or one that comes with edgevit: {', '.join(shipped)}",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no TOML ({error})", "Save it as UTF-8") from None
    return parse_recipe(text, str(path), path.parent)


def shipped_recipes() -> dict[str, str]:
    """Return the text of each recipe that comes with edgevit, by its name."""
    folder = resources.files(_PACKAGE).joinpath("recipes")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(_SUFFIX)
    }


def parse_recipe(text: str, source: str, folder: Path) -> Recipe:
    """Read the text of a recipe.

    Args:
        text: TOML.
        source: Where it is from, for errors.
        folder: What its paths are relative to.

    Raises:
        InputError: naming the place that is wrong.
        MissingDependencyError: on Python 3.10.
    """
    if sys.version_info < (3, 11):
        raise MissingDependencyError("recipes need Python 3.11", "Use it, or name --models")
    remedy = "`edgevit study --help` names what a recipe may hold"
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source} is no TOML ({error})", remedy) from None
    recipe = documents.decode(_as_fields(body), Recipe, source, remedy)
    models = tuple(_placed(entry, folder) for entry in recipe.model)
    data = None if recipe.data is None else str(folder / recipe.data)
    return dataclasses.replace(recipe, model=models, data=data)


def _placed(entry: ModelRecipe, folder: Path) -> ModelRecipe:
    """Return the entry with its paths as they are from here."""
    if entry.run is not None:
        return dataclasses.replace(entry, run=str(folder / entry.run))
    if entry.weights is not None and (folder / entry.weights).is_file():
        return dataclasses.replace(entry, weights=str(folder / entry.weights))
    return entry


def _as_fields(value: Any) -> Any:
    """Return the value with ``image_size`` for every key ``image-size``."""
    if isinstance(value, dict):
        fields = {key.replace("-", "_"): _as_fields(item) for key, item in value.items()}
        if len(fields) < len(value):
            raise InputError(f"one of {', '.join(value)} is given twice, with - and with _")
        return fields
    if isinstance(value, list):
        return [_as_fields(item) for item in value]
    return value


def recipe_of(models: Sequence[str], runs: Iterable[Path]) -> Recipe:
    """Return the recipe of architectures to train and finished runs."""
    trained = [ModelRecipe(model=name) for name in models]
    taken = [ModelRecipe(run=str(run)) for run in runs]
    return Recipe(model=(*trained, *taken))


def with_choices(recipe: Recipe, option: str, values: Mapping[str | None, Any]) -> Recipe:
    """Return the recipe with what the user decided about its trainings.

    Args:
        recipe: The recipe.
        option: A field of :class:`TrainChoices`.
        values: By the model's name in the study or its architecture; ``None`` is for all.

    Raises:
        InputError: if a model is named that the study does not train.
    """
    trained = [entry for entry in recipe.model if entry.model is not None]
    known = {name for entry in trained for name in (entry.title, entry.model)}
    flag = f"--{option.replace('_', '-')}"
    if not trained:
        raise InputError(f"{flag} means nothing: this study trains no model", "Leave it out")
    for name in values:
        if name is not None and name not in known:
            raise InputError(
                f"{flag} names {name}, which this study does not train",
                f"It trains: {', '.join(entry.title for entry in trained)}",
            )
    models = []
    for entry in recipe.model:
        named = [name for name in (entry.title, entry.model, None) if name in values]
        if entry.model is not None and named:
            entry = dataclasses.replace(entry, **{option: values[named[0]]})
        models.append(entry)
    return dataclasses.replace(recipe, model=tuple(models))
