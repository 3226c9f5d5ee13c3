"""Runs the rows of a benchmark one after another; a failing row never loses the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgevit import console, storage
from edgevit.bench import opening
from edgevit.bench.conditions import ConditionsWatch, cool_down_for
from edgevit.bench.evaluation import EVALUATION_FILE
from edgevit.bench.jobs import RowJob, run_in_process
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import (
    BenchResult,
    BenchRow,
    Measurement,
    read_result,
    refuse_other_file,
    write_result,
)
from edgevit.bench.targets.base import Target
from edgevit.bench.warnings import warnings_of
from edgevit.bundle import BUNDLE_FILE, Bundle
from edgevit.data.dataset import Dataset
from edgevit.errors import EdgevitError, InputError, in_words
from edgevit.machine import (
    Machine,
    cpu_affinity,
    describe_machine,
    installed_versions,
    logical_cores,
)
from edgevit.run import RUN_FILE, Run
from edgevit.runtimes.base import Device, DeviceSupport
from edgevit.runtimes.classifier import find_kind
from edgevit.runtimes.registry import RUNTIMES

TOOL = "edgevit bench"


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        paths: Folders of bundles or runs.
        photos: Folder of a data set; ``None`` takes the one that each model records.
        packed_photos: Folder of a pack's photos, instead of ``photos``.
        unpacked: Folder that a pack was unpacked to; it is gone when the result is read.
        photos_source: What the pack is called.
        image_limit: At most so many photos for the accuracy; ``None`` for all.
        threads: Numbers of threads; every model is measured with each.
        target: What it runs on.
        protocol: The timing rules.
        delegate: Library of a LiteRT delegate or of an ONNX Runtime provider, for accelerators.
        require_device: Fail a row whose ops fall back to the CPU, or whose device is absent.
        sustained_minutes: Of a run without pause; 0 for none.
    """

    paths: tuple[Path, ...]
    target: Target
    threads: tuple[int, ...]
    protocol: Protocol
    photos: Path | None = None
    packed_photos: Path | None = None
    unpacked: Path | None = None
    photos_source: str = ""
    image_limit: int | None = None
    delegate: Path | None = None
    require_device: bool = False
    sustained_minutes: int = 0

    def settings(self) -> dict[str, str]:
        """Return what else shapes the rows, for a result and to know it again."""
        photos = str(self.photos) if self.photos else "of each run"
        if self.packed_photos is not None:
            # The record has the hash of every photo.
            sha256 = storage.sha256_of_file(self.packed_photos / EVALUATION_FILE)
            photos = f"{Path(self.photos_source).name}, {sha256[:12]}"
        return {
            "photos": photos,
            "images": "all" if self.image_limit is None else str(self.image_limit),
            "delegate": "none" if self.delegate is None else str(self.delegate),
            "require-device": "yes" if self.require_device else "no",
            "sustained": f"{self.sustained_minutes} min",
        }

    def named(self, row: BenchRow) -> BenchRow:
        """Return the row with the pack's name for the folder that it was unpacked to."""
        if self.unpacked is None:
            return row
        folder, pack = str(self.unpacked), self.photos_source
        error = None if row.error is None else row.error.replace(folder, pack)
        return dataclasses.replace(row, path=row.path.replace(folder, pack), error=error)


def run_bench(plan: Plan, out: Path, *, resume: bool = False) -> BenchResult:
    """Measure models one after another and write the result after each.

    Args:
        plan: What is measured.
        out: The JSON file.
        resume: Keep the rows of ``out``, which must have been measured under the same rules, and
            measure those that are missing, failed, or of a model that has changed.

    Raises:
        InputError: if there are more threads than cores, a path is neither a bundle nor a run, the
            machine is not the target, or ``out`` is no result or cannot be resumed.
    """
    refuse_other_file(out)
    for threads in plan.threads:
        check_threads(threads)
    for path in plan.paths:
        find_kind(path)
    if plan.photos is not None:
        Dataset.load(plan.photos)  # so that a mistyped folder is noticed before the first row
    machine = describe_machine()
    plan.target.check(machine)
    result = BenchResult(
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        tool=TOOL,
        target=plan.target.name,
        machine=machine,
        cpu_affinity=cpu_affinity(),
        versions=installed_versions(),
        protocol=plan.protocol,
        rows=(),
        notes=(*plan.target.notes(machine), *_machine_notes(machine)),
        settings=plan.settings(),
    )
    finished = _finished_rows(out, result) if resume and out.exists() else ()
    # A file that cannot be written is noticed now, not after a minute; an old one stays until then.
    storage.try_writing(out)
    cool_down = cool_down_for(plan.protocol)
    for path in plan.paths:
        for row in map(plan.named, _rows(path, plan, finished, cool_down)):
            result = dataclasses.replace(
                result,
                rows=(*result.rows, row),
                notes=_with_published(result.notes, row, plan.target, machine),
            )
            # A power cut costs the row that is being measured, and no other.
            write_result(out, _with_kept(result, finished))
    return _with_kept(result, finished)


def _with_kept(result: BenchResult, finished: Sequence[BenchRow]) -> BenchResult:
    """Return the result with those earlier rows that were not measured again."""
    kept = (old for old in finished if not any(_same(old, new) for new in result.rows))
    return dataclasses.replace(result, rows=(*result.rows, *kept))


def _machine_notes(machine: Machine) -> tuple[str, ...]:
    """Say what makes this machine's times other than they could be."""
    lines = []
    if machine.emulated:
        lines.append("this machine is emulated: its accuracy counts, its times mean nothing")
    if machine.is_mixed:
        lines.append("this is a 32-bit Python on a 64-bit kernel: a 64-bit system is faster")
    if machine.cpu.governor not in (None, "performance"):
        lines.append(
            f"the clock follows the governor {machine.cpu.governor}: times vary more than with "
            "performance"
        )
    return tuple(lines)


def check_threads(threads: int) -> None:
    """Refuse more threads than the machine has: their times would mean nothing.

    Raises:
        InputError: if ``threads`` is below 1 or above the logical cores.
    """
    usable = len(cpu_affinity())
    cores = min(logical_cores(), usable or logical_cores())
    if not 1 <= threads <= cores:
        raise InputError(
            f"{threads} threads, but this process may use {cores} logical cores",
            f"Choose --threads 1 to {cores}",
        )


def _with_published(
    notes: tuple[str, ...], row: BenchRow, target: Target, machine: Machine
) -> tuple[str, ...]:
    """Add what others published for such a model on such a device, for orientation."""
    if row.measurement is None:
        return notes
    model, precision = row.measurement.model, row.measurement.precision
    published = target.expected_latency_ms(machine, model, precision)
    if published is None:
        return notes
    line = f"{model} {precision}: {published.latency_ms:g} ms were published by {published.source}"
    return notes if line in notes else (*notes, line)


def _finished_rows(out: Path, now: BenchResult) -> tuple[BenchRow, ...]:
    """Return the measured rows of an earlier call.

    Raises:
        InputError: if it ran on another machine, under other rules or with other versions.
    """
    old = read_result(out)
    same_device = (old.machine.board, old.machine.cpu.model) == (
        now.machine.board,
        now.machine.cpu.model,
    )
    for what, is_same in (
        ("on another machine", same_device),
        (f"by {old.tool}", old.tool == now.tool),
        ("with another --target", old.target == now.target),
        ("on other cores", old.cpu_affinity == now.cpu_affinity),
        (f"under the {old.protocol.name} protocol", old.protocol == now.protocol),
        ("with other versions of the runtimes", old.versions == now.versions),
    ):
        _require_same(out, what, is_same)
    for name in old.settings.keys() | now.settings.keys():
        before, after = old.settings.get(name, "none"), now.settings.get(name, "none")
        _require_same(out, f"with {name}: {before}, not {after},", before == after)
    return tuple(row for row in old.rows if row.measurement is not None)


def _require_same(out: Path, what: str, is_same: bool) -> None:
    if not is_same:
        raise InputError(
            f"{out} was measured {what} and cannot be resumed here",
            "Choose another --out, or add --force to start again",
        )


def _same(one: BenchRow, other: BenchRow) -> bool:
    return (one.name, one.threads, one.device) == (other.name, other.threads, other.device)


def _rows(
    path: Path, plan: Plan, finished: Sequence[BenchRow], cool_down: Callable[[], float]
) -> Iterator[BenchRow]:
    """Yield a model's rows: one for each device and number of threads."""
    name = path.resolve().name
    try:
        model = _Model.load(path)
        supports = plan.target.devices(RUNTIMES.get(model.format), plan.delegate)
        photos = _photos_of(model, plan)
    except Exception as error:
        # A damaged bundle, a missing runtime: this model's rows fail, the others are measured.
        for threads in plan.threads:
            reason = in_words(error)
            yield _failed(BenchRow(name, str(path), threads, plan.target.name, error=reason))
        return
    for support in supports:
        for threads in plan.threads:
            row = BenchRow(model.name, str(path), threads, str(support.device), error="not yet")
            if (old := _finished(row, model.sha256, finished)) is not None:
                console.note(f"{row.name}, threads: {threads}: kept from the earlier run")
                yield old
            elif support.absent:
                yield _absent(row, support, plan)
            else:
                cool_down()  # so that no row inherits another's heat
                yield _measured(row, _job(row, plan, support.device, photos))


def _finished(row: BenchRow, sha256: str, finished: Sequence[BenchRow]) -> BenchRow | None:
    """Return the earlier measurement of the same row and the same model, if there is one."""
    for old in finished:
        measured = old.measurement
        if _same(old, row) and measured is not None and measured.model_sha256 == sha256:
            return old
    return None


@dataclass(frozen=True)
class _Model:
    """What must be known about a bundle or run before it is opened."""

    name: str
    format: str
    sha256: str
    dataset_path: Path

    @classmethod
    def load(cls, path: Path) -> _Model:
        if find_kind(path) == "bundle":
            bundle = Bundle.load(path)
            sha256 = storage.sha256_of_file(path / BUNDLE_FILE)
            dataset = Path(bundle.record.source.dataset.path)
            return cls(bundle.name, bundle.record.format, sha256, dataset)
        run = Run.load(path)
        sha256 = storage.sha256_of_file(path / RUN_FILE)
        return cls(run.name, "keras", sha256, Path(run.record.dataset.path))


def _photos_of(model: _Model, plan: Plan) -> Path:
    photos = plan.packed_photos or plan.photos or model.dataset_path
    if not photos.is_dir():
        raise InputError(
            f"the photos that {model.name} was trained on are not at {photos}",
            "Copy the data set here and name it: --data DIR",
        )
    return photos


def _job(row: BenchRow, plan: Plan, device: Device, photos: Path) -> RowJob:
    return RowJob(
        path=row.path,
        photos=str(photos),
        packed=plan.packed_photos is not None,
        source=plan.photos_source or str(photos),
        image_limit=plan.image_limit,
        threads=row.threads,
        device=device,
        protocol=plan.protocol,
        sustained_minutes=plan.sustained_minutes,
        require_device=plan.require_device,
    )


def _measured(row: BenchRow, job: RowJob) -> BenchRow:
    try:
        with ConditionsWatch() as watch:
            measurement = run_in_process("row", job, Measurement)
    except EdgevitError as error:
        return _failed(dataclasses.replace(row, error=str(error)))
    measurement, lost = _with_opening(
        dataclasses.replace(measurement, conditions=watch.conditions()), job
    )
    warnings = (*warnings_of(measurement), *lost)
    return dataclasses.replace(
        row, measurement=dataclasses.replace(measurement, warnings=warnings), error=None
    )


def _with_opening(measurement: Measurement, job: RowJob) -> tuple[Measurement, tuple[str, ...]]:
    """Add cold start and memory; if their processes fail, the times stay and it is said."""
    try:
        cold_start, memory = opening.cold_starts(job), opening.memory_use(job)
    except EdgevitError as error:
        return measurement, (f"cold start and memory could not be measured: {error}",)
    return dataclasses.replace(measurement, cold_start=cold_start, memory=memory), ()


def _absent(row: BenchRow, support: DeviceSupport, plan: Plan) -> BenchRow:
    if plan.require_device:
        return _failed(dataclasses.replace(row, error=support.absent))
    console.note(f"{row.name}: {support.device.kind} absent: {support.absent}")
    return dataclasses.replace(row, error=None, absent=support.absent)


def _failed(row: BenchRow) -> BenchRow:
    console.note(f"{row.name}, threads: {row.threads}, failed: {row.error}")
    return row
