"""``edgevit report``: results of several devices as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edgevit.cli import outputs


@click.command(short_help="Merge results of several devices into one page.")
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="RESULTS.json...")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page: one file that needs no network.",
)
@click.option(
    "--markdown",
    type=click.Path(path_type=Path),
    help="Write the summary as a Markdown table too.",
)
@click.option("--force", is_flag=True, help="Overwrite --out and --markdown.")
def command(results: tuple[Path, ...], out: Path, markdown: Path | None, force: bool) -> int:
    """Merge RESULTS of one or several devices into one page.

    The page shows every row with its warnings, accuracy against latency, the chain from full
    precision to each device step by step, how the times are spread, and what the devices are. It
    is one file that works offline. A result that is given twice counts once; two results of one
    machine are told apart by their dates.

    \b
    Examples:
      edgevit report results/*.json
      edgevit report results/pi5.json results/server.json -o pets.html --markdown pets.md

    \b
    Exit codes: 0 written, 1 written but nothing was measured in any result, 2 bad usage or input.
    """
    from edgevit import console
    from edgevit.bench.report.entries import read_report
    from edgevit.bench.report.markdown import build_markdown
    from edgevit.bench.report.page import build_page
    from edgevit.storage import write_atomically

    _refuse_inputs((out, markdown), results)
    wanted = outputs.files_to_write(out, markdown, force=force)
    report = read_report(results)
    write_atomically(out, build_page(report).encode())
    if markdown is not None:
        write_atomically(markdown, build_markdown(report).encode())
    for note in report.notes:
        console.note(f"{note}.")
    click.echo("\n".join(map(str, wanted)))
    if not report.entries:
        console.note("Nothing was measured in any result: the page holds the reasons.")
        return 1
    return 0


def _refuse_inputs(wanted: Sequence[Path | None], results: Sequence[Path]) -> None:
    from edgevit.errors import InputError

    inputs = {result.resolve() for result in results}
    for path in wanted:
        if path is not None and path.resolve() in inputs:
            raise InputError(f"{path} is one of the results", "Choose another name for the output")
