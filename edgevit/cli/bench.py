"""``edgevit bench``: latency, accuracy and drop on this device, or on another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevit.cli import options as shared

if TYPE_CHECKING:
    from edgevit.bench.protocol import Protocol
    from edgevit.bench.result import BenchResult

_PACK_SUFFIX = ".zip"
_ACCELERATORS = ("npu", "gpu")


@dataclass(frozen=True)
class _Options:
    """The command line, checked."""

    bundles: tuple[Path, ...]
    exports: Path
    data: Path | None
    image_limit: int | None
    target: str
    delegate: Path | None
    require_device: bool
    threads: tuple[int, ...] | None
    quick: bool
    sustained_minutes: int
    out: Path
    resume: bool


@click.command(short_help="Measure latency, accuracy and drop of bundles on this device.")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path), metavar="[BUNDLE|PACK]...")
@click.option(
    "--exports",
    type=click.Path(path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="Where bundles are looked for when none is named.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Prepared photos. [default: the ones that each bundle's run was trained on]",
)
@click.option(
    "--images",
    "image_limit",
    type=click.IntRange(min=1),
    help="Score at most so many photos, evenly over the classes. [default: the whole test split]",
)
@click.option(
    "--target",
    type=click.Choice(["auto", "cpu", "pi", "npu", "gpu"]),
    default="auto",
    show_default=True,
    help="What the models run on; auto is pi on a Raspberry Pi, else cpu.",
)
@click.option(
    "--delegate",
    type=click.Path(path_type=Path),
    help="For --target npu or gpu: library of a TFLite delegate, such as libedgetpu.so.1, or of an "
    "ONNX Runtime execution provider.",
)
@click.option(
    "--require-device",
    is_flag=True,
    help="Fail where the accelerator is absent or ops fall back to the CPU.",
)
@shared.thread_counts("1 and all cores")
@click.option(
    "--quick",
    is_flag=True,
    help="Time each model 3 times 3.3 s instead of 3 times 60 s (a row takes half a minute): not "
    "comparable.",
)
@click.option(
    "--sustained",
    "sustained_minutes",
    type=click.IntRange(min=0, max=24 * 60),
    default=0,
    metavar="MIN",
    help="Then run each model for so many minutes without pause: does the device hold its speed?",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file with every number and sample. [default: results/bench-DATE-TIME.json]",
)
@click.option("--resume", is_flag=True, help="Keep the rows that --out holds already.")
@click.option("--force", is_flag=True, help="Overwrite --out.")
@click.option("--ssh", "host", metavar="[USER@]HOST", help="Run a pack on another machine.")
@click.option("--install", is_flag=True, help="With --ssh: install edgevit there if it is missing.")
@click.option(
    "--ssh-option",
    "ssh_options",
    multiple=True,
    metavar="WORDS",
    help="With --ssh: words for the ssh program, such as '-p 2222'. Repeat it for several.",
)
@click.option("--adb", is_flag=True, help="Run a pack's TFLite models on a connected phone.")
@click.option(
    "--benchmark-model",
    type=click.Path(path_type=Path),
    help="With --adb: Google's benchmark_model program, built for the phone.",
)
@click.option("--serial", help="With --adb: which phone, if several are connected.")
def command(
    bundles: tuple[Path, ...],
    exports: Path,
    data: Path | None,
    image_limit: int | None,
    target: str,
    delegate: Path | None,
    require_device: bool,
    threads: tuple[int, ...] | None,
    quick: bool,
    sustained_minutes: int,
    out: Path | None,
    resume: bool,
    force: bool,
    host: str | None,
    install: bool,
    ssh_options: tuple[str, ...],
    adb: bool,
    benchmark_model: Path | None,
    serial: str | None,
) -> int:
    """Measure latency, accuracy and drop of bundles on this device.

    Each BUNDLE is timed on real test photos, one at a time, and then predicts the whole test
    split through the same session. Its drop is paired, photo by photo, with the full-precision
    run it was exported from. A run's folder can stand for a BUNDLE, which times Keras here. A PACK
    (`edgevit pack`) brings bundles, photos and reference in one file.

    \b
    Examples:
      edgevit bench                              every bundle below exports/
      edgevit bench --quick exports/pets.tflite.int8
      edgevit bench bench.zip --threads 1,4 --out results/pi5.json
      edgevit bench bench.zip --ssh pi@raspberrypi.local --out results/pi5.json
      edgevit bench --target npu --require-device

    \b
    Exit codes: 0 all measured, 1 a row failed (the others are still measured) or nothing could be
    measured, 2 bad usage.
    """
    from datetime import datetime

    from edgevit import console
    from edgevit.bench import table
    from edgevit.errors import InputError

    _refuse_idle_options(
        ("--delegate", delegate, target in _ACCELERATORS, "--target npu or gpu"),
        ("--require-device", require_device, target in _ACCELERATORS, "--target npu or gpu"),
        ("--install", install, host, "--ssh HOST"),
        ("--ssh-option", ssh_options, host, "--ssh HOST"),
        ("--benchmark-model", benchmark_model, adb, "--adb"),
        ("--serial", serial, adb, "--adb"),
        ("--resume", resume, out, "--out FILE"),
    )
    if adb and host is not None:
        raise InputError("--adb and --ssh are two places", "Give one of them")
    if out is None:
        out = Path("results") / f"bench-{datetime.now():%Y%m%d-%H%M%S}.json"
    if out.exists() and not (force or resume):
        raise InputError(
            f"{out} exists already", "Choose another --out, or add --resume or --force"
        )
    options = _Options(
        bundles=bundles,
        exports=exports,
        data=data,
        image_limit=image_limit,
        target=target,
        delegate=delegate,
        require_device=require_device,
        threads=threads,
        quick=quick,
        sustained_minutes=sustained_minutes,
        out=out,
        resume=resume and not force,
    )
    if host is not None:
        result = _over_ssh(options, host, install, ssh_options)
    elif adb:
        result = _over_adb(options, benchmark_model, serial)
    else:
        result = _here(options)
    table.print_result(result)
    console.note(f"Every number is in {out}")
    return 1 if result.failed_count or not result.measured_count else 0


def _refuse_idle_options(*rules: tuple[str, object, object, str]) -> None:
    """Refuse options that would do nothing: (option, its value, what it needs, in words)."""
    from edgevit.errors import InputError

    for option, value, needed, words in rules:
        if value and not needed:
            raise InputError(f"{option} means nothing without {words}", f"Add {words}")


def _bundles_of(paths: tuple[Path, ...], exports: Path) -> tuple[Path, ...]:
    """Return the folders to measure; a folder of bundles stands for all of them."""
    from edgevit.bundle import BUNDLE_FILE, find_bundles
    from edgevit.run import RUN_FILE

    found: list[Path] = []
    for path in paths or (exports,):
        is_one = (path / BUNDLE_FILE).is_file() or (path / RUN_FILE).is_file()
        holds_some = not is_one and any(path.glob(f"*/{BUNDLE_FILE}"))
        found += find_bundles(path) if holds_some or not paths else [path]
    return tuple(found)


def _here(options: _Options) -> BenchResult:
    from edgevit.bench.harness import Plan, run_bench
    from edgevit.bench.pack import open_pack
    from edgevit.bench.targets.registry import resolve
    from edgevit.machine import describe_machine

    machine = describe_machine()
    target = resolve(options.target, machine)
    plan = Plan(
        paths=options.bundles,
        target=target,
        threads=options.threads or target.default_threads(machine),
        protocol=_protocol(options),
        photos=options.data,
        image_limit=options.image_limit,
        delegate=options.delegate,
        require_device=options.require_device,
        sustained_minutes=options.sustained_minutes,
    )
    if not any(path.suffix == _PACK_SUFFIX for path in options.bundles):
        plan = replace(plan, paths=_bundles_of(options.bundles, options.exports))
        return run_bench(plan, options.out, resume=options.resume)
    with open_pack(_only_pack(options)) as pack:
        plan = replace(
            plan,
            paths=pack.bundles,
            packed_photos=pack.evaluation_folder,
            unpacked=pack.folder,
            photos_source=str(pack.source),
        )
        return run_bench(plan, options.out, resume=options.resume)


def _over_ssh(
    options: _Options, host: str, install: bool, ssh_options: tuple[str, ...]
) -> BenchResult:
    import shlex

    from edgevit.bench.remote.ssh import run_over_ssh

    arguments = ["--target", options.target, *(["--quick"] if options.quick else [])]
    if options.threads:
        arguments += ["--threads", ",".join(map(str, options.threads))]
    if options.delegate:
        arguments += ["--delegate", str(options.delegate)]
    if options.require_device:
        arguments += ["--require-device"]
    if options.sustained_minutes:
        arguments += ["--sustained", str(options.sustained_minutes)]
    return run_over_ssh(
        _only_pack(options),
        host,
        arguments,
        options.out,
        install=install,
        resume=options.resume,
        options=[word for words in ssh_options for word in shlex.split(words)],
    )


def _over_adb(options: _Options, benchmark_model: Path | None, serial: str | None) -> BenchResult:
    from edgevit.bench.remote.adb import run_over_adb
    from edgevit.errors import InputError

    if benchmark_model is None:
        raise InputError(
            "--adb needs the program that runs on the phone",
            "Give Google's benchmark_model, built for the phone: --benchmark-model PATH",
        )
    return run_over_adb(
        _only_pack(options),
        benchmark_model,
        options.out,
        threads=options.threads or (1,),
        protocol=_protocol(options),
        serial=serial,
    )


def _protocol(options: _Options) -> Protocol:
    from edgevit.bench import protocol

    return protocol.QUICK if options.quick else protocol.FULL


def _only_pack(options: _Options) -> Path:
    from edgevit.errors import InputError

    if len(options.bundles) != 1 or options.bundles[0].suffix != _PACK_SUFFIX:
        raise InputError(
            f"one pack (a {_PACK_SUFFIX} file) is needed here, {len(options.bundles)} paths were "
            "given",
            "Make one: edgevit pack exports/ --out bench.zip",
        )
    if options.data is not None or options.image_limit is not None:
        raise InputError(
            "a pack brings its own photos, so --data and --images mean nothing",
            "Leave them out; `edgevit pack` has both",
        )
    return options.bundles[0]
