from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgevit.bench import jobs
from edgevit.bench.jobs import RowJob, run_in_process
from edgevit.bench.opening import Start
from edgevit.bench.protocol import Protocol
from edgevit.bench.result import MemoryUse
from edgevit.errors import CheckFailedError
from edgevit.runtimes.base import CPU_DEVICE


@pytest.fixture
def job(bundle: Path, tmp_path: Path, tiny: Protocol) -> RowJob:
    return RowJob(
        path=str(bundle),
        photos=str(tmp_path / "data"),
        packed=False,
        source="data",
        image_limit=None,
        threads=1,
        device=CPU_DEVICE,
        protocol=tiny,
    )


def instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let processes run this code before they look at their job."""
    monkeypatch.setattr(jobs, "_CHILD", f"{code}; {jobs._CHILD}")


def test_run_in_process_returns_the_answer_when_all_is_well(job: RowJob) -> None:
    start = run_in_process("cold-start", job, Start)
    assert min(start.import_ms, start.load_ms, start.first_inference_ms) > 0
    use = run_in_process("memory", job, MemoryUse)
    assert use.peak_bytes >= use.loaded_bytes >= use.baseline_bytes > 1 << 20


def test_run_in_process_gives_the_sentence_when_edgevit_refuses(job: RowJob, bundle: Path) -> None:
    (bundle / "model.tflite").write_bytes(b"broken")
    with pytest.raises(CheckFailedError, match=r"model.tflite is not a TFLite file"):
        run_in_process("cold-start", job, Start)


def test_run_in_process_names_the_error_when_a_runtime_raises_anything(
    job: RowJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "import edgevit.bench.opening as o; o.measure_cold_start = lambda job: 1 / 0"
    instead(monkeypatch, broken)
    with pytest.raises(CheckFailedError, match="ZeroDivisionError: division by zero"):
        run_in_process("cold-start", job, Start)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "its process died: SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL .out of memory, or killed by a user."),
        ("import os; os._exit(3)", "ended with exit code 3 and no answer"),
    ],
)
def test_run_in_process_says_how_when_the_process_dies(
    job: RowJob, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    instead(monkeypatch, code)
    with pytest.raises(CheckFailedError, match=words):
        run_in_process("row", job, Start)


def test_run_in_process_takes_nothing_from_the_folder_a_user_stands_in(
    job: RowJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise RuntimeError('a file of the user')")
    (tmp_path / "edgevit").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH")
    assert run_in_process("cold-start", job, Start).load_ms > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux ends orphans")
def test_row_process_ends_when_the_benchmark_is_killed(
    job: RowJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "child"
    sleeper = (
        "import edgevit.bench.opening as o, os, time, pathlib; "
        f"o.measure_memory = lambda job: (pathlib.Path({str(mark)!r}).write_text("
        "str(os.getpid())), time.sleep(60))"
    )
    program = (
        "from edgevit.bench import jobs; from edgevit import documents; import sys, pathlib\n"
        f"jobs._CHILD = {sleeper!r} + '; ' + jobs._CHILD\n"
        "job = documents.read(pathlib.Path(sys.argv[1]), 'job', 1, jobs.RowJob)\n"
        "jobs.run_in_process('memory', job, jobs.Failure)\n"
    )
    jobs.documents.write(tmp_path / "job.json", "job", 1, job)
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "job.json")])
    child = _wait_for(lambda: int(mark.read_text()) if mark.exists() and mark.read_text() else None)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert _wait_for(lambda: True if not _runs(child) else None)


def _wait_for(probe: object) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (found := probe()) is not None:  # type: ignore[operator]
            return found  # type: ignore[no-any-return]
        time.sleep(0.05)
    raise AssertionError("nothing happened in 30 s")


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
