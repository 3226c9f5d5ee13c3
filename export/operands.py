"""Ranges at run time or calibrated, layer by layer: whichever loses less."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from edgevit.calibration.statistics import Calibration, Range
from edgevit.export.closeness import power
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Conv2D, Dense, Relu
from edgevit.export.plan import Operand, Plan, RoundedProduct, rounded_products
from edgevit.export.quantised import root_of
from edgevit.preprocessing import Pixels

_BATCH_SIZE = 2
_PROBE_IMAGES = 32


def choose_operands(
    calibration: Calibration,
    plan: Plan,
    ranges: Mapping[str, Range],
    alternatives: Sequence[Operand],
) -> Plan:
    """Return a plan in which dense layers take their ranges where they lose least.

    Layers that read one value take the same, so that it is rounded once.

    Args:
        calibration: Of the graph that is rounded.
        plan: Where ranges come from so far.
        ranges: Of the values that calibrated products read.
        alternatives: Where calibrated dense layers may get their ranges from instead.
    """
    graph = calibration.graph
    readers = _readers_by_value(graph, plan)
    if not alternatives or not readers:
        return plan
    best, least = dict(plan), _errors(calibration, rounded_products(graph, plan, ranges))
    for operand in alternatives:
        other = {**plan, **{name: operand for names in readers.values() for name in names}}
        errors = _errors(calibration, rounded_products(graph, other, ranges))
        for names in readers.values():
            if sum(errors[name] for name in names) < sum(least[name] for name in names):
                best |= dict.fromkeys(names, operand)
                least |= {name: errors[name] for name in names}
    return best


def _readers_by_value(graph: DeployGraph, plan: Plan) -> dict[str, list[str]]:
    """Return the calibrated dense layers that read each value.

    What a calibrated convolution returns is left out: it computes in int8 only if its output is
    rounded in any case.
    """
    readers = defaultdict(list)
    for dense in graph.of_type(Dense):
        maker = graph.op(root_of(graph, dense.inputs[0]))
        if isinstance(maker, Relu):
            maker = graph.op(maker.inputs[0])
        if plan.get(dense.name) == "calibrated" and not isinstance(maker, Conv2D):
            readers[dense.inputs[0]].append(dense.name)
    return readers


def _errors(calibration: Calibration, products: Mapping[str, RoundedProduct]) -> dict[str, float]:
    """Return the squared error of each product on the images, as a share of its squared output."""

    def measured(pixels: Pixels) -> dict[str, float]:
        found = {}
        for op, inputs, value in calibration.graph.walk(pixels):
            if op.name in products:
                error = power(products[op.name](*inputs) - value)
                found[op.name] = error / (power(value) or 1.0)
        return found

    images = calibration.images[:_PROBE_IMAGES]
    batches = calibration.graph.map_batches(measured, images, _BATCH_SIZE)
    return {name: sum(batch[name] for batch in batches) for name in products}
