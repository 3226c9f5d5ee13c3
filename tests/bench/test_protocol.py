from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from edgevit.bench import protocol
from edgevit.bench.protocol import (
    FULL,
    QUICK,
    LatencyResult,
    Protocol,
    Repeats,
    measure_latency,
    measure_queries,
    measure_repeats,
    measure_sustained,
    summarise,
)
from edgevit.errors import InputError
from edgevit.preprocessing import Pixels

_MS = 1_000_000
IMAGES = np.arange(3, dtype=np.uint8).repeat(12).reshape(3, 2, 2, 3)


class FakeModel:
    """A clock, and a model that takes the given milliseconds on it."""

    def __init__(self, milliseconds: Iterable[float]) -> None:
        self.now_ns = 10**15
        self.seen: list[int] = []
        self._milliseconds: Iterator[float] = iter(milliseconds)

    def clock(self) -> int:
        return self.now_ns

    def invoke(self, pixels: Pixels) -> None:
        assert pixels.shape == (1, 2, 2, 3)
        self.seen.append(int(pixels[0, 0, 0, 0]))
        self.now_ns += int(next(self._milliseconds) * _MS)


def forever(milliseconds: float) -> Iterator[float]:
    while True:
        yield milliseconds


def timed(rules: Protocol, milliseconds: Iterable[float]) -> tuple[LatencyResult, FakeModel]:
    model = FakeModel(milliseconds)
    return measure_latency(model.invoke, IMAGES, rules, model.clock), model


def test_measure_latency_meets_the_minimum_time_when_the_model_is_fast() -> None:
    result, _ = timed(FULL, forever(10))
    assert result.query_count == 6000
    assert result.warmup_count == 200


def test_measure_latency_meets_the_minimum_queries_when_the_model_is_slow() -> None:
    model = FakeModel(forever(1000))
    result, _ = measure_repeats(model.invoke, IMAGES, QUICK, model.clock)
    assert result.query_count >= 100
    assert result.warmup_count == 3 * 10


def test_rules_are_those_of_the_protocol_when_imported() -> None:
    assert (FULL.min_queries, FULL.min_seconds, FULL.comparable) == (1024, 60.0, True)
    assert (FULL.repeats, FULL.cold_starts) == (3, 5)
    # All repeats of a quick measurement together meet 100 queries and 10 s.
    assert QUICK.repeats * QUICK.min_queries >= 100
    assert QUICK.repeats * QUICK.min_seconds == pytest.approx(10)
    assert not QUICK.comparable


@pytest.mark.parametrize("rules", [FULL, QUICK])
def test_measure_latency_says_comparable_when_the_protocol_is(rules: Protocol) -> None:
    assert timed(rules, forever(500))[0].comparable is rules.comparable


def test_measure_repeats_keeps_the_repeats_apart_when_the_device_slows_down() -> None:
    rules = Protocol("tiny", False, 4, 0.0, 10, 0.0, 0.0, repeats=3)
    times = [*forever_list(10, 14), *forever_list(20, 14), *forever_list(30, 14)]
    model = FakeModel(times)
    waits = iter((5.0, 7.0))
    latency, repeats = measure_repeats(
        model.invoke, IMAGES, rules, model.clock, cool_down=lambda: next(waits)
    )
    assert repeats == Repeats((10.0, 20.0, 30.0), (5.0, 7.0))
    assert repeats.spread == pytest.approx(2.0)
    assert latency.query_count == 12
    assert latency.warmup_count == 30
    assert latency.latency_ms_p50 == 20.0


def test_repeats_refuse_when_there_is_none() -> None:
    with pytest.raises(ValueError, match="at least one repeat"):
        Repeats(())


def test_measure_queries_takes_any_work_when_it_is_not_an_image() -> None:
    seen: list[bytes] = []
    rules = Protocol("tiny", False, 3, 0.0, 1, 0.0, 0.0)
    measure_queries(seen.append, [b"one", b"two"], rules)
    assert seen == [b"one", b"two", b"one", b"two"]


def test_measure_sustained_sees_the_minute_in_which_the_device_slows_down() -> None:
    model = FakeModel([*forever_list(100, 600), *forever_list(200, 300)])
    first, second = measure_sustained(model.invoke, IMAGES, 2, model.clock)
    assert (first.query_count, first.latency_ms_p50, first.latency_ms_p90) == (600, 100, 100)
    assert (second.query_count, second.latency_ms_p50) == (300, 200)


def test_warm_up_goes_on_when_the_times_still_fall() -> None:
    falling = [1000 * 0.9**index for index in range(30)]
    result, _ = timed(QUICK, [*falling, *forever_list(50, 400)])
    assert result.warmup_settled
    assert result.warmup_count > 30


def forever_list(milliseconds: float, count: int) -> list[float]:
    return [milliseconds] * count


def test_warm_up_is_given_up_and_said_when_the_times_never_settle() -> None:
    def rising() -> Iterator[float]:
        milliseconds = 100.0
        while True:
            yield milliseconds
            milliseconds *= 1.05

    rules = Protocol("tiny", False, 5, 0.0, 10, 1.0, 3.0)
    result, _ = timed(rules, rising())
    assert not result.warmup_settled


def test_measure_latency_cycles_the_images_in_order_when_there_are_fewer_than_queries() -> None:
    _, model = timed(Protocol("tiny", False, 7, 0.0, 10, 0.0, 0.0), forever(1))
    assert model.seen == [index % 3 for index in range(17)]


def test_measure_latency_keeps_each_sample_when_the_buffer_must_grow() -> None:
    rules = Protocol("tiny", False, 3000, 0.0, 1, 0.0, 0.0)
    result, _ = timed(rules, (1 + index for index in range(3001)))
    assert result.samples_ns == tuple(_MS * (2 + index) for index in range(3000))
    assert result.sample_stride == 1


def test_measure_latency_refuses_when_there_are_no_images() -> None:
    with pytest.raises(InputError, match="no photo"):
        measure_latency(lambda _: None, IMAGES[:0], QUICK)


def test_measure_latency_pauses_and_restores_garbage_collection_when_invoke_raises() -> None:
    def fail(_: Pixels) -> None:
        assert not gc.isenabled()
        raise RuntimeError("the runtime broke")

    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="broke"):
        measure_latency(fail, IMAGES, QUICK)
    assert gc.isenabled()


@pytest.fixture
def summary() -> Callable[[int], tuple[LatencyResult, np.ndarray]]:
    def build(count: int) -> tuple[LatencyResult, np.ndarray]:
        samples = np.random.default_rng(count).integers(_MS, 50 * _MS, count)
        result = summarise(samples, warmup_count=0, settled=True, comparable=True)
        return result, samples / _MS

    return build


@pytest.mark.parametrize("count", [1, 2, 101, 1024])
def test_summarise_agrees_with_numpy_when_given_samples(
    summary: Callable[[int], tuple[LatencyResult, np.ndarray]], count: int
) -> None:
    result, milliseconds = summary(count)
    for percent in (50, 90, 95):
        value = getattr(result, f"latency_ms_p{percent}")
        assert value == pytest.approx(np.percentile(milliseconds, percent))
    assert result.latency_ms_mean == pytest.approx(milliseconds.mean())
    assert result.latency_ms_std == pytest.approx(milliseconds.std())
    assert result.latency_ms_min == milliseconds.min()
    assert result.latency_ms_max == milliseconds.max()
    assert result.query_count == count


@pytest.mark.parametrize(("count", "given"), [(999, False), (1000, True)])
def test_summarise_gives_p99_only_when_there_are_a_thousand_samples(
    summary: Callable[[int], tuple[LatencyResult, np.ndarray]], count: int, given: bool
) -> None:
    result, milliseconds = summary(count)
    if given:
        assert result.latency_ms_p99 == pytest.approx(np.percentile(milliseconds, 99))
    else:
        assert result.latency_ms_p99 is None


def test_summarise_thins_the_kept_samples_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "MAX_KEPT_SAMPLES", 10)
    samples = np.arange(25, dtype=np.int64)
    result = summarise(samples, warmup_count=0, settled=True, comparable=True)
    assert result.sample_stride == 3
    assert result.samples_ns == (0, 3, 6, 9, 12, 15, 18, 21, 24)
    assert result.query_count == 25
