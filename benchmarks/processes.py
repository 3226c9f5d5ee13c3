"""Work in processes of its own, with what it cost: time, and the most memory it held.

The process that starts them must stay small: on Linux a child's peak begins with its parent's.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_SAMPLING_SECONDS = 0.2
_BYTES_PER_KIB = 1024


@dataclass(frozen=True)
class Outcome:
    """What came of a piece of work.

    Attributes:
        value: What the function returned.
        error: Why there is no value; ``None`` after success.
        seconds: Wall time, imports included.
        peak_bytes: Most resident memory.
    """

    value: Any
    error: str | None
    seconds: float
    peak_bytes: int


def call(function: Callable[..., Any], *arguments: Any, log: Path) -> Outcome:
    """Call a function of a module in a fresh process; what it prints goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_called, function, arguments, log).result()
        except BrokenProcessPool:
            error = "its process was killed, perhaps for want of memory"
            return Outcome(None, error, time.monotonic() - begun, 0)


def _called(function: Callable[..., Any], arguments: Sequence[Any], log: Path) -> Outcome:
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    # OpenVINO reports its use on import and, without a network, waits long for the answer. Its own
    # code takes an absent package for a no.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    value, error = None, None
    begun = time.monotonic()
    try:
        value = function(*arguments)
    except Exception as problem:
        # Converters may raise anything; the rest of the benchmark must still run.
        traceback.print_exc()
        error = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_KIB
    return Outcome(value, error, time.monotonic() - begun, peak)


def run(command: Sequence[str], *, log: Path) -> Outcome:
    """Run a program; its memory is that of its whole tree of processes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun, peak = time.monotonic(), 0
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak = max(peak, _tree_bytes(process.pid))
            time.sleep(_SAMPLING_SECONDS)
    seconds = time.monotonic() - begun
    # Popen must not wait for a process that is gone.
    process.returncode = os.waitstatus_to_exitcode(status)
    error = None
    if process.returncode != 0:
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        error = f"exit code {process.returncode}: {last}"
    # Between two samples a single process may have held more.
    return Outcome(None, error, seconds, max(peak, usage.ru_maxrss * _BYTES_PER_KIB))


def edgevit() -> str:
    """Return the command-line program beside this Python.

    Not `python -m edgevit`: the repository's edgevit/ folder would hide the installed package.
    """
    return str(Path(sys.executable).with_name("edgevit"))


def _tree_bytes(pid: int) -> int:
    total = 0
    try:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            # The proportional set: pages that a fork shares with its parent count once.
            total += member.memory_full_info().pss
    except psutil.Error:
        pass  # one ended while it was asked: the others count at the next sample
    return total
