"""What runs on the other machine: short POSIX ``sh`` scripts, which a BusyBox understands too.

There, a *job* is one bench, in ``~/.cache/edgevit/jobs/NAME/``:

- ``pid`` and ``boot``: its process group, and the boot that the number belongs to;
- ``log``: what it wrote to standard error;
- ``result.json``: its rows so far;
- ``exit``: its exit code, once it has ended.

Packs lie in ``~/.cache/edgevit/packs/SHA256.zip``; ``--install`` uses
``~/.local/share/edgevit/venv/``. Nothing else is touched.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edgevit.storage import FileRecord

CACHE = ".cache/edgevit"
VENV = ".local/share/edgevit/venv"
# Seconds between two looks at a job's log: two short processes each time, next to a measurement.
POLL_SECONDS = 2.0
# From asking a job to end to ending it.
STOP_SECONDS = 15

_COMMON = f"""\
set -u
cache="$HOME/{CACHE}"
venv="$HOME/{VENV}"
boot() {{ cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }}
number() {{ cat "$1/pid" 2>/dev/null || echo 0; }}
is_running() {{
  [ ! -f "$1/exit" ] && [ "$(number "$1")" -gt 1 ] &&
    [ "$(cat "$1/boot" 2>/dev/null)" = "$(boot)" ] && kill -0 "$(number "$1")" 2>/dev/null
}}
state() {{
  if [ ! -d "$1" ]; then echo none
  elif is_running "$1"; then echo "running $(number "$1")"
  elif [ -f "$1/exit" ]; then echo "finished $(cat "$1/exit")"
  else echo died
  fi
}}
"""
# The job's state, a line, and then its result if it has one.
_END = """\
state "$job"
cat "$job/result.json" 2>/dev/null
exit 0
"""
END_MARK = "edgevit-ends-here"


def probe(pack: FileRecord) -> str:
    """Print ``KEY=VALUE`` lines about the machine, its edgevit, the pack and the jobs."""
    return f"""{_COMMON}
say() {{ printf '%s=%s\\n' "$1" "$2"; }}
say system "$(uname -s)"
say architecture "$(uname -m)"
say python "$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null)"
for tool in setsid sha256sum; do command -v "$tool" >/dev/null || say missing "$tool"; done
# Not bin/edgevit: pip cannot write a launcher below every name that a home may have.
python="$venv/bin/python"
[ -x "$python" ] &&
  say edgevit "$("$python" -m edgevit --version 2>/dev/null | tail -n 1) at $python"
for tool in "$(command -v edgevit)" "$HOME/.local/bin/edgevit"; do
  [ -x "$tool" ] && say edgevit "$("$tool" --version 2>/dev/null | tail -n 1) at $tool"
done
say installed "$(cat "$venv/edgevit.txt" 2>/dev/null)"
pack="$cache/packs/{pack.sha256}.zip"
if [ -f "$pack" ] && [ "$(wc -c <"$pack")" -eq {pack.size_bytes} ] &&
  [ "$(sha256sum <"$pack" | cut -c 1-64)" = {pack.sha256} ]; then say pack whole; fi
for job in "$cache"/jobs/*/; do
  [ -d "$job" ] && say job "$(basename "$job") $(state "${{job%/}}")"
done
exit 0
"""


def start(
    job: str, tool: Sequence[str], pack: FileRecord, arguments: Sequence[str], *, keep_rows: bool
) -> str:
    """Start a job that outlives the connection.

    Args:
        job: Its name.
        tool: The words that start ``edgevit``.
        pack: That lies there, under its name or as a copy just made, ``SHA256.zip.part``.
        arguments: For ``edgevit bench``.
        keep_rows: Go on with the job's ``result.json`` if it has one.
    """
    words = shlex.join(arguments)
    forget = "" if keep_rows else 'rm -f "$job/result.json"'
    # The first shell becomes a session's leader, so its number is that of the process group.
    return f"""{_COMMON}
set -e
job="$cache/jobs/{job}"
pack="$cache/packs/{pack.sha256}.zip"
if [ -f "$pack.part" ]; then
  if [ "$(sha256sum <"$pack.part" | cut -c 1-64)" != {pack.sha256} ]; then
    rm -f "$pack.part"
    echo 'the pack arrived damaged: try again' >&2
    exit 3
  fi
  mv "$pack.part" "$pack"
fi
if is_running "$job"; then echo 'this bench is running already' >&2; exit 3; fi
mkdir -p "$job"
rm -f "$job/exit" "$job/pid" "$job/log"
{forget}
cd "$job"
boot >boot
: >log
set -- {shlex.join(tool)} bench "$pack" {words} --out "$job/result.json"
[ ! -f result.json ] || set -- "$@" --resume
setsid sh -c '
  echo $$ >pid.part && mv pid.part pid
  "$@" </dev/null >/dev/null 2>>log
  echo $? >exit.part && mv exit.part exit
' sh "$@" </dev/null >/dev/null 2>&1 &
waited=0
until [ -f pid ]; do
  if [ "$waited" -ge 100 ]; then echo 'the bench did not start' >&2; exit 3; fi
  sleep 0.1 2>/dev/null || sleep 1
  waited=$((waited + 1))
done
"""


def follow(job: str, offset: int) -> str:
    """Print a job's log from byte ``offset`` on until the job has ended, and then how it ended."""
    return f"""{_COMMON}
job="$cache/jobs/{job}"
cd "$job" || exit 3
at={offset}
pid=$(number "$job")
running=yes
is_running "$job" || running=
while :; do
  # Asked before the log is read: what is written last is then read as well.
  if [ -f exit ] || ! kill -0 "$pid" 2>/dev/null; then running=; fi
  size=$(wc -c <log) || exit 3
  if [ "$size" -gt "$at" ]; then
    tail -c "+$((at + 1))" log | head -c "$((size - at))"
    at=$size
  fi
  [ -n "$running" ] || break
  sleep {POLL_SECONDS:g}
done
printf '\\n{END_MARK}\\n'
{_END}
"""


def stop(job: str) -> str:
    """End a job and everything that it started, and print how it ended.

    It gets time to clean up.
    """
    return f"""{_COMMON}
job="$cache/jobs/{job}"
if is_running "$job"; then
  group=$(number "$job")
  # The one form for a group that dash, bash and BusyBox all take.
  kill -TERM "-$group"
  waited=0
  while kill -0 "-$group" 2>/dev/null; do
    [ "$waited" -lt {STOP_SECONDS} ] || kill -KILL "-$group" 2>/dev/null
    [ "$waited" -lt {2 * STOP_SECONDS} ] || break
    sleep 1
    waited=$((waited + 1))
  done
fi
{_END}
"""


def remove(job: str) -> str:
    """Remove a job that has ended."""
    return f"""{_COMMON}
is_running "$cache/jobs/{job}" || rm -rf "$cache/jobs/{job}"
"""


def install(wheel: str, extras: Sequence[str], mark: str) -> str:
    """Install a wheel that lies in the cache into the virtual environment, which may be new.

    Args:
        wheel: Its file name.
        extras: Of edgevit.
        mark: Kept in the environment once everything is installed.
    """
    wanted = f"[{','.join(extras)}]" if extras else ""
    return f"""{_COMMON}
wheel="$cache/{wheel}"
trap 'rm -f "$wheel"' EXIT
fail() {{ echo "$1" >&2; exit 3; }}
command -v python3 >/dev/null || fail 'there is no python3: sudo apt install python3-venv'
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail "$(python3 --version) is too old, edgevit needs 3.10"
python3 -c 'import ensurepip, venv' 2>/dev/null ||
  fail 'its python3 has no venv: sudo apt install python3-venv'
rm -f "$venv/edgevit.txt"
[ -x "$venv/bin/pip" ] || python3 -m venv --clear "$venv" >&2 || exit 3
pip() {{ "$venv/bin/python" -m pip --quiet --disable-pip-version-check install "$@" >&2; }}
pip "$wheel{wanted}" || exit 3
# The same version from other sources is not the same.
pip --no-deps --no-index --force-reinstall "$wheel" || exit 3
echo {shlex.quote(mark)} >"$venv/edgevit.txt"
"""
