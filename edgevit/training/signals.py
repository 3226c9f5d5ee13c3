"""Stopping between two steps instead of in the middle of one."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STANDARD_ERROR = 2
# The progress bar hides it.
_SHOW_CURSOR = b"\x1b[?25h\n"
_STOPPING = "\nStopping after this step (a second Ctrl-C quits at once) …\n".encode()


class StoppedError(Exception):
    """Training was asked to stop, and its checkpoint is on disk.

    Attributes:
        signal_number: ``SIGINT`` or ``SIGTERM``.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """As a shell reports a process that the signal ended: 130 or 143."""
        return 128 + self.signal_number


class StopRequest:
    """Inside the block, the first SIGINT or SIGTERM is noted and a second ends the process."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None: it was set outside Python, and Python cannot set it again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @property
    def pending(self) -> bool:
        """True once a signal has come."""
        return self._received is not None

    def check(self) -> None:
        """Raise if a signal has come.

        Raises:
            StoppedError: naming the signal.
        """
        if self._received is not None:
            raise StoppedError(self._received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # os.write, not print: the signal may have interrupted a print, which is not re-entrant.
        if self._received is not None:
            if os.isatty(_STANDARD_ERROR):
                os.write(_STANDARD_ERROR, _SHOW_CURSOR)
            os._exit(128 + number)
        self._received = number
        os.write(_STANDARD_ERROR, _STOPPING)
