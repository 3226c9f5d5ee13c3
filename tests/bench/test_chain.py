from __future__ import annotations

from dataclasses import replace

import pytest

from edgevit.bench.accuracy import AccuracyResult
from edgevit.bench.chain import (
    FP32_NOT_MEASURED,
    build_chains,
    device_kind,
    machine_labels,
    machine_name,
)
from edgevit.bench.result import BenchRow
from edgevit.machine import Accelerator, Machine
from tests.bench.results import PI, SERVER, conditions, reference, result, row, scored

PI_NAME = "Raspberry Pi 5 Model B"
SERVER_NAME = "Intel Xeon Platinum 8481C"


def test_chain_changes_one_thing_at_a_time_when_everything_was_measured() -> None:
    keras = row("pets", precision="fp32", p50_ms=300.0, format_name="keras")
    (chain,) = build_chains(
        [result(keras, row(precision="fp32", p50_ms=80.0), row(p50_ms=20.0), machine=PI)]
    )
    training, measured = chain.references
    assert training.device == "NVIDIA H100 80GB HBM3 (GPU)"
    assert (training.changed, training.top1, training.drop_points) == ((), 0.86, None)
    assert measured.changed == (f"device: NVIDIA H100 80GB HBM3 (GPU) → {PI_NAME}",)
    (branch,) = chain.branches
    exact, lower = branch.steps
    assert exact.changed == ("runtime: keras → tflite",)
    assert lower.changed == ("precision: fp32 → int8",)
    assert lower.speed_up == pytest.approx(4.0, rel=1e-3)
    assert branch.notes == ()


def test_chain_names_device_and_runtime_when_keras_was_not_measured_there() -> None:
    (chain,) = build_chains([result()])
    exact, _ = chain.branches[0].steps
    assert exact.changed == (
        f"device: NVIDIA H100 80GB HBM3 (GPU) → {PI_NAME}",
        "runtime: keras → tflite",
    )


def test_chain_keeps_to_the_runtime_when_keras_was_measured_in_another_result() -> None:
    keras = row("pets", precision="fp32", format_name="keras-jax")
    here = result(keras, tool="edgevit reference", started="2026-11-01T10:00:00+00:00")
    (chain,) = build_chains([here, result()])
    assert chain.branches[0].steps[0].changed == ("runtime: keras-jax → tflite",)


def test_chain_names_the_threads_when_keras_had_others() -> None:
    keras = [row("pets", threads=n, precision="fp32", format_name="keras") for n in (4, 2)]
    exports = [row(precision="fp32", threads=n) for n in (1, 2)]
    (chain,) = build_chains([result(*keras, *exports)])
    one, two = (branch.steps[0] for branch in chain.branches)
    assert one.changed == ("runtime: keras → tflite", "threads: 4 → 1")
    assert two.changed == ("runtime: keras → tflite",)


@pytest.mark.parametrize("elsewhere", ["machine", "device"])
def test_chain_ignores_keras_when_it_ran_elsewhere(elsewhere: str) -> None:
    device = "gpu GPU.0" if elsewhere == "device" else "cpu"
    keras = row("pets", device=device, precision="fp32", format_name="keras")
    machine = SERVER if elsewhere == "machine" else PI
    (chain,) = build_chains([result(keras, machine=machine), result(row(precision="fp32"))])
    assert chain.branches[0].steps[0].changed[0].startswith("device: NVIDIA H100")


def test_chain_says_that_causes_are_mixed_when_the_fp32_export_is_missing() -> None:
    (chain,) = build_chains([result(row())])
    (branch,) = chain.branches
    assert branch.notes == (FP32_NOT_MEASURED,)
    (step,) = branch.steps
    assert [text.partition(":")[0] for text in step.changed] == ["device", "runtime", "precision"]
    assert step.speed_up is None


def test_branches_are_apart_when_threads_format_or_device_differ() -> None:
    rows = [
        row(precision="fp32"),
        row(precision="fp32", threads=4),
        row(precision="fp32", format_name="onnx"),
        row(precision="fp32", device="npu NPU"),
        row(precision="int8", threads=4),
    ]
    (chain,) = build_chains([result(*rows)])
    places = [(branch.format, branch.threads, branch.device) for branch in chain.branches]
    assert places == [
        ("tflite", 1, "cpu"),
        ("tflite", 4, "cpu"),
        ("onnx", 1, "cpu"),
        ("tflite", 1, "npu NPU"),
    ]
    assert [len(branch.steps) for branch in chain.branches] == [1, 2, 1, 1]
    assert chain.branches[3].steps[0].device == f"{PI_NAME} · npu NPU"


def test_runs_have_chains_of_their_own_when_their_hashes_differ() -> None:
    other = row(run_sha256="e" * 64, run_name="dogs")
    chains = build_chains([result(row(), other), result(row(), machine=SERVER)])
    assert [chain.run_name for chain in chains] == ["pets", "dogs"]
    assert [len(chain.branches) for chain in chains] == [2, 1]


def test_chain_leaves_rows_out_when_they_failed() -> None:
    failed = BenchRow("broken", "exports/broken", 1, "cpu", error="the file is damaged")
    assert build_chains([result(failed)]) == ()


@pytest.mark.parametrize(
    ("int8_ms", "text"),
    [(60.0, None), (78.0, "no clear speed-up here"), (90.0, "no speed-up here")],
)
def test_chain_says_so_when_a_lower_precision_is_not_faster(
    int8_ms: float, text: str | None
) -> None:
    (chain,) = build_chains([result(row(precision="fp32", p50_ms=80.0), row(p50_ms=int8_ms))])
    notes = chain.branches[0].notes
    if text is None:
        assert notes == ()
    else:
        (note,) = notes
        assert note.startswith(f"{text}: pets.tflite.int8: ")
        assert "against 80 ms in fp32" in note


def test_chain_gives_no_speed_up_when_the_device_throttled() -> None:
    slow = row(p50_ms=90.0, conditions=conditions("under-voltage"))
    (chain,) = build_chains([result(row(precision="fp32", p50_ms=80.0), slow)])
    (branch,) = chain.branches
    assert not branch.steps[1].headline_valid
    assert branch.steps[1].speed_up is None
    assert branch.notes == ()


def test_step_has_the_paired_drop_when_there_is_one() -> None:
    paired = scored(newly_wrong=12, newly_right=0)
    unpaired = AccuracyResult(paired.accuracy, None, 0.75, ())
    rows = [row("a", accuracy=paired), row("b", accuracy=unpaired), row("c", accuracy=None)]
    (chain,) = build_chains([result(*rows)])
    first, second, third = chain.branches[0].steps
    assert (first.drop_points, first.agreement) == (pytest.approx(1.0), pytest.approx(0.99))
    assert (second.drop_points, second.agreement) == (0.75, None)
    assert (third.drop_points, third.top1) == (None, None)


def test_device_did_not_change_when_the_run_was_trained_on_the_same_processor() -> None:
    here = reference(SERVER.cpu.model)
    (chain,) = build_chains([result(row(precision="fp32", reference=here), machine=SERVER)])
    assert chain.references[0].device == f"{SERVER.cpu.model} (CPU)"
    assert chain.branches[0].steps[0].changed == ("runtime: keras → tflite",)


@pytest.mark.parametrize("device", ["gpu NVIDIA H100 80GB HBM3", "gpu cuda:0"])
def test_nothing_changed_when_the_reference_ran_again_on_its_gpu(device: str) -> None:
    gpu = Accelerator("gpu", "NVIDIA H100 80GB HBM3")
    machine = replace(SERVER, accelerators=(gpu,))
    again = row("pets", device=device, precision="fp32", format_name="keras")
    torch = row("pets", device=device, precision="fp32", format_name="keras-torch")
    (chain,) = build_chains([result(again, torch, machine=machine)])
    assert chain.references[1].changed == ("nothing: measured again",)
    assert chain.references[2].changed == ("runtime: keras → keras-torch",)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA A100-SXM4-40GB", "GPU"),
        ("AMD Radeon RX 7900", "GPU"),
        ("Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "CPU"),
        ("AMD EPYC 9654 96-Core Processor", "CPU"),
        ("a training machine", None),
    ],
)
def test_device_kind_is_told_when_the_name_tells_it(name: str, kind: str | None) -> None:
    assert device_kind(name) == kind


def test_device_kind_is_cpu_when_a_result_has_that_processor() -> None:
    assert device_kind("a training machine", {"a training machine"}) == "CPU"


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (PI, PI_NAME),
        (SERVER, SERVER_NAME),
        (replace(SERVER, cpu=replace(SERVER.cpu, model="Processor")), "Processor"),
    ],
)
def test_machine_name_is_short_when_the_full_one_is_not(machine: Machine, name: str) -> None:
    assert machine_name(machine) == name


def test_machine_labels_get_dates_when_they_are_of_one_machine() -> None:
    first = result(started="2026-11-02T14:05:09+00:00")
    same_day = result(started="2026-11-02T19:00:00+00:00")
    later = result(started="2026-11-05T08:00:00+00:00")
    server = result(machine=SERVER)
    assert machine_labels([first, server]) == (PI_NAME, SERVER_NAME)
    assert machine_labels([first, later]) == (f"{PI_NAME}, 2026-11-02", f"{PI_NAME}, 2026-11-05")
    assert machine_labels([first, same_day, later]) == (
        f"{PI_NAME}, 2026-11-02 14:05:09",
        f"{PI_NAME}, 2026-11-02 19:00:00",
        f"{PI_NAME}, 2026-11-05",
    )
    assert machine_labels([first, first]) == (
        f"{PI_NAME}, 2026-11-02 14:05:09 (1)",
        f"{PI_NAME}, 2026-11-02 14:05:09 (2)",
    )
