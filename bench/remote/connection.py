"""Scripts and files on another machine, through the system's own ``ssh``.

Scripts travel on standard input to ``sh -s``, so that the other side's login shell never has to
understand them; files travel on standard input to ``cat``, so that no SFTP server is needed.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgevit.errors import EdgevitError, InputError, MissingDependencyError

CONNECT_TIMEOUT_SECONDS = 15
# A link that has been silent for 30 s is taken for dropped.
ALIVE_INTERVAL_SECONDS = 10
ALIVE_MISSED = 3

# ssh's own exit code when it could not connect or lost the connection.
_SSH_FAILED = 255
# What a login shell's start-up files print stands before this line.
_MARK = b"edgevit-begins-here"
_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_TIMEOUT_SECONDS}",
    f"ServerAliveInterval={ALIVE_INTERVAL_SECONDS}",
    f"ServerAliveCountMax={ALIVE_MISSED}",
    # Of the user's own configuration, what is meant for interactive sessions.
    "RequestTTY=no",
    "RemoteCommand=none",
    "ClearAllForwardings=yes",
)


class ConnectionLostError(EdgevitError):
    """The other machine cannot be reached, or no longer."""


@dataclass(frozen=True)
class Connection:
    """A host that ssh can log in to without a question.

    Attributes:
        host: As ssh takes it: a name of the user's configuration, ``user@host``, an address.
        options: Further words for ssh, such as ``("-p", "2222")``; they win over ours.
        program: The ssh client.

    Raises:
        InputError: if ssh would take the host for an option, or it is no single word.
    """

    host: str
    options: tuple[str, ...] = ()
    program: str = "ssh"

    def __post_init__(self) -> None:
        odd = any(character.isspace() or not character.isprintable() for character in self.host)
        if not self.host or self.host.startswith("-") or odd:
            raise InputError(
                f"the host {self.host!r} is no name that ssh takes", "Give --ssh USER@HOST"
            )

    def run(self, script: str) -> bytes:
        """Run a ``sh`` script and return what it prints.

        Raises:
            ConnectionLostError: if the host cannot be reached, or no longer.
            InputError: with the last line that the script wrote to standard error, if it failed.
        """
        done = self._finished("sh -s", _marked(script))
        _, mark, printed = done.stdout.partition(_MARK + b"\n")
        if not mark:
            raise InputError(
                f"{self.host} ran no script: {_last_line(done.stderr or done.stdout)}",
                "The account needs a shell",
            )
        return printed

    def send(self, file: Path, folder: str, name: str) -> None:
        """Write a file to ``$HOME/FOLDER/NAME``; folder and name are plain words and slashes.

        Raises:
            ConnectionLostError: if the host cannot be reached, or no longer.
            InputError: if it could not be written there.
        """
        command = f'd="$HOME/{folder}"; mkdir -p "$d" && cat > "$d/{name}"'
        with file.open("rb") as data:
            self._finished(f"sh -c '{command}'", data)

    def stream(self, script: str) -> Iterator[bytes]:
        """Run a ``sh`` script and yield the lines that it prints, with their ends, as they come.

        An empty line is yielded first, when the script has begun. A last line without an end is
        yielded only if the script has ended well: the connection may have dropped within it.

        Raises:
            ConnectionLostError: if the host cannot be reached, or no longer.
            InputError: with the last line that the script wrote to standard error, if it failed.
        """
        with tempfile.TemporaryFile() as complaints:
            process = self._started("sh -s", complaints)
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                _write_script(process.stdin, _marked(script))
                begun, rest = False, b""
                for line in process.stdout:
                    if begun and line.endswith(b"\n"):
                        yield line
                    elif begun:
                        rest = line
                    elif line == _MARK + b"\n":
                        begun = True
                        yield b""
                code = process.wait()
                if code == 0 and rest:
                    yield rest
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            complaints.seek(0)
            self._check(code, complaints.read())

    def _words(self, command: str) -> list[str]:
        ours = [word for option in _OPTIONS for word in ("-o", option)]
        return [self.program, *self.options, *ours, "--", self.host, command]

    def _finished(
        self, command: str, source: bytes | IO[bytes]
    ) -> subprocess.CompletedProcess[bytes]:
        words = self._words(command)
        try:
            if isinstance(source, bytes):
                done = subprocess.run(words, input=source, capture_output=True, check=False)
            else:
                done = subprocess.run(words, stdin=source, capture_output=True, check=False)
        except FileNotFoundError:
            raise self._no_ssh() from None
        self._check(done.returncode, done.stderr)
        return done

    def _started(self, command: str, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._words(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        except FileNotFoundError:
            raise self._no_ssh() from None

    def _no_ssh(self) -> MissingDependencyError:
        return MissingDependencyError(
            f"there is no {self.program} on this machine", "sudo apt install openssh-client"
        )

    def _check(self, code: int, complaints: bytes) -> None:
        if code == 0:
            return
        reason = _last_line(complaints)
        if code == _SSH_FAILED or code < 0:
            raise ConnectionLostError(
                f"ssh cannot reach {self.host}: {reason}", _remedy(reason, self.host)
            )
        raise InputError(f"{self.host}: {reason}")


def _marked(script: str) -> bytes:
    return b"printf '%s\\n' " + _MARK + b"\n" + script.encode()


def _write_script(stream: IO[bytes], script: bytes) -> None:
    try:
        stream.write(script)
        stream.close()
    except BrokenPipeError:  # ssh has given up already, and its exit code says so
        pass


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    return lines[-1].rstrip(".") if lines else "no reason given"


def _remedy(reason: str, host: str) -> str:
    if "Permission denied" in reason:
        return f"It must let you in without a password: ssh-copy-id {host}"
    if "Host key verification failed" in reason:
        return f"Log in once by hand and accept its key: ssh {host}"
    return f"Check that this works: ssh {host} true"
