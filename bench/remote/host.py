"""A look at the other machine before anything is copied or run there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgevit.bench.remote import scripts
from edgevit.bench.remote.connection import Connection
from edgevit.errors import InputError
from edgevit.storage import FileRecord


@dataclass(frozen=True)
class JobState:
    """How a bench on the device stands.

    Attributes:
        name: ``none``, ``running``, ``finished`` or ``died`` (it has ended without an exit code:
            the power was cut, or it was killed).
        number: Its process group while it runs, its exit code when it has finished.
    """

    name: str
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> JobState:
        """Read what the scripts print, such as ``finished 0``."""
        name, _, number = text.partition(" ")
        return cls(name, int(number) if number.strip().isdecimal() else None)


NO_JOB = JobState("none")


@dataclass(frozen=True)
class Host:
    """What the look showed.

    Attributes:
        architecture: As ``uname -m`` says.
        python: Version of its ``python3``; empty where it has none.
        missing: Programs that it needs and lacks.
        edgevit: ``(version, path)`` of each edgevit, in the order of preference; the path of the
            one that ``--install`` made is its Python's.
        installed: What ``--install`` left behind last.
        has_pack: True if a whole copy of the pack lies there.
        jobs: By name.
    """

    name: str
    system: str
    architecture: str
    python: str
    missing: tuple[str, ...]
    edgevit: tuple[tuple[str, str], ...]
    installed: str
    has_pack: bool
    jobs: dict[str, JobState]

    def state_of(self, job: str) -> JobState:
        """Return how a job stands."""
        return self.jobs.get(job, NO_JOB)

    def refuse_unfit(self) -> None:
        """Check that a bench can run there at all.

        Raises:
            InputError: naming what is missing.
        """
        if self.system != "Linux":
            raise InputError(
                f"{self.name} runs {self.system}, a bench over ssh needs Linux",
                "Copy the pack there and run it by hand: edgevit bench PACK",
            )
        if self.missing:
            raise InputError(
                f"{self.name} has no {self.missing[0]}", f"Install {self.missing[0]} there"
            )

    def may_attach(self, job: str, *, resume: bool) -> bool:
        """Say whether the bench that is there is taken up.

        Raises:
            InputError: if a bench is running that would be disturbed.
        """
        for name, state in self.jobs.items():
            if name != job and state.name == "running":
                raise InputError(
                    f"another bench is running on {self.name}: both would be measured wrongly",
                    f"Wait for its end, or stop it: ssh {self.name} kill -TERM -{state.number}",
                )
        state = self.state_of(job)
        if state.name == "running" and not resume:
            raise InputError(
                f"this bench is running on {self.name} already",
                "Add --resume to follow and fetch it",
            )
        return resume and state.name in ("running", "finished")


def probe(connection: Connection, pack: FileRecord) -> Host:
    """Look at the other machine, in one connection.

    Raises:
        ConnectionLostError: if it cannot be reached.
        InputError: if it runs no scripts.
    """
    printed = connection.run(scripts.probe(pack)).decode(errors="replace")
    facts: dict[str, list[str]] = {}
    for line in printed.splitlines():
        key, _, value = line.partition("=")
        facts.setdefault(key, []).append(value)
    tools = (re.search(r"version (\S+) at (/.*)", text) for text in facts.get("edgevit", []))
    jobs = (text.split(" ", 1) for text in facts.get("job", []))
    return Host(
        name=connection.host,
        system=facts["system"][0],
        architecture=facts["architecture"][0],
        python=facts["python"][0],
        missing=tuple(facts.get("missing", ())),
        edgevit=tuple((tool[1], tool[2]) for tool in tools if tool),
        installed=facts["installed"][0],
        has_pack="pack" in facts,
        jobs={name: JobState.parse(state) for name, state in jobs},
    )
