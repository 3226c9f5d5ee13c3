"""``edgevit models``."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option(
    "--classes",
    "class_count",
    type=click.IntRange(min=2),
    default=120,
    show_default=True,
    help="Number of labels for which the weights are counted; 120 is Stanford Dogs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(class_count: int, as_json: bool) -> None:
    """List the models with their parameter counts and input size.

    \b
    Examples:
      edgevit models
      edgevit models --classes 12 --json
    """
    from edgevit.models.registry import ARCHITECTURES

    rows: list[dict[str, Any]] = []
    for architecture in ARCHITECTURES:
        spec = architecture.spec(class_count)
        counts = architecture.parameter_counts(spec)
        rows.append(
            {
                "name": architecture.name,
                "summary": architecture.summary,
                "class_count": class_count,
                "input_shape": list(spec.input_shape),
                "parameters_total": counts.total,
                "parameters_trainable": counts.trainable,
                "parameters_non_trainable": counts.non_trainable,
                "weights": ["random", *(entry.name for entry in architecture.pretrained())],
            }
        )
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    click.echo(f"{'model':<12} {'input':>9} {'parameters':>12} {'trainable':>12} {'frozen':>12}")
    for row in rows:
        height, width, _ = row["input_shape"]
        click.echo(
            f"{row['name']:<12} {f'{height}×{width}':>9} {row['parameters_total']:>12,} "
            f"{row['parameters_trainable']:>12,} {row['parameters_non_trainable']:>12,}  "
            f"{row['summary']}"
        )
