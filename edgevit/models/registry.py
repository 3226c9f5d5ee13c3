"""Every model, by name. Adding one is a line here (and its file, and its test)."""

from __future__ import annotations

from edgevit.models.architecture import Architecture
from edgevit.models.scratch_vit import ScratchVit
from edgevit.models.vgg16 import Vgg16
from edgevit.models.vit import BASE_16, BASE_32, FINE_TUNING, FROM_SCRATCH, TINY_8, VitKeras
from edgevit.registry import Registry

ARCHITECTURES: Registry[Architecture] = Registry(
    "model",
    [
        Vgg16(),
        VitKeras("vit-b32", "ViT-Base, 32×32 patches", BASE_32, 224, FINE_TUNING, "B_32"),
        VitKeras("vit-b16", "ViT-Base, 16×16 patches", BASE_16, 224, FINE_TUNING, "B_16"),
        ScratchVit(),
        VitKeras("vit-tiny", "a small ViT for the demo and tests", TINY_8, 64, FROM_SCRATCH),
    ],
)
