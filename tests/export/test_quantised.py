"""Eight-bit grids, against the rounding error that they may have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgevit.calibration.ranges import RangePolicy
from edgevit.calibration.statistics import Calibration
from edgevit.export.graph import DeployGraph
from edgevit.export.onnx_schemes import Planned, Product
from edgevit.export.onnx_writer import OnnxWriter
from edgevit.export.ops import (
    Add,
    Conv2D,
    Dense,
    Gelu,
    Input,
    MaxPool2D,
    Normalise,
    Op,
    Relu,
    Reshape,
    Softmax,
    SpaceToDepth,
    TakeToken,
)
from edgevit.export.plan import everywhere
from edgevit.export.quantised import (
    PIXEL_GRID,
    AffineUint8,
    activation_grids,
    affine_uint8,
    has_integer_pixels,
    int8_per_channel,
    root_of,
)

RANDOM = np.random.default_rng(0)
_START = RANDOM.bit_generator.state
INPUT = Input(name="pixels", inputs=(), height=4, width=4)
SHIFTED = Normalise(
    name="shifted",
    inputs=("pixels",),
    scale=np.ones(3, np.float32),
    offset=np.float32([-120, -110, -100]),
    swap_channels=False,
)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Draw the same numbers in each test, whatever ran before it."""
    RANDOM.bit_generator.state = _START


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def rounded(values: np.ndarray, grid: AffineUint8) -> np.ndarray:
    """Quantise and dequantise as a runtime does."""
    levels = np.clip(np.rint(values / grid.scale) + grid.zero_point, 0, 255)
    return grid.scale * (levels - grid.zero_point)


def conv(name: str, source: str, outputs: int = 4) -> Conv2D:
    kernel, bias = normal(3, 3, 3, outputs), normal(outputs)
    return Conv2D(name=name, inputs=(source,), kernel=kernel, bias=bias, padding="same")


def dense(name: str, source: str, inputs: int, outputs: int = 5) -> Dense:
    return Dense(name=name, inputs=(source,), kernel=normal(inputs, outputs), bias=normal(outputs))


def reshape(name: str, source: str, *target: int) -> Reshape:
    return Reshape(name=name, inputs=(source,), target=target)


def grids_of(*ops: Op) -> dict[str, AffineUint8]:
    graph = DeployGraph((INPUT, *ops))
    pixels = RANDOM.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    ranges = RangePolicy().ranges(graph, Calibration(graph, pixels).observed)
    return activation_grids(graph, everywhere("calibrated")(graph), ranges)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 255), (0, 6), (-1, 1), (-0.17, 300), (-2.5, 1e-3), (-1e-6, 2e-6), (-3e4, 7), (0, 1 / 3)],
)
def test_error_is_half_a_step_at_most_when_a_value_is_in_the_range(low: float, high: float) -> None:
    grid = affine_uint8(low, high)
    values = np.linspace(low, high, 2001)
    assert np.abs(rounded(values, grid) - values).max() <= 0.5001 * grid.scale
    assert grid.scale == pytest.approx((high - low) / 255)


@pytest.mark.parametrize(("low", "high"), [(-1.7, 0.3), (2, 5), (-5, -2), (-0.001, 100), (3, 3)])
def test_zero_is_exact_when_the_range_is_any(low: float, high: float) -> None:
    grid = affine_uint8(low, high)
    assert rounded(np.zeros(1), grid) == 0
    assert isinstance(grid.zero_point, int)
    assert 0 <= grid.zero_point <= 255
    # The range itself is still on the grid.
    for end in (low, high):
        assert abs(rounded(np.array(end), grid) - end) <= 0.5001 * grid.scale


def test_all_levels_are_used_when_zero_is_an_end_of_the_range() -> None:
    assert affine_uint8(0, 51) == AffineUint8(pytest.approx(0.2), 0)
    assert affine_uint8(-51, 0) == AffineUint8(pytest.approx(0.2), 255)
    assert affine_uint8(0, 255) == PIXEL_GRID


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1e-44), (-1e-46, 0)])
def test_scale_is_one_when_the_range_is_empty(low: float, high: float) -> None:
    assert affine_uint8(low, high) == AffineUint8(1.0, 0)


@pytest.mark.parametrize(("shape", "axis"), [((6, 5), 1), ((5, 6), 0), ((4, 3, 2, 2), 0)])
def test_weight_error_is_half_a_step_at_most_when_channels_differ_in_size(
    shape: tuple[int, ...], axis: int
) -> None:
    along = [1] * len(shape)
    along[axis] = shape[axis]
    sizes = np.logspace(-6, 6, shape[axis], dtype=np.float32).reshape(along)
    kernel = normal(*shape) * sizes
    levels, scales = int8_per_channel(kernel, axis)
    assert (levels.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (shape[axis],))
    step = scales.reshape(along)
    assert (np.abs(levels * step - kernel) <= 0.5001 * step).all()
    others = tuple(i for i in range(len(shape)) if i != axis)
    # Each channel uses the whole of its own scale, and −128 is never used.
    np.testing.assert_array_equal(np.abs(levels.astype(int)).max(axis=others), 127)


def test_axis_counts_from_the_end_when_negative() -> None:
    kernel = normal(3, 4)
    for first, second in zip(
        int8_per_channel(kernel, -1), int8_per_channel(kernel, 1), strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_levels_are_zero_when_a_channel_has_no_weights() -> None:
    kernel = normal(3, 4)
    kernel[:, 2] = 0
    with np.errstate(all="raise"):
        levels, scales = int8_per_channel(kernel, 1)
    assert not levels[:, 2].any()
    assert np.isfinite(scales).all()
    assert (scales > 0).all()


def test_scale_is_no_smaller_than_asked_for_when_weights_are_tiny() -> None:
    kernel = normal(3, 4) * np.float32([1, 1e-9, 1e-42, 0])
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        levels, scales = int8_per_channel(kernel, 1, np.float32([0, 1e-3, 1e-3, 0]))
        least, _ = int8_per_channel(kernel, 1)
    np.testing.assert_array_equal(scales[1:3], np.float32([1e-3, 1e-3]))
    assert (np.abs(levels * scales - kernel) <= 0.5001 * scales).all()
    assert not levels[:, 1:].any()
    np.testing.assert_array_equal(levels[:, 0], least[:, 0])


@pytest.mark.parametrize("tiny", [1e-3, 1e-9, 1e-30, 0])
def test_bias_is_kept_when_the_weights_of_its_channel_are_tiny(tiny: float) -> None:
    onnx = pytest.importorskip("onnx")
    layer = dense("d", "x", 6)
    kernel = layer.kernel * np.float32([1, 1, tiny, 1, 1])
    writer = OnnxWriter()
    scheme = Planned({"d": "calibrated"}, {"x": AffineUint8(0.01, 3)}, integer_pixels=False)
    scheme.product(writer, Product("Gemm", "d", "x", "x", "x", kernel, layer.bias, 1, {}))
    data = writer.render(("x", (1, 6)), ("d", (1, 5)), {})
    held = {
        c.name: onnx.numpy_helper.to_array(c) for c in onnx.load_from_string(data).graph.initializer
    }
    step = held["d/bias/scale"].astype(np.float64)
    np.testing.assert_allclose(step, 0.01 * held["d/kernel/scale"], rtol=1e-6)
    assert (np.abs(held["d/bias/levels"] * step - layer.bias) <= 0.501 * step + 1e-6).all()
    assert np.abs(held["d/bias/levels"].astype(np.int64)).max() <= 2**30
    weights = held["d/kernel/levels"] * held["d/kernel/scale"]
    assert (np.abs(weights - kernel) <= 0.5001 * held["d/kernel/scale"]).all()


CHAINS: dict[str, tuple[Sequence[Op], bool]] = {
    "a convolution": ((conv("c", "pixels"),), True),
    "a dense layer behind moves": (
        (
            SpaceToDepth(name="deep", inputs=("pixels",), block=2),
            reshape("tokens", "deep", 4, 12),
            dense("d", "tokens", 12),
        ),
        True,
    ),
    "two products": (
        (
            conv("c", "pixels"),
            reshape("flat", "pixels", 48),
            dense("d", "flat", 48, 64),
            reshape("image", "d", 4, 4, 4),
            Add(name="sum", inputs=("c", "image")),
        ),
        True,
    ),
    "a normalisation": ((SHIFTED, conv("c", "shifted")), False),
    "something else behind a move": (
        (reshape("flat", "pixels", 48), Relu(name="r", inputs=("flat",))),
        False,
    ),
    "a product and something else": (
        (
            reshape("flat", "pixels", 48),
            dense("d", "flat", 48, 48),
            Add(name="sum", inputs=("flat", "d")),
        ),
        False,
    ),
}


@pytest.mark.parametrize("reader", CHAINS)
def test_pixels_are_integers_when_only_products_read_them(reader: str) -> None:
    ops, expected = CHAINS[reader]
    assert has_integer_pixels(DeployGraph((INPUT, *ops))) is expected


@pytest.mark.parametrize("reader", [name for name, (_, integer) in CHAINS.items() if integer])
def test_pixels_are_exact_when_products_read_them(reader: str) -> None:
    grids = grids_of(*CHAINS[reader][0])
    assert grids["pixels"] == PIXEL_GRID
    pixels = np.arange(256, dtype=np.float64)
    np.testing.assert_array_equal(rounded(pixels, grids["pixels"]), pixels)


def test_pixels_have_no_grid_when_something_else_reads_them() -> None:
    grids = grids_of(*CHAINS["a product and something else"][0])
    assert "pixels" not in grids


def test_moves_share_a_grid_when_a_product_reads_behind_them() -> None:
    grids = grids_of(
        SHIFTED,
        conv("c", "shifted", outputs=3),
        Relu(name="relu", inputs=("c",)),
        MaxPool2D(name="pool", inputs=("relu",), size=2),
        reshape("flat", "pool", 12),
        dense("d", "flat", 12),
        Softmax(name="answer", inputs=("d",)),
    )
    assert set(grids) == {"shifted", "relu", "pool", "flat"}
    assert grids["relu"] == grids["pool"] == grids["flat"] != grids["shifted"]
    assert grids["relu"].zero_point == 0


def test_a_branch_of_moves_shares_the_grid_when_no_product_reads_it() -> None:
    # What moves integers stays in integers: both branches come from one rounding.
    grids = grids_of(
        SHIFTED,
        reshape("tokens", "shifted", 16, 3),
        dense("d", "tokens", 3, 3),
        TakeToken(name="take", inputs=("tokens",), index=0),
        Gelu(name="gelu", inputs=("take",)),
        TakeToken(name="other", inputs=("d",), index=0),
        Add(name="sum", inputs=("gelu", "other")),
    )
    assert grids["take"] == grids["tokens"] == grids["shifted"]
    assert set(grids) == {"shifted", "tokens", "take"}


def test_grid_is_of_the_values_before_the_moves_when_those_drop_some() -> None:
    ops = (
        SHIFTED,
        reshape("tokens", "shifted", 16, 3),
        TakeToken(name="take", inputs=("tokens",), index=0),
        dense("d", "take", 3),
    )
    graph = DeployGraph((INPUT, *ops))
    assert root_of(graph, "take") == "shifted"
    assert root_of(graph, "d") == "d"
    assert root_of(graph, "pixels") == "pixels"
    ranges = {op.name: (-1.0, 1.0) for op in graph.ops} | {"shifted": (-10.0, 5.0)}
    plan = everywhere("calibrated")(graph)
    assert activation_grids(graph, plan, ranges)["take"] == affine_uint8(-10.0, 5.0)
