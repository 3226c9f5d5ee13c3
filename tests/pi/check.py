"""edgevit on Raspberry Pis, emulated: ``make test-pi``.

Each board gets Debian's Python for its processor, the wheels that a user's ``pip`` would choose and
edgevit's own wheel, runs ``edgevit doctor`` and ``edgevit bench --quick`` on a pack, and must give
the answers of this machine. Speed is not checked: an emulator has none to tell.

What was downloaded stays in ``--cache`` and may be removed at any time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import answers
import click
from answers import Answers, read_answers
from boards import BOARDS, Board
from comparison import Comparison, Line, compare
from emulator import Environment, make_environment, run_python
from packages import build_wheel
from rich.console import Console
from rich.table import Table
from root import Root, prepare_root

from edgevit import console, storage
from edgevit.bench.result import BenchResult, read_result
from edgevit.errors import EdgevitError, InputError

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevit" / "pi"
# Every runtime, and every way that a TFLite file computes.
_EXPORTS = (("tflite", ("fp32", "int8", "int8-full")), ("onnx", ("int8",)), ("openvino", ("int8",)))
# The fewest of which one in a hundred is a whole photo.
_IMAGES = 100
# Ours: three times what it takes here on a busy machine.
_COMMAND_SECONDS = 1800.0
_PREPARE_SECONDS = 600.0
_TABLE_COLUMNS = 160
# Exit code where no board could be made: no apt, no network, no room.
CANNOT_PREPARE = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    default=Path("demo/runs/vit-tiny"),
    show_default=True,
    help="A small trained run, which is exported and packed.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("demo/data"), show_default=True
)
@click.option("--pack", type=click.Path(path_type=Path), help="Take this pack instead.")
@click.option(
    "--images", type=click.IntRange(min=1), default=_IMAGES, show_default=True, help="To pack."
)
@click.option(
    "--board",
    "names",
    multiple=True,
    type=click.Choice(tuple(BOARDS)),
    default=tuple(BOARDS),
    show_default=True,
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=min(len(BOARDS), os.cpu_count() or 1),
    show_default=True,
    help="Emulators at a time.",
)
@click.option("--cache", type=click.Path(path_type=Path), default=_CACHE, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Keep results and logs here. [default: results/ in the cache]",
)
def main(
    run_folder: Path,
    data: Path,
    pack: Path | None,
    images: int,
    names: tuple[str, ...],
    jobs: int,
    cache: Path,
    out: Path | None,
) -> None:
    """Benchmark a pack on emulated Raspberry Pis and compare their answers with this machine's."""
    cache = cache.absolute()
    out = (out or cache / "results").absolute()
    boards = [BOARDS[name] for name in dict.fromkeys(names)]
    try:
        if pack is None:
            _require_demo(run_folder, data)
        roots = _prepared_roots(boards, cache)
        out.mkdir(parents=True, exist_ok=True)
        # Here rather than in /tmp, whose programs may not be started everywhere.
        with storage.scratch_folder(cache / "run") as work:
            with console.step("Packing"):
                packed = _make_pack(work, out, run_folder, data, images) if pack is None else pack
                packed = packed.absolute()
                wheel = build_wheel(work)
            here = _answers(Path(sys.executable), packed, work / "here", out / "here.log")
            environments = [make_environment(root, work / root.board.name, wheel) for root in roots]
            comparisons = _check_boards(environments, packed, here, out, jobs)
    except EdgevitError as error:
        raise click.ClickException(str(error)) from error
    failed = 0
    for board, comparison in zip(boards, comparisons, strict=True):
        _print_table(board, comparison, len(here.truth))
        failed += bool(comparison.problems)
    click.echo(f"Results and logs are in {out}")
    click.echo(f"{len(boards) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _prepared_roots(boards: Sequence[Board], cache: Path) -> list[Root]:
    """Make the boards' files; where that is impossible nothing is tested, and nothing failed."""
    try:
        return [prepare_root(board, cache) for board in boards]
    except EdgevitError as error:
        click.echo(f"NOT TESTED: the emulated boards could not be made: {error}", err=True)
        sys.exit(CANNOT_PREPARE)


def _require_demo(run: Path, data: Path) -> None:
    for path in (run / "run.json", data / "dataset.json"):
        if not path.is_file():
            raise InputError(f"there is no {path}", "Make the demo: make demo")


def _make_pack(work: Path, log_folder: Path, run: Path, data: Path, images: int) -> Path:
    """Export a run and pack the bundles with photos.

    Raises:
        CheckFailedError: if an export fails.
    """
    run, data, log = run.absolute(), data.absolute(), log_folder / "pack.log"
    log.unlink(missing_ok=True)

    def edgevit(*arguments: str) -> None:
        run_python(
            Path(sys.executable),
            *("-m", "edgevit", *arguments),
            folder=work,
            log=log,
            timeout_seconds=_PREPARE_SECONDS,
        )

    for format_name, precisions in _EXPORTS:
        chosen = [word for precision in precisions for word in ("--quantize", precision)]
        edgevit("export", str(run), "--data", str(data), "--format", format_name, *chosen)
    edgevit("pack", "exports", "--data", str(data), "--images", str(images), "-o", "bench.zip")
    return work / "bench.zip"


def _check_boards(
    environments: Sequence[Environment], pack: Path, here: Answers, out: Path, jobs: int
) -> list[Comparison]:
    """Run everything on every board, so many programs at a time.

    Raises:
        CheckFailedError: if a program fails or takes too long.
    """

    def answers_there(environment: Environment) -> Answers:
        log = out / f"{environment.root.board.name}.answers.log"
        return _answers(environment.python, pack, environment.folder, log)

    with ThreadPoolExecutor(jobs) as pool:
        # What takes longest comes first.
        results = [pool.submit(_bench, environment, pack, out) for environment in environments]
        answered = [pool.submit(answers_there, environment) for environment in environments]
        return [
            compare(environment.root.board, result.result(), there.result(), here)
            for environment, result, there in zip(environments, results, answered, strict=True)
        ]


def _bench(environment: Environment, pack: Path, out: Path) -> BenchResult:
    board = environment.root.board
    log, result_file = out / f"{board.name}.bench.log", out / f"{board.name}.json"
    result_file.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    started = time.monotonic()
    bench = ("bench", str(pack), "--quick", "--threads", "1", "--out", str(result_file))
    for arguments, accepted_codes in ((("doctor",), (0,)), (bench, (0, 1))):
        # Exit code 1: a row failed, which some must. The rows are judged one by one.
        run_python(
            environment.python,
            *("-m", "edgevit", *arguments),
            folder=environment.folder,
            log=log,
            timeout_seconds=_COMMAND_SECONDS,
            accepted_codes=accepted_codes,
        )
    console.note(f"Benchmark on the {board.model}: {time.monotonic() - started:.0f} s")
    return read_result(result_file)


def _answers(python: Path, pack: Path, folder: Path, log: Path) -> Answers:
    folder.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    run_python(
        python,
        *(str(Path(answers.__file__).absolute()), str(pack), "answers.json"),
        folder=folder,
        log=log,
        timeout_seconds=_COMMAND_SECONDS,
    )
    return read_answers(folder / "answers.json")


def _print_table(board: Board, comparison: Comparison, photo_count: int) -> None:
    table = Table(box=None)
    for heading in ("model", "agreement", "top-1", "here", "ms (emulated)", ""):
        table.add_column(heading, justify="left" if heading in ("model", "") else "right")
    for line in comparison.lines:
        table.add_row(*_cells(line))
    # A log has no width of its own, and a terminal's is too narrow for the reasons.
    page = Console(width=_TABLE_COLUMNS, highlight=False, markup=False)
    with page.capture() as text:
        page.print(table)
    click.echo(f"\n{board.model}, {board.machine}, {photo_count} photos")
    click.echo("\n".join(line.rstrip() for line in text.get().splitlines()))
    for problem in comparison.problems:
        click.echo(f"FAILED {board.name}: {problem}")


def _cells(line: Line) -> Sequence[str]:
    shares = (line.agreement, line.top1, line.top1_here)
    return (
        line.name,
        *("–" if share is None else f"{share:.1%}" for share in shares),
        "–" if line.latency_ms is None else f"{line.latency_ms:.1f}",
        line.remark,
    )


if __name__ == "__main__":
    main()
