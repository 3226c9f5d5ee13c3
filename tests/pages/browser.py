"""A headless Chromium, driven through its debugging pipe: no port, no driver, no package.

Commands and events are JSON objects of the DevTools protocol, each with a zero byte behind it. The
browser reads them from its file descriptor 3 and writes them to 4.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SECONDS = 30.0
_STOP_SECONDS = 5.0
_FREE_FROM = 10
_LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # containers run tests as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)

Message = dict[str, Any]


def find_chromium() -> str | None:
    """Return the program that the variable ``CHROMIUM`` names, or the first that is installed."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, _PROGRAMS)), None)


class Browser:
    """One tab, and what it wrote to its console and asked the network for since it was opened."""

    def __init__(self, sending: int, receiving: int) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._sending = sending
        self._receiving = receiving
        self._received = b""
        self._numbers = itertools.count(1)
        self._events: list[Message] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Message:
        """Send a command to the tab and return its result."""
        return self._call(method, session=self._session, **parameters)

    def open(
        self, path: Path, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> None:
        """Load a file in a window of that size, with ``light`` or ``dark`` preferred."""
        self.complaints.clear()
        self.requests.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self._events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._wait_for("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of an element, scrolled into view."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', inline: 'center'});"
            "const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **typed,
            )

    def _call(self, method: str, *, session: str | None = None, **parameters: Any) -> Message:
        number = next(self._numbers)
        message: Message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._sending, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") != number:
                self._note(answer)
            elif "error" in answer:
                raise AssertionError(f"{method}: {answer['error']}")
            else:
                result: Message = answer["result"]
                return result

    def _wait_for(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._note(self._read())

    def _note(self, event: Message) -> None:
        self._events.append(event)
        given = event.get("params", {})
        if event["method"] == "Runtime.consoleAPICalled":
            self.complaints.append(str([item.get("value") for item in given["args"]]))
        elif event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded":
            self.complaints.append(given["entry"]["text"])
        elif event["method"] == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])

    def _read(self) -> Message:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._receiving], [], [], deadline - time.monotonic())
            if not ready:
                raise TimeoutError(f"Chromium did not answer within {_SECONDS:g} s")
            data = os.read(self._receiving, 1 << 20)
            if not data:
                raise EOFError("Chromium closed its pipe")
            self._received += data
        first, _, self._received = self._received.partition(b"\0")
        message: Message = json.loads(first)
        return message


@contextlib.contextmanager
def chromium(program: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with a new profile and stop it when the block ends."""
    its_input, sending = os.pipe()
    receiving, its_output = os.pipe()
    # Out of the way of 3 and 4, where they are put.
    given = [fcntl.fcntl(pipe, fcntl.F_DUPFD, _FREE_FROM) for pipe in (its_input, its_output)]
    command = [program, *_OPTIONS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [sys.executable, "-IS", "-c", _LAUNCHER, *map(str, given), *command],
        pass_fds=given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for pipe in (its_input, its_output, *given):
        os.close(pipe)
    try:
        yield Browser(sending, receiving)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(sending)
        os.close(receiving)
