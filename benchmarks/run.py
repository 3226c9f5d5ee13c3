"""edgevit's exports against the obvious way of each toolchain, side by side: ``make benchmark``.

The first time it makes the peers' files, which takes a quarter of an hour and 16 GB of memory
(tf2onnx's share, for ViT-B32); after that it only exports and measures.
"""

from __future__ import annotations

import dataclasses
import os
from datetime import datetime
from pathlib import Path

import builds
import click
import goals
import processes
from peers import PEERS, Peer
from report import KIND, SCHEMA_VERSION, ModelResult, Result, render
from timing import Candidate, Comparison, Turns, compare

from edgevit import console, documents
from edgevit.bench.harness import check_threads
from edgevit.errors import EdgevitError, InputError
from edgevit.machine import cpu_affinity, describe_machine, installed_versions, version_of
from edgevit.run import Run

MODELS = ("vit-b32", "vgg16")
_WORK = Path(__file__).parent / ".cache"


def _thread_counts(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter("give numbers, such as 1 or 1,2") from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), default=MODELS)
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A trained run, in place of random weights for its model.",
)
@click.option(
    "--exports",
    type=click.Path(path_type=Path),
    help="Take the bundles that are in this folder instead of exporting.",
)
@click.option(
    "--threads", default="1", show_default=True, callback=_thread_counts, help="Such as 1,2."
)
@click.option("--rounds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--turn-seconds", type=click.FloatRange(min=0), default=0.5, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=_WORK, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/benchmark.json"),
    show_default=True,
)
def main(
    models: tuple[str, ...],
    runs: tuple[Path, ...],
    exports: Path | None,
    threads: tuple[int, ...],
    rounds: int,
    turn_seconds: float,
    work: Path,
    out: Path,
) -> None:
    """Time edgevit's exports and the obvious files in turns, and print the ratios."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    result = Result(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=describe_machine(),
        cpu_affinity=cpu_affinity(),
        versions=_versions(),
        rounds=rounds,
        turn_seconds=turn_seconds,
        models=(),
    )
    turns = Turns(threads, rounds, turn_seconds)
    try:
        for count in threads:
            check_threads(count)
        given = {run.record.spec.model: run for run in map(Run.load, runs)}
        if unknown := sorted(set(given) - set(models)):
            raise InputError(
                f"a run of {unknown[0]} was given", f"Give runs of {' or '.join(models)}"
            )
        for model in models:
            run = given.get(model) or builds.make_run(model, work.resolve())
            measured = _measure(run, model in given, work.resolve(), exports, turns)
            # After each model: what goes wrong later shall not cost what is measured.
            result = dataclasses.replace(result, models=(*result.models, measured))
            documents.write(out, KIND, SCHEMA_VERSION, result)
    except EdgevitError as error:
        raise click.ClickException(str(error)) from error
    click.echo(render(result))
    console.note(f"Every number is in {out}")


def _versions() -> dict[str, str]:
    libraries = {library for peer in PEERS.values() for library in peer.libraries}
    found = {library: version_of(library) for library in sorted(libraries)}
    return installed_versions() | {name: text for name, text in found.items() if text}


def _measure(
    run: Run, trained: bool, work: Path, exports: Path | None, turns: Turns
) -> ModelResult:
    model, folder = run.record.spec.model, builds.peer_folder(run, work)
    made = builds.make_peers(run, work)
    export = None
    if exports is None:
        exports = work / "exports" / run.name
        export = builds.make_bundles(run, exports, work / "logs")
    bundles = {
        f"{bundle.record.format}.{bundle.record.precision}": bundle
        for bundle in builds.bundles_of(run, exports)
    }
    candidates = [
        *(Candidate(goals.ours(name), str(bundle.root)) for name, bundle in bundles.items()),
        *(_peer_candidate(folder, PEERS[build.peer]) for build in made if _is_timed(build)),
    ]
    comparisons = tuple(
        _compare(candidates, run, turns, threads, work / "logs") for threads in turns.threads
    )
    return ModelResult(
        model=model,
        run_sha256=run.sha256,
        trained=trained,
        builds=made,
        export=export,
        bundle_bytes={name: bundle.model_size_bytes for name, bundle in bundles.items()},
        comparisons=comparisons,
        verdicts=tuple(
            goals.judge(goal, comparison)
            for comparison in comparisons
            for goal in goals.GOALS
            if goal.model == model
        ),
    )


def _is_timed(build: builds.BuildRecord) -> bool:
    return build.error is None and PEERS[build.peer].timed


def _peer_candidate(folder: Path, peer: Peer) -> Candidate:
    path = folder / peer.name / peer.file
    return Candidate(goals.obvious(peer.name), str(path), peer.config)


def _compare(
    candidates: list[Candidate], run: Run, turns: Turns, threads: int, logs: Path
) -> Comparison:
    log = logs / f"{run.name}.timing.{threads}.log"
    with console.step(f"Timing {len(candidates)} models of {run.name}, threads: {threads}"):
        outcome = processes.call(compare, candidates, run.root, threads, turns, log=log)
    if outcome.error is not None:
        return Comparison(threads, (), {"all": f"{outcome.error} (see {log})"})
    comparison: Comparison = outcome.value
    for name, reason in comparison.failures.items():
        console.note(f"{name} could not be timed: {reason}")
    return comparison


if __name__ == "__main__":
    main()
