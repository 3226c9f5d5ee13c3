"""Every registered model through the template, and the study's numbers."""

from __future__ import annotations

import pytest

from edgevit.errors import InputError
from edgevit.models.registry import ARCHITECTURES
from tests.models.template import ArchitectureTemplate


class TestVitTiny(ArchitectureTemplate):
    name = "vit-tiny"


class TestVitScratch(ArchitectureTemplate):
    name = "vit-scratch"


class TestVgg16(ArchitectureTemplate):
    name = "vgg16"
    image_size = 32


@pytest.mark.slow
class TestVitB32(ArchitectureTemplate):
    name = "vit-b32"


@pytest.mark.slow
class TestVitB16(ArchitectureTemplate):
    name = "vit-b16"


def test_every_model_is_tested_when_registered() -> None:
    tested = {cls.name for cls in ArchitectureTemplate.__subclasses__()}
    assert tested == set(ARCHITECTURES.names())


@pytest.mark.parametrize(
    ("name", "total", "trainable", "non_trainable"),
    [
        # The original study's models, 120 classes.
        ("vgg16", 17_725_368, 3_010_680, 14_714_688),
        ("vit-b32", 87_915_640, 87_913_080, 2_560),
        # Google's ViT-B/16 has 85,798,656 weights without its head; the study's head has 460,408.
        ("vit-b16", 86_259_064, 86_256_504, 2_560),
        # Counted by hand from the Keras example, which adds 7 of its Normalization layer.
        ("vit-scratch", 21_779_512, 21_779_512, 0),
    ],
)
def test_counts_are_the_studys_when_classes_are_120(
    name: str, total: int, trainable: int, non_trainable: int
) -> None:
    architecture = ARCHITECTURES.get(name)
    counts = architecture.parameter_counts(architecture.spec(120))
    assert (counts.total, counts.trainable, counts.non_trainable) == (
        total,
        trainable,
        non_trainable,
    )


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg16", 31),
        ("vgg16", 0),
        ("vit-b32", 100),
        ("vit-b32", -32),
        ("vit-b16", 8),
        ("vit-tiny", 0),
        ("vit-scratch", 5),
    ],
)
def test_size_is_refused_when_the_architecture_cannot_take_it(name: str, size: int) -> None:
    with pytest.raises(InputError, match=f"{name} cannot take images of {size} pixels.*--image"):
        ARCHITECTURES.get(name).spec(10, size)


def test_unknown_model_is_refused_when_named() -> None:
    with pytest.raises(InputError, match=r"unknown model 'resnet'\. Valid: vgg16, vit-b32"):
        ARCHITECTURES.get("resnet")
