"""Which layers rounding harms: each product alone in int8, everything else in float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgevit import console
from edgevit.export.closeness import centred_logits, sqnr_db, top1_agreement
from edgevit.export.graph import DeployGraph
from edgevit.export.plan import Operand, Plan, RoundedProduct
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels

# All values of an image are kept while its layers are tried, and VGG16's are 60 MB.
_BATCH_SIZE = 1


@dataclass(frozen=True)
class LayerDamage:
    """What the answers lose when one product computes in int8.

    Attributes:
        name: Of the product.
        operand: Where the range of its input comes from.
        weight_count: Its weights, without the bias.
        sqnr_db: Of the logits against float, decibels: less is worse.
        agreement: Share of images with the same top-1 label, 0–1.
    """

    name: str
    operand: Operand
    weight_count: int
    sqnr_db: float
    agreement: float


@dataclass(frozen=True)
class Sensitivity:
    """All products of a plan, the most harmful first.

    Attributes:
        layers: One entry for each.
        sqnr_db: Of the logits when all of them compute in int8, decibels.
        agreement: Top-1 agreement then, 0–1.
        image_count: Number of images.
    """

    layers: tuple[LayerDamage, ...]
    sqnr_db: float
    agreement: float
    image_count: int


def measure(
    graph: DeployGraph,
    plan: Plan,
    products: Mapping[str, RoundedProduct],
    images: Pixels,
) -> Sensitivity:
    """Round one product after another, and all together, in NumPy.

    Args:
        graph: In float, without corrected biases.
        plan: Of that graph.
        products: What the file computes instead of the graph's products.
        images: ``uint8 [n, height, width, 3]``, training photos that no range was computed on.
    """

    def tried(pixels: Pixels) -> dict[str, Scores]:
        values = graph.values(pixels)
        answers = {"": values[graph.output]}
        for name, rounded in products.items():
            inputs = [values[source] for source in graph.op(name).inputs]
            answers[name] = graph.answer_after(values, name, rounded(*inputs))
        return answers

    with console.step(f"Trying {len(products)} layers on {len(images)} images"):
        batches = graph.map_batches(tried, images, _BATCH_SIZE)
    answers = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    reference = answers.pop("")
    expected = centred_logits(reference)
    layers = [
        LayerDamage(
            name=name,
            operand=plan[name],
            weight_count=products[name].op.kernel.size,
            sqnr_db=sqnr_db(expected, centred_logits(answer)),
            agreement=top1_agreement(reference, answer),
        )
        for name, answer in answers.items()
    ]
    together = graph.evaluate(images, instead=products)
    return Sensitivity(
        layers=tuple(sorted(layers, key=lambda layer: (layer.sqnr_db, layer.name))),
        sqnr_db=sqnr_db(expected, centred_logits(together)),
        agreement=top1_agreement(reference, together),
        image_count=len(images),
    )
