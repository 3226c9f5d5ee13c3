"""``edgevit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgevit.bundle import Bundle, FloatLayersRecord, TensorRecord


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the whole record for programs.")
def command(bundle: Path, as_json: bool) -> None:
    """Say what is in BUNDLE: precision as applied, ops, size, checks, where it will run.

    Every file's hash is checked first. No runtime is needed.

    \b
    Examples:
      edgevit inspect exports/vit-b32.tflite.int8
      edgevit inspect exports/vit-b32.onnx.int8 --json | jq .op_dtypes
    """
    from edgevit import documents
    from edgevit.bundle import KIND, SCHEMA_VERSION, Bundle

    opened = Bundle.load(bundle)
    if as_json:
        click.echo(documents.render(KIND, SCHEMA_VERSION, opened.record).decode(), nl=False)
        return
    for title, lines in _sections(opened).items():
        click.echo(title)
        for line in lines:
            click.echo(f"  {line}")


def _sections(bundle: Bundle) -> dict[str, list[str]]:
    record, reference = bundle.record, bundle.record.source.reference
    size, full = bundle.model_size_bytes, record.fp32_weights_bytes
    labels = ", ".join(f"{label!r}" for label in record.labels[:_NAMED_LABELS])
    more = f", … ({len(record.labels)} in all)" if len(record.labels) > _NAMED_LABELS else ""
    return {
        f"{record.name}: {record.spec.model}, {record.format}, {record.precision}": [
            f"file     {record.model_file}, {size / _MB:.2f} MB, "
            f"{size / full:.2f} of the weights in fp32 ({full / _MB:.2f} MB)",
            f"input    {_tensor(record.input)}, RGB pixels, {record.spec.preprocessing.geometry}",
            f"output   {_tensor(record.output)}",
            f"labels   {labels}{more}",
            f"run      {record.source.run_name} (sha256 {record.source.run_sha256[:12]}…), "
            f"{100 * reference.accuracy.top1:.2f} % top-1 in full precision on "
            f"{reference.accuracy.image_count} test photos",
            f"ranges   {_calibration(record.source.calibration_sha256)}",
        ],
        "Precision as applied": [f"{k}: {text}" for k, text in record.applied_precision.items()],
        **({"Layers in float": kept} if (kept := float_layers_text(record.float_layers)) else {}),
        "Ops": [f"{count:4d} × {name}" for name, count in record.op_dtypes.items()],
        "Where they ran when it was checked": [
            f"{count:4d} × {place}" for place, count in record.placement.items()
        ],
        "Checks": [f"{mark_of(rung.passed)} {rung.name}: {rung.detail}" for rung in record.ladder],
        **({"Notes": list(record.notes)} if record.notes else {}),
        "Made with": [", ".join(f"{name} {text}" for name, text in record.versions.items())],
    }


def float_layers_text(record: FloatLayersRecord | None) -> list[str]:
    """Say which int8 layers stayed float and what that costs, in one line, if any did."""
    if record is None:
        return []
    before, now = record.latency_ms_p50_all_int8, record.latency_ms_p50
    return [
        f"in float: {', '.join(record.names)}. That takes {now:.2f} ms instead of {before:.2f} "
        f"({100 * (now / before - 1):+.0f} %), measured where it was exported with "
        f"{record.threads} threads"
    ]


_MB = 1e6
_NAMED_LABELS = 6


def mark_of(passed: bool | None) -> str:
    """Return the sign of a rung's outcome."""
    return "–" if passed is None else "✓" if passed else "✗"


def _calibration(sha256: str | None) -> str:
    return "none calibrated" if sha256 is None else f"calibrated on the set {sha256[:12]}…"


def _tensor(tensor: TensorRecord) -> str:
    text = f"{tensor.name}: {tensor.dtype} {list(tensor.shape)}"
    if tensor.scale is None:
        return text
    return f"{text}, stands for {tensor.scale:g} × (level − {tensor.zero_point})"
