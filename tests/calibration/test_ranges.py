"""Each range estimator on numbers whose range is known, and which one a value gets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgevit.calibration.ranges import (
    ESTIMATORS,
    KINDS,
    Kind,
    RangePolicy,
    entropy,
    kind_of,
    min_max,
    mse,
    percentile,
    running_mean,
)
from edgevit.calibration.statistics import Calibration, Observed
from edgevit.errors import InputError
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import MaxPool2D, Op, PadConstant, Relu
from edgevit.export.passes.exact import run_passes
from edgevit.models.registry import ARCHITECTURES
from tests.export.small_graphs import first_convolutions, squares
from tests.models.template import stirred

NORMAL = np.random.default_rng(0).normal(size=200_000)
CLIPPING = ("percentile", "mse", "entropy")
# What a grid is spread over: these estimators leave putting 0 into it to the grid.
WITHOUT_ZERO = ("min-max", "percentile", "running-mean")


def observed(*images: np.ndarray) -> Observed:
    """What is seen of a value of one channel."""
    sample = np.concatenate(images).astype(np.float32)
    return Observed(
        lows=np.float32([[image.min()] for image in images]),
        highs=np.float32([[image.max()] for image in images]),
        sample=sample,
        sample_channels=np.zeros(len(sample), np.int64),
    )


def squared_error(numbers: np.ndarray, low: float, high: float) -> float:
    """Round to 256 levels, one by one."""
    step = (high - low) / 255
    rounded = np.rint(np.clip(numbers, low, high) / step) * step
    return float(np.mean((rounded - numbers) ** 2))


@pytest.mark.parametrize("outlier", [-30.0, 30.0])
@pytest.mark.parametrize("name", CLIPPING)
def test_outlier_is_clipped_when_the_estimator_clips(name: str, outlier: float) -> None:
    numbers = np.append(NORMAL, outlier)
    low, high = ESTIMATORS[name](observed(numbers))
    spanned = min_max(observed(numbers))
    assert spanned[0] <= low < -2.5
    assert 2.5 < high <= spanned[1]
    assert high - low < 0.9 * (spanned[1] - spanned[0])
    # What is not clipped is finer for it.
    assert squared_error(NORMAL, low, high) < 0.9 * squared_error(NORMAL, *spanned)


@pytest.mark.parametrize("outlier", [-30.0, 30.0])
def test_outlier_is_kept_when_nothing_is_clipped(outlier: float) -> None:
    numbers = np.append(NORMAL, outlier)
    expected = (float(np.float32(numbers.min())), float(np.float32(numbers.max())))
    assert min_max(observed(numbers)) == expected
    assert running_mean(observed(numbers)) == expected  # of one image


def test_percentile_is_the_quantile_when_numbers_are_normal() -> None:
    assert percentile(observed(NORMAL)) == pytest.approx((-3.72, 3.72), abs=0.2)
    even = np.linspace(0, 1, 100_001)
    assert percentile(observed(even)) == pytest.approx((1e-4, 1 - 1e-4), abs=1e-6)


def test_mse_has_the_least_error_when_shares_of_the_span_are_tried() -> None:
    numbers = np.append(np.random.default_rng(1).standard_t(3, 20_000), [40.0])
    low, high = mse(observed(numbers))
    least = squared_error(numbers, low, high)
    spanned = min_max(observed(numbers))
    for share in np.linspace(0.3, 1, 15):
        assert least <= 1.01 * squared_error(numbers, *(share * end for end in spanned))


@pytest.mark.parametrize("place", [0, 5, 9])
def test_running_mean_moves_little_when_one_image_is_odd(place: int) -> None:
    images = [np.array([-1.0, 2.0, 0.5])] * 10
    images[place] = np.array([-21.0, 102.0])
    assert running_mean(observed(*images)) == pytest.approx((-3, 12))
    assert min_max(observed(*images)) == (-21, 102)


@pytest.mark.parametrize("name", ["min-max", "running-mean", "mse", "entropy"])
def test_span_stays_when_numbers_are_even(name: str) -> None:
    numbers = np.linspace(-1, 3, 100_000)
    assert ESTIMATORS[name](observed(numbers)) == pytest.approx((-1, 3), abs=0.2)


@pytest.mark.parametrize("number", [0.0, 5.0, -5.0])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_range_holds_the_number_when_all_are_the_same(name: str, number: float) -> None:
    with np.errstate(all="raise"):
        low, high = ESTIMATORS[name](observed(np.full(9, number), np.full(9, number)))
    assert low <= number <= high or name not in WITHOUT_ZERO
    if name not in WITHOUT_ZERO:
        assert low <= 0 <= high
    low, high = min(low, 0), max(high, 0)
    assert squared_error(np.full(9, number), low, high if high > low else low + 1) < 1e-6


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_range_begins_at_zero_when_no_number_is_below(name: str, sign: int) -> None:
    numbers = sign * np.maximum(NORMAL, 0)
    low, high = ESTIMATORS[name](observed(numbers))
    end, other = (high, low) if sign == 1 else (low, high)
    assert other == 0
    assert sign * end <= abs(numbers).max() + 1e-6
    # Half of the numbers are 0, which every range holds: they are no reason to clip the others.
    error = squared_error(numbers, low, high)
    assert 10 * np.log10(np.mean(numbers**2) / error) > 30


@pytest.mark.parametrize("name", ["mse", "entropy"])
def test_zero_is_in_the_range_when_no_number_is_near_it(name: str) -> None:
    low, high = ESTIMATORS[name](observed(10 + np.abs(NORMAL)))
    assert low == 0
    assert high > 10


def test_every_estimator_is_tested_when_listed() -> None:
    assert set(ESTIMATORS) == {*CLIPPING, *WITHOUT_ZERO}
    assert list(ESTIMATORS.values()) == [min_max, percentile, running_mean, mse, entropy]


@pytest.fixture(scope="module")
def vit() -> DeployGraph:
    architecture = ARCHITECTURES.get("vit-tiny")
    spec = architecture.spec(3, 32)
    trained = architecture.build_graph(spec, stirred(architecture.build_keras(spec)))
    return run_passes(trained, np.full((1, 32, 32, 3), 99, np.uint8))[0]


@pytest.mark.parametrize(
    ("name", "kind"),
    {
        "pixels": "pixels",
        "patch_embedding/patches": "pixels",  # only moved
        "patch_embedding": "product",
        "block_0/norm_1": "norm",
        "block_0/norm_1/mean": "statistics",
        "block_0/norm_1/variance": "statistics",
        "block_0/norm_1/centred": "statistics",
        "block_0/query": "product",
        "block_0/attention": "attention",
        "block_0/attention/scores": "scores",
        "block_0/add_1": "residual",
        "block_0/mlp_1": "product",
        "block_0/gelu_1": "gelu",
        "block_0/mlp_2": "product",
        "logits": "product",
    }.items(),
)
def test_kind_is_what_made_the_value_when_it_is_a_vits(
    vit: DeployGraph, name: str, kind: Kind
) -> None:
    assert kind_of(vit, name) == kind


def test_kind_is_known_when_anything_is_looked_at(vit: DeployGraph) -> None:
    graphs: tuple[tuple[DeployGraph, int], ...] = ((vit, 32), (first_convolutions(), 8))
    kinds = {
        kind_of(graph, name)
        for graph, size in graphs
        for name in Calibration(graph, squares(size)[:1]).observed
    }
    assert kinds == set(KINDS)


def test_kind_is_the_sources_when_an_op_only_moves_numbers() -> None:
    graph = first_convolutions()
    behind: tuple[Op, ...] = (
        Relu(name="r", inputs=("c",)),
        MaxPool2D(name="pool", inputs=("r",), size=2),
        PadConstant(name="pad", inputs=("pool",), before=1, after=1, value=np.zeros(5, np.float32)),
    )
    chain = DeployGraph((*graph.ops[:3], *behind))
    assert [kind_of(chain, op.name) for op in behind] == ["relu"] * 3
    assert kind_of(chain, "c") == kind_of(chain, "offset") == "product"


def ranges_by(policy: RangePolicy, graph: DeployGraph) -> Mapping[str, tuple[float, float]]:
    return policy.ranges(graph, Calibration(graph, squares()).observed)


def test_ranges_are_of_the_kinds_estimator_when_a_policy_names_one() -> None:
    graph = first_convolutions()
    observed = Calibration(graph, squares()).observed
    ranges = RangePolicy("min-max", {"relu": "running-mean"}).ranges(graph, observed)
    assert set(ranges) == set(observed)
    for name, seen in observed.items():
        relu = kind_of(graph, name) == "relu"
        assert ranges[name] == (running_mean(seen) if relu else min_max(seen)), name
    assert ranges["r"] != min_max(observed["r"])


def test_all_kinds_change_when_a_choice_names_none() -> None:
    policy = RangePolicy("mse", {"statistics": "min-max"}).with_choices(["entropy"])
    assert policy == RangePolicy("entropy")


def test_one_kind_changes_when_a_choice_names_it() -> None:
    before = RangePolicy("mse", {"statistics": "min-max", "gelu": "entropy"})
    after = before.with_choices(["gelu=percentile", "norm=running-mean"])
    assert after.default == "mse"
    assert after.by_kind == {
        "statistics": "min-max",
        "gelu": "percentile",
        "norm": "running-mean",
    }
    assert before.by_kind["gelu"] == "entropy"


def test_later_choice_comes_first_when_there_are_several() -> None:
    choose = RangePolicy().with_choices
    assert choose(["mse", "gelu=percentile", "gelu=entropy"]).by_kind == {"gelu": "entropy"}
    assert choose(["mse", "gelu=percentile"]).estimator("gelu") is percentile
    assert choose(["mse", "gelu=percentile"]).estimator("norm") is mse
    assert choose(["gelu=percentile", "mse"]).estimator("gelu") is mse  # for all kinds
    assert choose([]) == RangePolicy()


@pytest.mark.parametrize("choice", ["least-squares", "", "gelu=", "gelu=mean", "gelu=mse=mse"])
def test_valid_names_are_listed_when_an_estimator_is_unknown(choice: str) -> None:
    message = "Valid: min-max, percentile, running-mean, mse, entropy|unknown kind of value 'gelu="
    with pytest.raises(InputError, match=message):
        RangePolicy().with_choices(["mse", choice])


@pytest.mark.parametrize("choice", ["silu=mse", "=mse", "GELU=mse"])
def test_valid_names_are_listed_when_a_kind_is_unknown(choice: str) -> None:
    with pytest.raises(InputError, match=r"unknown kind of value .* Valid: pixels, norm, gelu, "):
        RangePolicy().with_choices([choice])
