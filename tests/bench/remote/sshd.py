"""A private sshd on this machine whose users live in a folder of the test, and an edgevit there."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from edgevit.bench.protocol import QUICK
from edgevit.bench.result import BenchResult, write_result
from edgevit.machine import describe_machine

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_START_SECONDS = 10.0

# Writes rows slowly, one by one, as the real one does. Its options say how it ends.
STANDIN = """#!{python} -IS
import json, os, sys, time
if sys.argv[1:] == ["--version"]:
    print("edgevit, version {version}")
    sys.exit(0)
command, pack, *words = sys.argv[1:]
options = dict(zip(words[0::2], words[1::2]))
out = options["--out"]
assert command == "bench" and os.path.isfile(pack)
code = int(options.get("--exit", 0))
if code == 2:
    print("edgevit: error: 64 threads on a machine of 4 logical cores. Choose 4", file=sys.stderr)
    sys.exit(2)
resumed = "--resume" in words
with open(out if resumed else "{empty}", encoding="utf-8") as file:
    result = json.load(file)
for number in range(len(result["rows"]), int(options["--rows"])):
    time.sleep(float(options.get("--pause", 0)))
    if number == int(options.get("--die-after", -1)) and not resumed:
        os.kill(os.getpid(), 9)
    row = dict(name=f"row-{{number}}", path=" ".join(sys.argv), threads=1, device="cpu")
    row["error" if code == 1 and number == 1 else "absent"] = "it is only a stand-in"
    result["rows"].append(row)
    with open(out + ".new", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.rename(out + ".new", out)
    print(f"row {{number}} \\x1b[2J", file=sys.stderr, flush=True)
sys.exit(code)
"""


def write_standin(path: Path, version: str) -> None:
    """Write an executable ``edgevit`` that only pretends to measure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    empty = path.with_name("empty.json")
    machine = describe_machine()
    write_result(empty, BenchResult("now", "stand-in", "cpu", machine, (), {}, QUICK, ()))
    text = STANDIN.format(python=sys.executable, version=version, empty=empty)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


class Device:
    """A host ``pi`` that ssh reaches through ``options``; its home is a folder here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What a home folder may be called, to see that everything is quoted.
        self.home = folder / "home of 'pi' & $café"
        self.home.mkdir(parents=True)
        self.bin = folder / "bin"
        # What a careless start-up file does.
        (self.home / ".bashrc").write_text("echo welcome home\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for name in ("host", "user", "stranger"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
                check=True,
            )
        (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
        host_key = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        self._write_configs()
        self._process: subprocess.Popen[bytes] | None = None

    def _write_configs(self) -> None:
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\n"
            "ListenAddress 127.0.0.1\n"
            f"HostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\n"
            f"PidFile {self.folder}/sshd.pid\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nStrictModes no\n"
            f'SetEnv "HOME={self.home}" "PATH={self.bin}:/usr/bin:/bin" PYTHONSAFEPATH=1 '
            "PIP_NO_INDEX=1\n"
        )
        (self.folder / "config").write_text(
            f"Host pi\n  HostName 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n"
            # A third of the time of the default key exchange.
            "  KexAlgorithms curve25519-sha256\n"
            f"  IdentityFile {self.folder}/user\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.folder}/known_hosts\n"
        )

    @property
    def options(self) -> tuple[str, ...]:
        return ("-F", str(self.folder / "config"))

    @property
    def cache(self) -> Path:
        return self.home / ".cache/edgevit"

    @property
    def jobs(self) -> list[Path]:
        return sorted((self.cache / "jobs").glob("*"))

    def start(self) -> None:
        assert SSHD is not None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        words = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(words, stderr=log)
        wait_for(self._answers, "sshd", _START_SECONDS)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def drop(self) -> None:
        """Cut every connection; what was started over them runs on."""
        assert self._process is not None
        for session in psutil.Process(self._process.pid).children():
            session.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """Cut every connection and answer no more."""
        if self._process is None:
            return
        # No new session may come up between the two.
        psutil.Process(self._process.pid).suspend()
        self.drop()
        self._process.kill()
        self._process.wait()
        self._process = None

    def end_jobs(self) -> None:
        """End what tests left running."""
        for job in self.jobs:
            if (job / "pid").is_file() and not (job / "exit").is_file():
                try:
                    os.killpg(int((job / "pid").read_text()), signal.SIGKILL)
                except ProcessLookupError:
                    continue
