"""One row's work, and the process that does it.

Each row runs in a process of its own: a crashing delegate or a runtime that eats all memory ends
one row and not the benchmark, and no row inherits another's threads or caches.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from edgevit import documents, storage
from edgevit.bench.protocol import Protocol
from edgevit.errors import CheckFailedError, InputError, in_words
from edgevit.runtimes.base import Device

T = TypeVar("T")
Task = Literal["row", "cold-start", "memory"]

JOB_KIND = "edgevit.bench.job"
ANSWER_KIND = "edgevit.bench.answer"
SCHEMA_VERSION = 1

# The folder that a user stands in must not be searched for modules (Python before 3.11 has no
# option for that).
# Ctrl-C ends it at once, also while it imports: the parent says that it was interrupted.
_CHILD = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "sys.path[:] = filter(None, sys.path); from edgevit.bench import child; "
)
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class RowJob:
    """What is measured, as it is handed to another process.

    Attributes:
        path: Folder of the bundle or run.
        photos: Folder of a data set, or of a pack's photos.
        packed: Which of the two it is.
        source: What the photos are called in the result.
        image_limit: At most so many photos for the accuracy; ``None`` for all.
        sustained_minutes: Of a run without pause; 0 for none.
        require_device: Fail where ops fall back to the CPU.
    """

    path: str
    photos: str
    packed: bool
    source: str
    image_limit: int | None
    threads: int
    device: Device
    protocol: Protocol
    sustained_minutes: int = 0
    require_device: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a process gave no answer, in words for the user."""

    message: str


def run_in_process(task: Task, job: RowJob, answer: type[T]) -> T:
    """Do one task in a fresh process and return its answer.

    Args:
        task: What to do.
        job: With what.
        answer: The dataclass that the process answers with.

    Raises:
        CheckFailedError: if the process failed or died; the message says how.
    """
    with storage.temporary_folder() as folder:
        job_file, answer_file = folder / "job.json", folder / "answer.json"
        documents.write(job_file, JOB_KIND, SCHEMA_VERSION, job)
        arguments = [task, str(job_file), str(answer_file), str(os.getpid())]
        # What the process leaves in its temporary folder goes with this one.
        environment = {**os.environ, "TMPDIR": str(folder)}
        command = [sys.executable, "-c", f"{_CHILD}child.main()", *arguments]
        process = subprocess.Popen(command, env=environment)
        try:
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        if code < 0:
            raise CheckFailedError(f"its process died: {_describe_signal(-code)}")
        if not answer_file.is_file():
            raise CheckFailedError(f"its process ended with exit code {code} and no answer")
        return _read_answer(answer_file, answer)


def _read_answer(path: Path, answer: type[T]) -> T:
    try:
        failure = documents.read(path, f"{ANSWER_KIND}.failure", SCHEMA_VERSION, Failure)
    except InputError:
        return documents.read(path, ANSWER_KIND, SCHEMA_VERSION, answer)
    raise CheckFailedError(failure.message)


def write_answer(path: Path, answer: object) -> None:
    """Leave a task's answer for the process that started it."""
    documents.write(path, ANSWER_KIND, SCHEMA_VERSION, answer)


def write_failure(path: Path, error: Exception) -> None:
    """Leave the reason why there is no answer."""
    documents.write(path, f"{ANSWER_KIND}.failure", SCHEMA_VERSION, Failure(in_words(error)))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _describe_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    if number == signal.SIGKILL:
        return f"{name} (out of memory, or killed by a user)"
    return name
