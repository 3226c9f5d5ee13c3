"""What every model file says about itself, by the convention of its own format."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.preprocessing import Preprocessing


@dataclass(frozen=True)
class ModelCard:
    """The facts that a program which is not edgevit needs to use a model file.

    Attributes:
        name: Of the run that was exported.
        description: One line for people.
        labels: In the order of the probabilities.
        preprocessing: How photos become pixels; the normalisation is inside the file.
        version: Of the weights: the first digits of the run's hash.
    """

    name: str
    description: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    version: str
