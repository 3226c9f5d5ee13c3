"""Everything that is timed: made here, or taken from the folder of an earlier benchmark.

edgevit's own bundles are made afresh each time, since they are what is under test; photos, runs
and the peers' files are kept for as long as they would come out the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import peers
import processes
import stand_ins

from edgevit import console, documents, storage
from edgevit.bundle import Bundle, find_bundles
from edgevit.data.dataset import DATASET_FILE
from edgevit.data.demo import write_demo
from edgevit.data.prepare import prepare
from edgevit.errors import CheckFailedError, EdgevitError, InputError
from edgevit.machine import version_of
from edgevit.models.registry import ARCHITECTURES
from edgevit.run import RUN_FILE, Run

_BUILD_FILE = "build.json"
_KIND = "edgevit.benchmark.build"
_SCHEMA_VERSION = 1
# As many classes as the study has; of each three photos to train on, one to validate, one to test.
_CLASSES, _PER_CLASS, _SIZE = 120, 5, 224


@dataclass(frozen=True)
class BuildRecord:
    """How a peer's file was made, and for which run, recipe and libraries it stands.

    Attributes:
        recipe_sha256: Of the Python file that says how.
        versions: Of the libraries that make it.
        seconds: Wall time, imports included.
        peak_bytes: Most resident memory.
        error: Why there is no file; ``None`` after success.
    """

    peer: str
    run_sha256: str
    recipe_sha256: str
    versions: dict[str, str]
    seconds: float
    peak_bytes: int
    error: str | None


@dataclass(frozen=True)
class ExportRecord:
    """What ``edgevit export --format all --quantize int8`` cost.

    Attributes:
        seconds: Wall time of the command.
        peak_bytes: Most resident memory of all its processes together.
        error: Its exit code and last line; ``None`` after success.
    """

    seconds: float
    peak_bytes: int
    error: str | None


def make_run(model: str, work: Path) -> Run:
    """Return a run of a model whose weights nobody trained.

    Raises:
        CheckFailedError: if it could not be made.
    """
    root = work / "runs" / model
    if not (root / RUN_FILE).is_file():
        data = _make_photos(work)
        with console.step(f"Making a run of {model}"):
            log = work / "logs" / f"{model}.run.log"
            outcome = processes.call(stand_ins.write_stand_in, model, data, root, log=log)
        if outcome.error is not None:
            raise CheckFailedError(f"no run of {model}: {outcome.error}", f"See {log}")
    return Run.load(root)


def _make_photos(work: Path) -> Path:
    photos, data = work / "photos", work / "data"
    if not (data / DATASET_FILE).is_file():
        write_demo(
            photos, class_count=_CLASSES, per_class=_PER_CLASS, size=_SIZE, seed=0, force=True
        )
        preprocessing = ARCHITECTURES.get("vit-b32").preprocessing(_SIZE)
        prepare(photos, data, preprocessing=preprocessing)
    return data


def make_peers(
    run: Run, work: Path, *, names: Collection[str] = tuple(peers.PEERS), data: Path | None = None
) -> tuple[BuildRecord, ...]:
    """Make peers' files from a run, as far as they are not there already.

    A peer that fails does not stop the others, and is tried again the next time.

    Args:
        run: The run.
        work: The benchmark's folder.
        names: Of the peers; what they are made from is made as well.
        data: The run's prepared photos; by default where they were when it was trained.
    """
    wanted = {*names, *(peers.PEERS[name].needs for name in names)}
    records: dict[str, BuildRecord] = {}
    for peer in peers.PEERS.values():
        if peer.name in wanted:
            needed = records[peer.needs] if peer.needs else None
            records[peer.name] = _make_peer(peer, run, data, peer_folder(run, work), needed)
    return tuple(records.values())


def peer_folder(run: Run, work: Path) -> Path:
    """Return the folder of a run's peers."""
    return work / "peers" / run.name


def _make_peer(
    peer: peers.Peer, run: Run, data: Path | None, folder: Path, needed: BuildRecord | None
) -> BuildRecord:
    kept = _kept(peer, run, folder)
    if kept is not None:
        return kept
    shutil.rmtree(folder / peer.name, ignore_errors=True)
    if needed is not None and needed.error is not None:
        return _record(peer, run, 0.0, 0, f"it is made from {needed.peer}, which failed")
    log = folder / f"{peer.name}.log"
    with console.step(f"Making {run.name} {peer.name}"):
        outcome = processes.call(peers.build_peer, peer.name, run.root, folder, data, log=log)
    record = _record(peer, run, outcome.seconds, outcome.peak_bytes, outcome.error)
    if record.error is None:
        documents.write(folder / peer.name / _BUILD_FILE, _KIND, _SCHEMA_VERSION, record)
    else:
        console.note(f"{run.name} {peer.name} failed: {record.error} (see {log})")
    return record


def _kept(peer: peers.Peer, run: Run, folder: Path) -> BuildRecord | None:
    """Return the record of a file that would come out the same, if there is one."""
    path = folder / peer.name / _BUILD_FILE
    try:
        found = documents.read(path, _KIND, _SCHEMA_VERSION, BuildRecord)
    except InputError:
        return None
    return found if found == _record(peer, run, found.seconds, found.peak_bytes, None) else None


def _record(
    peer: peers.Peer, run: Run, seconds: float, peak_bytes: int, error: str | None
) -> BuildRecord:
    return BuildRecord(
        peer=peer.name,
        run_sha256=run.sha256,
        recipe_sha256=storage.sha256_of_file(Path(peers.__file__)),
        versions={library: version_of(library) or "absent" for library in peer.libraries},
        seconds=seconds,
        peak_bytes=peak_bytes,
        error=error,
    )


def make_bundles(run: Run, exports: Path, logs: Path) -> ExportRecord:
    """Export a run as int8 in every format, measured, and then as everything there is.

    Args:
        run: The run.
        exports: A folder of the benchmark's own; what is in it goes.
        logs: Where the commands' output is kept.
    """
    shutil.rmtree(exports, ignore_errors=True)
    with console.step(f"Exporting {run.name} as int8 in every format"):
        int8 = processes.run(_export(run, "int8", exports), log=logs / f"{run.name}.int8.log")
    # A copy of what was measured is not needed, and --force would keep what fails now.
    shutil.rmtree(exports, ignore_errors=True)
    with console.step(f"Exporting {run.name} in every format and precision"):
        everything = processes.run(_export(run, "all", exports), log=logs / f"{run.name}.all.log")
    for what, outcome in (("int8", int8), ("all", everything)):
        if outcome.error is not None:
            console.note(f"edgevit export --quantize {what} failed: {outcome.error}")
    return ExportRecord(int8.seconds, int8.peak_bytes, int8.error)


def _export(run: Run, precision: str, exports: Path) -> list[str]:
    options = ["--format", "all", "--quantize", precision, "--out", str(exports)]
    return [processes.edgevit(), "export", str(run.root), *options]


def bundles_of(run: Run, exports: Path) -> tuple[Bundle, ...]:
    """Return the intact bundles of a run below ``exports``."""
    try:
        folders = find_bundles(exports)
    except InputError:
        return ()
    found = []
    for folder in folders:
        try:
            bundle = Bundle.load(folder)
        except EdgevitError as error:
            console.note(f"{folder} is left out: {error}")
            continue
        if bundle.record.source.run_sha256 == run.sha256:
            found.append(bundle)
    return tuple(found)
