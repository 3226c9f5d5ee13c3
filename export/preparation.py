"""What calibration gives to the files: a graph ready for rounding, ranges, corrected biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from edgevit import console
from edgevit.calibration.ranges import RangePolicy
from edgevit.calibration.statistics import Calibration, Range
from edgevit.export.choices import Choices
from edgevit.export.graph import DeployGraph
from edgevit.export.lowering import Recipe
from edgevit.export.operands import choose_operands
from edgevit.export.ops import Array
from edgevit.export.passes.calibrated import CalibratedPass, Rounding
from edgevit.export.passes.catalogue import name_of
from edgevit.export.passes.correct_bias import bias_corrections, correct_bias
from edgevit.export.passes.exact import check_same
from edgevit.export.plan import Operand, Plan, RoundedProduct, rounded_products, with_float
from edgevit.preprocessing import Pixels


@dataclass(frozen=True, eq=False)
class Preparation:
    """A calibrated graph for one way of rounding; formats that round alike share it.

    Attributes:
        calibration: Of the graph after the recipe's passes.
        rounding: The plan that the passes prepared for, and where ranges come from.
        alternatives: Where calibrated dense layers may get their ranges from instead.
        corrects_bias: Whether biases make up for the mean of the rounding errors.
    """

    calibration: Calibration
    rounding: Rounding
    alternatives: tuple[Operand, ...]
    corrects_bias: bool

    @cached_property
    def ranges(self) -> Mapping[str, Range]:
        """The range of every value and part."""
        calibration = self.calibration
        return self.rounding.policy.ranges(calibration.graph, calibration.observed)

    @cached_property
    def plan(self) -> Plan:
        """How each product rounds, layer by layer."""
        if not self.alternatives:
            return self.rounding.plan
        with console.step("Choosing between calibrated ranges and ranges at run time"):
            return choose_operands(
                self.calibration, self.rounding.plan, self.ranges, self.alternatives
            )

    @cached_property
    def _corrections(self) -> Mapping[str, Array]:
        if not self.corrects_bias:
            return {}
        graph = self.calibration.graph
        products = rounded_products(graph, self.plan, self.ranges)
        with console.step("Correcting biases for what rounding shifts"):
            return bias_corrections(self.calibration, products)

    def graph(self, float_layers: frozenset[str]) -> DeployGraph:
        """Return the graph with the biases of all rounded products corrected."""
        corrections = {n: c for n, c in self._corrections.items() if n not in float_layers}
        return correct_bias(self.calibration.graph, corrections)

    def products(self, float_layers: frozenset[str] = frozenset()) -> dict[str, RoundedProduct]:
        """Return the products as the file computes them."""
        plan = with_float(self.plan, float_layers)
        return rounded_products(self.graph(float_layers), plan, self.ranges)


class Preparations:
    """Prepares a graph for recipes, each step once, whichever formats share it.

    Args:
        calibration: Of the graph after the exact passes.
        choices: What the user decided.
        probe: ``uint8 [n, height, width, 3]``, the images on which passes are checked.
    """

    def __init__(self, calibration: Calibration, choices: Choices, probe: Pixels) -> None:
        self._calibration = calibration
        self._choices = choices
        self._probe = probe
        self._rewritten: dict[tuple[object, ...], Calibration] = {}
        self._made: dict[tuple[object, ...], Preparation] = {}

    def of(self, recipe: Recipe) -> Preparation:
        """Return what a calibrated recipe's files are made from.

        Raises:
            CheckFailedError: naming a pass that changed the graph's answers.
        """
        graph, skipped = self._calibration.graph, self._choices.skipped_passes
        rounding = Rounding(recipe.plan(graph), RangePolicy().with_choices(self._choices.ranges))
        alternatives = () if name_of(choose_operands) in skipped else recipe.alternatives
        corrects = recipe.corrects_bias and name_of(correct_bias) not in skipped
        passes = tuple(each for each in recipe.passes if name_of(each) not in skipped)
        key = (passes, *_key(rounding), alternatives, corrects)
        if key not in self._made:
            calibration = self._after(passes, rounding)
            self._made[key] = Preparation(calibration, rounding, alternatives, corrects)
        return self._made[key]

    def _after(self, passes: tuple[CalibratedPass, ...], rounding: Rounding) -> Calibration:
        """Return the calibration of the graph after some passes."""
        if not passes:
            _ = self._calibration.observed  # a step of its own, with its own name
            return self._calibration
        key = (passes, *_key(rounding))
        if key not in self._rewritten:
            *earlier, last = passes
            before = self._after(tuple(earlier), rounding)
            after = last(before, rounding)
            if after is not before:
                answers = (each.graph.evaluate(self._probe) for each in (before, after))
                check_same(name_of(last), *answers)
                _ = after.observed
            self._rewritten[key] = after
        return self._rewritten[key]


def _key(rounding: Rounding) -> tuple[object, ...]:
    return (*rounding.plan.items(), repr(rounding.policy))
