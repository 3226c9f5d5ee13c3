"""The process that measures one row, or opens a model once: started by :mod:`.jobs`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from edgevit import documents
from edgevit.bench import jobs
from edgevit.bench.jobs import RowJob

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the job, do the task, leave the answer; ``sys.argv`` holds task, files and parent."""
    task, job_file, answer_file, parent = sys.argv[1:]
    _end_with_parent(int(parent))
    if sys.stderr is None:  # closed by the caller; notes go nowhere then
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    job = documents.read(Path(job_file), jobs.JOB_KIND, jobs.SCHEMA_VERSION, RowJob)
    try:
        answer = _tasks()[task](job)
    except Exception as error:
        # A runtime may raise anything; the parent turns it into this row's error.
        jobs.write_failure(Path(answer_file), error)
    else:
        jobs.write_answer(Path(answer_file), answer)
    sys.stdout.flush()
    sys.stderr.flush()
    # Some runtimes crash when Python tears them down, after the work is done.
    os._exit(0)


def _tasks() -> dict[str, Callable[[RowJob], object]]:
    """Import the measurements when they are asked for: memory is measured here."""
    from edgevit.bench.opening import measure_cold_start, measure_memory

    def measure_row(job: RowJob) -> object:
        from edgevit.bench.row import measure_row

        return measure_row(job)

    return {"row": measure_row, "cold-start": measure_cold_start, "memory": measure_memory}


def _end_with_parent(parent: int) -> None:
    """Ask Linux to end this process when the benchmark is killed: it would go on by itself."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)
