"""Arrays of pixels that are written row by row, and the threads that fill them.

Rows are written with ``pwrite`` and not through a memory map: on a full disk a write raises an
error that can be told to a person, where touching a mapped page would kill the process.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib import format as npy

from edgevit.console import track
from edgevit.preprocessing import Pixels

T = TypeVar("T")
R = TypeVar("R")

_MAX_THREADS = 16
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RowFile:
    """A ``.npy`` file of ``uint8 [count, *row_shape]`` whose rows come in any order.

    Rows that are never written are zeros. Use it as a context manager; several threads may call
    :meth:`write` at once.

    Args:
        path: The file, made anew.
        count: Number of rows, 0 or more.
        row_shape: Shape of one row.

    Raises:
        OSError: if the disk has no room for all the rows.
    """

    def __init__(self, path: Path, count: int, row_shape: tuple[int, ...]) -> None:
        self._path = path
        self._row_shape = row_shape
        self._row_bytes = int(np.prod(row_shape))
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *row_shape)}
        with path.open("wb") as file:
            npy.write_array_header_1_0(file, header)
            self._header_bytes = file.tell()
        self._descriptor = os.open(path, os.O_WRONLY)
        try:
            self._reserve(self._header_bytes + count * self._row_bytes)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, index: int, row: Pixels) -> None:
        """Write one row."""
        if row.shape != self._row_shape:
            raise ValueError(f"a row of {row.shape} for an array of {self._row_shape}")
        data = memoryview(np.ascontiguousarray(row).data).cast("B")
        offset = self._header_bytes + index * self._row_bytes
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written

    def _reserve(self, size_bytes: int) -> None:
        """Take the disk space now, so that a full disk is found before the long work."""
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._descriptor, 0, size_bytes)
        except OSError as error:
            # Some network file systems cannot reserve; their writes still fail cleanly.
            if error.errno in _NO_SPACE:
                raise OSError(error.errno, error.strerror, str(self._path)) from None
        os.ftruncate(self._descriptor, size_bytes)


def in_parallel(function: Callable[[T], R], items: Sequence[T], description: str) -> Iterator[R]:
    """Yield ``function(item)`` in order, computed by threads, with a progress bar.

    The first exception stops the work: items that were not started are dropped. At most a few
    items per thread are in flight, so results do not pile up.
    """
    threads = max(1, min(_MAX_THREADS, _available_cpus()))
    executor = ThreadPoolExecutor(threads)
    try:
        yield from track(_in_order(executor, function, items, threads * 4), description, len(items))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _in_order(
    executor: ThreadPoolExecutor, function: Callable[[T], R], items: Sequence[T], ahead: int
) -> Iterator[R]:
    pending: deque[Future[R]] = deque(executor.submit(function, item) for item in items[:ahead])
    for upcoming in range(ahead, ahead + len(items)):
        result = pending.popleft().result()
        if upcoming < len(items):
            pending.append(executor.submit(function, items[upcoming]))
        yield result


def _available_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
