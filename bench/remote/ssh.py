"""``edgevit bench PACK --ssh HOST``: a bench on another machine.

The bench there does not depend on the connection: it runs on when Wi-Fi drops, and is followed
again from the line of its log that came last. Ctrl-C ends it, and the rows that it has written are
fetched. A job's folder on the device is removed once its result lies here.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgevit import __version__, console, storage
from edgevit.bench.remote import scripts
from edgevit.bench.remote.connection import Connection, ConnectionLostError
from edgevit.bench.remote.host import NO_JOB, Host, JobState, probe
from edgevit.bench.remote.wheel import build_wheel
from edgevit.bench.result import BenchResult, read_result
from edgevit.errors import CheckFailedError, EdgevitError, InputError
from edgevit.storage import FileRecord

T = TypeVar("T")

# Seconds before each further attempt to reach a device that dropped out.
RECONNECT_WAITS_SECONDS = (2.0, 5.0, 15.0, 30.0, 60.0)

_VENV_PYTHON = f"/{scripts.VENV}/bin/python"
_RUNTIME_EXTRAS = ("tflite", "onnx", "openvino")
_ERROR_PREFIX = "edgevit: error: "
_DONE_CODES = (0, 1)
_BAD_INPUT_CODE = 2
_END_LINE = f"{scripts.END_MARK}\n".encode()
_RESUME = "Run the same command with --resume to go on"


@dataclass
class _Log:
    """A job's log as far as it was shown."""

    offset: int = 0
    last_line: str = ""
    last_error: str = ""

    def show(self, line: bytes) -> None:
        self.offset += len(line)
        text = line.decode(errors="replace").rstrip()
        if text.startswith(_ERROR_PREFIX):
            self.last_error = text.removeprefix(_ERROR_PREFIX)
        elif text:
            self.last_line = text
            # Another machine's bytes must not steer this terminal.
            console.note("".join(letter if letter.isprintable() else " " for letter in text))


def run_over_ssh(
    pack: Path,
    host: str,
    arguments: Sequence[str],
    out: Path,
    *,
    install: bool = False,
    resume: bool = False,
    options: Sequence[str] = (),
    waits_seconds: Sequence[float] = RECONNECT_WAITS_SECONDS,
) -> BenchResult:
    """Copy a pack to another machine, measure it there and fetch the result.

    Args:
        pack: The file that ``edgevit pack`` wrote.
        host: As ssh takes it.
        arguments: For ``edgevit bench`` there, without ``--out`` and ``--resume``.
        out: The JSON file to write here.
        install: Bring this edgevit and the runtimes that the pack needs to the device, into an
            environment of its own.
        resume: Take up a bench of the same pack and arguments that runs or has ended there, or go
            on with the rows of ``out``.
        options: Further words for ssh.
        waits_seconds: Before each further attempt when the connection drops.

    Returns:
        The result, which may hold rows that failed.

    Raises:
        InputError: if the host cannot be used, or the bench there refuses its input.
        CheckFailedError: if the bench there broke off, or the connection is lost for good.
    """
    if not pack.is_file() or not zipfile.is_zipfile(pack):
        raise InputError(f"there is no pack at {pack}", "Make one: edgevit pack exports/ -o FILE")
    bench = _RemoteBench(
        Connection(host, tuple(options)), storage.record_of(pack), arguments, tuple(waits_seconds)
    )
    found = probe(bench.connection, bench.pack)
    found.refuse_unfit()
    attached = found.may_attach(bench.job, resume=resume)
    if not attached:
        tool = _edgevit_there(bench.connection, found, pack, install=install)
        if not found.has_pack:
            _copy_pack(bench.connection, pack, bench.pack)
    try:
        if not attached:
            bench.start(tool, out if resume else None, found)
        log, state, data = bench.follow()
    except EdgevitError:
        raise
    except BaseException:  # Ctrl-C, or SIGTERM
        bench.break_off(out)
        raise
    return bench.finish(state, data, log, out)


class _RemoteBench:
    """One bench on the device, from its start to its result."""

    def __init__(
        self,
        connection: Connection,
        pack: FileRecord,
        arguments: Sequence[str],
        waits_seconds: tuple[float, ...],
    ) -> None:
        self.connection = connection
        self.pack = pack
        self.arguments = tuple(arguments)
        self.waits_seconds = waits_seconds
        self.job = job_name(pack.sha256, self.arguments)

    @property
    def host(self) -> str:
        return self.connection.host

    def start(self, tool: Sequence[str], rows: Path | None, found: Host) -> None:
        """Start the job, with rows to go on from if there are any, here or there."""
        if rows is not None and found.state_of(self.job) == NO_JOB and rows.is_file():
            read_result(rows)
            self.connection.send(rows, f"{scripts.CACHE}/jobs/{self.job}", "result.json")
        script = scripts.start(
            self.job, tool, self.pack, self.arguments, keep_rows=rows is not None
        )
        self.connection.run(script)

    def follow(self) -> tuple[_Log, JobState, bytes]:
        """Show the job's log until it has ended, over as many connections as it takes.

        Returns:
            The log, the job's state and its result file, empty if it has written none.
        """
        log = _Log()
        while (end := self._patiently(lambda: self._follow_once(log))) is None:
            console.note(f"The connection to {self.host} dropped; the bench goes on there")
        return log, *end

    def _follow_once(self, log: _Log) -> tuple[JobState, bytes] | None:
        """Show the log to its end; returns nothing if the connection was there and dropped."""
        connected = False
        end: list[bytes] | None = None
        try:
            for line in self.connection.stream(scripts.follow(self.job, log.offset)):
                connected = True
                if end is not None:
                    end.append(line)
                elif line == _END_LINE:
                    end = []
                else:
                    log.show(line)
        except ConnectionLostError:
            if not connected:
                raise
            return None
        if not end:
            raise CheckFailedError(f"{self.host} did not say how the bench ended", _RESUME)
        return JobState.parse(end[0].decode().strip()), b"".join(end[1:])

    def break_off(self, out: Path) -> None:
        """End the job and keep what it has measured; what fails now is only said."""
        console.note(f"Stopping the bench on {self.host} …")
        try:
            _, _, data = self.connection.run(scripts.stop(self.job)).partition(b"\n")
            result = self._keep(data, out)
            if result is not None:
                console.note(f"{len(result.rows)} rows were fetched")
            self.connection.run(scripts.remove(self.job))
        except EdgevitError as error:
            console.note(f"It may still run there: {error}")

    def finish(self, state: JobState, data: bytes, log: _Log, out: Path) -> BenchResult:
        """Write the result here, tidy up there, and turn a bad end into an error."""
        result = self._keep(data, out)
        if state.name == "finished" and state.number in _DONE_CODES and result is not None:
            self._remove()
            return result
        if state.name == "finished" and state.number == _BAD_INPUT_CODE:
            self._remove()
            raise InputError(f"{self.host}: {log.last_error or log.last_line or 'bad input'}")
        how = f"with exit code {state.number}" if state.name == "finished" else "unexpectedly"
        reason = log.last_error or log.last_line
        count = 0 if result is None else len(result.rows)
        raise CheckFailedError(
            f"the bench on {self.host} ended {how} after {count} rows ({reason})", _RESUME
        )

    def _keep(self, data: bytes, out: Path) -> BenchResult | None:
        """Check a fetched result and write it; nothing is written if it holds no rows."""
        if not data:
            return None
        with tempfile.TemporaryDirectory(prefix="edgevit-") as folder:
            copy = Path(folder) / out.name
            copy.write_bytes(data)
            try:
                result = read_result(copy)
            except InputError as error:
                raise CheckFailedError(
                    f"{self.host} sent no intact result ({error.problem})", _RESUME
                ) from None
        if not result.rows:
            return None
        storage.write_atomically(out, data)
        return result

    def _remove(self) -> None:
        try:
            self.connection.run(scripts.remove(self.job))
        except EdgevitError as error:
            console.note(f"The fetched result still lies on {self.host}: {error.problem}")

    def _patiently(self, action: Callable[[], T]) -> T:
        """Do what needs the connection, again after growing waits while it is not there."""
        for seconds in self.waits_seconds:
            try:
                return action()
            except ConnectionLostError as error:
                console.note(f"{error.problem}; trying again in {seconds:g} s")
            time.sleep(seconds)
        try:
            return action()
        except ConnectionLostError as error:
            raise CheckFailedError(
                f"{error.problem}; the bench goes on there",
                "Run the same command with --resume to fetch it",
            ) from None


def job_name(pack_sha256: str, arguments: Sequence[str]) -> str:
    """Return the name that a bench has on a device: the same for the same pack and arguments."""
    what = json.dumps([__version__, pack_sha256, list(arguments)])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _edgevit_there(
    connection: Connection, found: Host, pack: Path, *, install: bool
) -> tuple[str, ...]:
    """Return the words that start an edgevit of this version, which may be installed first."""
    if install:
        return _install(connection, found, pack)
    for version, path in found.edgevit:
        if version == __version__:
            return (path, "-m", "edgevit") if path.endswith(_VENV_PYTHON) else (path,)
    has = f"edgevit {found.edgevit[0][0]}" if found.edgevit else "no edgevit"
    raise InputError(
        f"{connection.host} has {has}, this is edgevit {__version__}",
        f"Add --install: it makes ~/{scripts.VENV} there and installs edgevit {__version__} and "
        "the runtimes that the pack needs into it",
    )


def _install(connection: Connection, found: Host, pack: Path) -> tuple[str, ...]:
    extras = _extras_of(pack)
    with tempfile.TemporaryDirectory(prefix="edgevit-") as folder:
        wheel = build_wheel(Path(folder))
        mark = " ".join([storage.sha256_of_file(wheel), *extras])
        if found.installed != mark:
            names = ", ".join(["edgevit", *extras])
            with console.step(f"Installing {names} on {connection.host}"):
                connection.send(wheel, scripts.CACHE, wheel.name)
                connection.run(scripts.install(wheel.name, extras, mark))
    home = connection.run('printf %s "$HOME"').decode()
    return (f"{home}{_VENV_PYTHON}", "-m", "edgevit")


def _extras_of(pack: Path) -> tuple[str, ...]:
    """Return the extras of edgevit that bring the runtimes of a pack's bundles."""
    from edgevit.bench.pack import open_pack
    from edgevit.bundle import Bundle

    with open_pack(pack) as opened:
        formats = {Bundle.load(folder).record.format for folder in opened.bundles}
    return tuple(extra for extra in _RUNTIME_EXTRAS if extra in formats)


def _copy_pack(connection: Connection, pack: Path, record: FileRecord) -> None:
    with console.step(f"Copying {record.size_bytes / 1e6:,.1f} MB to {connection.host}"):
        connection.send(pack, f"{scripts.CACHE}/packs", f"{record.sha256}.zip.part")
