from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgevit import storage
from edgevit.bundle import (
    BUNDLE_FILE,
    LABELS_FILE,
    Bundle,
    FloatLayersRecord,
    RungRecord,
    TensorRecord,
    render_labels,
    write_bundle,
)
from edgevit.cli.inspect import mark_of
from edgevit.cli.main import main
from tests.bench.standin import colour_model

Captured = pytest.CaptureFixture[str]


def rewrite(bundle: Path, **changes: Any) -> None:
    write_bundle(bundle, replace(Bundle.load(bundle).record, **changes))


def test_inspect_says_what_was_done_when_given_a_bundle(bundle: Path, capsys: Captured) -> None:
    source = replace(Bundle.load(bundle).record.source, calibration_sha256="c0ffee" * 10)
    rewrite(
        bundle,
        precision="int8",
        applied_precision={"dense": "int8, per channel", "others": "float32"},
        op_dtypes={"FULLY_CONNECTED int8": 74, "ADD float32": 9},
        placement={"XNNPACK": 80, "CPU kernels": 3},
        ladder=(
            RungRecord("graph", None, "not checked: no photos"),
            RungRecord("loads", True, "one partition"),
            RungRecord("shapes", False, "[1, 2]"),
        ),
        notes=("For GPUs.",),
        versions={"numpy": "2.0.0", "onnx": "1.17"},
        fp32_weights_bytes=4 * len(colour_model()),
        source=source,
    )
    assert main(["inspect", str(bundle)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    megabytes = len(colour_model()) / 1e6
    assert lines == [
        "colours.tflite.fp32: colours, tflite, int8",
        f"  file     model.tflite, {megabytes:.2f} MB, 0.25 of the weights in fp32 "
        f"({4 * megabytes:.2f} MB)",
        "  input    pixels: uint8 [1, 16, 16, 3], RGB pixels, 16x16-crop-bilinear",
        "  output   probabilities: float32 [1, 3]",
        "  labels   'blue', 'green', 'red'",
        f"  run      colours (sha256 {source.run_sha256[:12]}…), "
        "91.67 % top-1 in full precision on 12 test photos",
        "  ranges   calibrated on the set c0ffeec0ffee…",
        "Precision as applied",
        "  dense: int8, per channel",
        "  others: float32",
        "Ops",
        "    74 × FULLY_CONNECTED int8",
        "     9 × ADD float32",
        "Where they ran when it was checked",
        "    80 × XNNPACK",
        "     3 × CPU kernels",
        "Checks",
        "  – graph: not checked: no photos",
        "  ✓ loads: one partition",
        "  ✗ shapes: [1, 2]",
        "Notes",
        "  For GPUs.",
        "Made with",
        "  numpy 2.0.0, onnx 1.17",
    ]


def test_inspect_shortens_and_leaves_out_when_there_is_little_to_say(
    bundle: Path, capsys: Captured
) -> None:
    record = Bundle.load(bundle).record
    labels = tuple(f"breed {index}" for index in range(9))
    (bundle / LABELS_FILE).write_bytes(render_labels(labels))
    changed = replace(
        record,
        labels=labels,
        files={**record.files, LABELS_FILE: storage.record_of(bundle / LABELS_FILE)},
        spec=replace(record.spec, class_count=9),
        output=TensorRecord("probabilities", "uint8", (1, 9), scale=1 / 256, zero_point=3),
    )
    write_bundle(bundle, changed)
    assert main(["inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "'breed 5', … (9 in all)\n" in out
    assert "uint8 [1, 9], stands for 0.00390625 × (level − 3)\n" in out
    assert "ranges   none calibrated" in out
    assert "Notes" not in out


def test_inspect_names_the_layers_in_float_when_there_are_any(
    bundle: Path, capsys: Captured
) -> None:
    layers = FloatLayersRecord(("block_0/query", "logits"), 1.25, 1.0, threads=2)
    rewrite(bundle, float_layers=layers, applied_precision={"dense": "int8"})
    assert main(["inspect", str(bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("Layers in float")
    assert lines[start - 1] == "  dense: int8"
    assert lines[start + 1] == (
        "  in float: block_0/query, logits. That takes 1.25 ms instead of 1.00 (+25 %), measured "
        "where it was exported with 2 threads"
    )
    assert main(["inspect", str(bundle), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["float_layers"]["names"] == ["block_0/query", "logits"]


def test_json_is_the_record_when_asked_for(bundle: Path, capsys: Captured) -> None:
    rewrite(bundle, notes=('"é" – quoted',), op_dtypes={"ADD float32": 9})
    assert main(["inspect", str(bundle), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (bundle / BUNDLE_FILE).read_text()
    assert json.loads(captured.out)["notes"] == ['"é" – quoted']
    assert captured.err == ""


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "changed"])
@pytest.mark.parametrize("name", ["model.tflite", "labels.txt"])
def test_inspect_exits_2_when_a_file_is_damaged(
    bundle: Path, capsys: Captured, name: str, damage: str, options: list[str]
) -> None:
    path = bundle / name
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        kept = {"truncated": data[:-1], "empty": b"", "changed": data[:-1] + b"?"}[damage]
        path.write_bytes(kept)
    assert main(["inspect", str(bundle), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"edgevit: error: {path} ")
    assert captured.err.endswith("The bundle is damaged: copy it again, or export it again\n")
    assert captured.err.count("\n") == 1


def test_inspect_exits_2_when_the_record_is_of_an_older_schema(
    bundle: Path, capsys: Captured
) -> None:
    path = bundle / BUNDLE_FILE
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "schema_version": 1}))
    assert main(["inspect", str(bundle)]) == 2
    error = capsys.readouterr().err
    assert "has schema version 1, this edgevit reads" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "field", ["placement", "fp32_weights_bytes", "notes", "ladder", "float_layers"]
)
def test_field_is_named_when_the_record_lacks_it(
    bundle: Path, capsys: Captured, field: str
) -> None:
    path = bundle / BUNDLE_FILE
    document = json.loads(path.read_text())
    del document[field]
    path.write_text(json.dumps(document))
    assert main(["inspect", str(bundle)]) == 2
    assert f"{path}: {field}: is missing" in capsys.readouterr().err


def test_inspect_exits_2_when_there_is_no_bundle(bundle: Path, run: Any, capsys: Captured) -> None:
    for folder, words in (
        (run.root, "is no bundle: it has no"),
        (bundle / "x", "there is no bundle"),
    ):
        assert main(["inspect", str(folder)]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_mark_is_a_dash_when_nothing_was_checked() -> None:
    assert [mark_of(outcome) for outcome in (True, False, None)] == ["✓", "✗", "–"]


def test_inspect_exits_2_when_the_weights_have_no_size(bundle: Path, capsys: Captured) -> None:
    path = bundle / BUNDLE_FILE
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "fp32_weights_bytes": 0}))
    assert main(["inspect", str(bundle)]) == 2
    assert "the weights cannot have 0 bytes" in capsys.readouterr().err
