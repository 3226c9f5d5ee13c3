"""Is ``edgevit bench`` itself honest? What its loop adds, and its p50 beside other programs'.

``make overhead BUNDLES='exports/a exports/b'``. For each bundle, in turns: a bare loop over the
runtime in a process of its own, ``edgevit bench``'s loop in a process of its own, and for OpenVINO
``benchmark_app``. Ratios are those of neighbours in time; their median is what counts.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np

from edgevit.bench.protocol import Protocol, measure_latency
from edgevit.bundle import Bundle

_BARE = Path(__file__).with_name("bare_loop.py")
_QUERIES = 200
_HELP_STARTS = 10
_INFERENCE_MS = 10.0


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="JSON with every number.")
def main(bundles: tuple[Path, ...], rounds: int, threads: int, out: Path | None) -> None:
    """Compare edgevit's times of BUNDLES with those of bare programs."""
    found: dict[str, object] = {"loop": loop_cost(), "help_seconds": help_seconds()}
    share = 100 * found["loop"]["within_sample_us"] / (1000 * _INFERENCE_MS)  # type: ignore[index]
    click.echo(
        f"The loop adds {found['loop']['within_sample_us']:.2f} µs to a sample "  # type: ignore[index]
        f"({share:.3f} % of {_INFERENCE_MS:g} ms), and "
        f"{found['loop']['between_samples_us']:.2f} µs between two."  # type: ignore[index]
    )
    click.echo(f"edgevit bench --help: {found['help_seconds']:.2f} s")
    for path in bundles:
        found[str(path)] = compare(Bundle.load(path), rounds, threads)
    if out is not None:
        out.write_text(json.dumps(found, indent=2) + "\n")


def loop_cost() -> dict[str, float]:
    """Time a model that does nothing, microseconds."""
    rules = Protocol("empty", False, 100_000, 0.0, 10, 0.0, 0.0)
    started = time.perf_counter_ns()
    latency = measure_latency(lambda _: None, np.zeros((64, 8, 8, 3), np.uint8), rules)
    total_us = (time.perf_counter_ns() - started) / 1000
    inside_us = 1000 * latency.latency_ms_p50
    return {
        "within_sample_us": inside_us,
        "between_samples_us": total_us / latency.query_count - inside_us,
    }


def help_seconds() -> float:
    """Return the median time of ``edgevit bench --help``."""
    program = str(Path(sys.executable).with_name("edgevit"))
    times = []
    for _ in range(_HELP_STARTS):
        started = time.perf_counter()
        subprocess.run([program, "bench", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def compare(bundle: Bundle, rounds: int, threads: int) -> dict[str, list[float]]:
    """Measure p50, milliseconds, by each program in turns, and print the ratios."""
    programs = {"bare loop": ["bare"], "edgevit": ["edgevit"]}
    times: dict[str, list[float]] = {name: [] for name in programs}
    if bundle.record.format == "openvino":
        times["benchmark_app"] = []
    for _ in range(rounds):
        for name, words in programs.items():
            times[name].append(_child(words[0], bundle, threads))
        if "benchmark_app" in times:
            times["benchmark_app"].append(_benchmark_app(bundle, threads))
    mine = times["edgevit"]
    for name, values in times.items():
        ratios = [own / other for own, other in zip(mine, values, strict=True)]
        click.echo(
            f"{bundle.name}, {threads} thread(s), {name}: p50 {statistics.median(values):.3f} ms; "
            f"edgevit is {statistics.median(ratios):.3f} of it "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )
    return times


def _child(kind: str, bundle: Bundle, threads: int) -> float:
    arguments = [kind, bundle.root, bundle.model_path, bundle.record.format, threads, _QUERIES]
    command = [sys.executable, str(_BARE), *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _benchmark_app(bundle: Bundle, threads: int) -> float:
    program = str(Path(sys.executable).with_name("benchmark_app"))
    command = [program, "-m", str(bundle.model_path), "-d", "CPU", "-hint", "none", "-api", "sync"]
    command += ["-nstreams", "1", "-nthreads", str(threads), "-niter", str(_QUERIES)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Median:\s+([\d.]+) (ms|us)", text)
    if found is None:
        raise click.ClickException(f"benchmark_app printed no median:\n{text[-500:]}")
    return float(found[1]) / (1000 if found[2] == "us" else 1)


if __name__ == "__main__":
    main()
