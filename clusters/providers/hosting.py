"""What a place does for containers that run on until they are told to go. These docstrings are the specification.

`tests/clusters/hosting_contract.py` holds one test class that runs against every one. As in `clusters.providers.base`,
nothing here knows Django: plain values in and out, and the errors of `clusters.providers.errors`. No call is made while
a database transaction is open.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from clusters.providers.base import LogPage, Probe
from clusters.providers.fingerprints import fingerprint


class Protocol(enum.StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the container listens on. Who may reach it is the place's to say.

    Where containers share a machine's ports, as processes on ours do, it is another one there (`Address.ports`), which
    the container is told of and has to take: `PORT_<number>` in its environment, and `PORT` for the first of its ports.
    They win over those of `env`. Elsewhere there are no such variables.
    """

    number: int
    protocol: Protocol = Protocol.TCP


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What the place tries again and again to see whether the container is well. One of three:

    * `command`: run in the container; exit code 0 tells that it is well;
    * `port` and `path`: GET by HTTP; a status from 200 to 399 tells it;
    * `port` alone: that it takes connections tells it.

    After `retries` others in a row it is not well, and is replaced. Those of its first `start_seconds` do not count.
    A place that can only run commands tries a port by the image's own `curl`, `wget`, `nc` or `bash`.
    """

    command: Sequence[str] = ()
    port: int | None = None
    path: str = ""
    interval_seconds: int = 30
    timeout_seconds: int = 5
    retries: int = 3
    start_seconds: int = 0

    def __post_init__(self) -> None:
        if bool(self.command) == (self.port is not None) or (self.path and self.port is None):
            raise ValueError("a health check is a command, or a port with or without a path")


@dataclass(frozen=True, slots=True)
class Service:
    """One container that is wanted, always: when it ends, for whatever reason, the place starts it again.

    `name` (a UUID's text) names it at the place, and no two have the same. `command` takes the place of the image's
    own, behind its entrypoint if it has one; none: the image's own. Sizes may be rounded up. `customer` is who it is
    for, which decides the account it runs in, where places have several.

    The container finds `env` and `secrets` in its environment. Values of `env` can be read by whoever may look at
    containers there; those of `secrets` are kept, where the place can, so that only the container's start reads them.
    They are to be long and random: the revision would tell who guesses one that he has guessed right.
    """

    name: str
    image: str
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    vcpus_milli: int = 1000
    memory_mib: int = 2048
    ports: Sequence[Port] = ()
    health_check: HealthCheck | None = None
    customer: str = ""

    @property
    def revision(self) -> str:
        """Names the configuration: all of it but who it is. The same configuration has the same, today and later."""
        check = self.health_check
        return fingerprint(
            {
                "image": self.image,
                "command": list(self.command),
                "env": dict(self.env),
                "secrets": dict(self.secrets),
                "size": [self.vcpus_milli, self.memory_mib],
                "ports": [[port.number, port.protocol.value] for port in self.ports],
                "health_check": check
                and [
                    list(check.command),
                    *([check.port, check.path] if check.port is not None else []),
                    check.interval_seconds,
                    check.timeout_seconds,
                    check.retries,
                    check.start_seconds,
                ],
            }
        )


class ServicePhase(enum.StrEnum):
    """How it stands with a container that is wanted, or was."""

    PROVISIONING = "provisioning"  # nothing of it runs yet, or just now; the place tries on
    RUNNING = "running"
    STOPPING = "stopping"  # retired, and not gone yet
    FAILED = "failed"  # nothing of it runs, and the place has given up until it is configured anew
    GONE = "gone"  # nothing stands there under this handle, any more or at all
    UNKNOWN = "unknown"  # the place does not let us look, for a reason that is this one's customer's only


@dataclass(frozen=True, slots=True)
class Address:
    """Where a container is reached: an IP address or a host's name.

    `is_public`: from everywhere, and not only from the place's own network. `ports` has those ports of the container
    that are another one there; all others are the same.
    """

    host: str
    is_public: bool
    ports: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceObservation:
    """What a place says of one container: times are aware UTC and the place's own.

    `run` names the present run of it: after a restart it has another. `restarts` is how many there were, None where
    the place does not count. `addresses`, those from everywhere first, `started_at`, `revision` and `is_healthy` are
    those of the run that serves: while a new configuration comes, of the old one until the new one is ready. Without
    a health check, and until it has told for the first time, `is_healthy` is None.

    `revision` is that of the configuration that runs, `wanted` of that which the place works towards: another while
    it changes, and "" when the place has given that up. So a new configuration that failed is seen by `wanted`, which
    is not what was asked for any more, while the old one runs on.

    `lacks_room`: it has not started because there is no room there now; the place tries on. `detail` is the place's
    own words on what is not as wanted, kept verbatim.
    """

    handle: str
    phase: ServicePhase
    run: str = ""
    started_at: datetime | None = None
    addresses: Sequence[Address] = ()
    is_healthy: bool | None = None
    revision: str = ""
    wanted: str = ""
    restarts: int | None = None
    lacks_room: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of output without its end. `written_at` is when the place got it, None where places keep no times."""

    text: str
    written_at: datetime | None = None


class Hosting(ABC):
    """A place that keeps containers running. What is provisioned there has a handle (255 characters at most).

    Every method but `link` may call the place, and takes CALL_SECONDS at most for each call that it makes. They raise
    the errors of `clusters.providers.errors`. One object may be used by several threads.
    """

    CALL_SECONDS: ClassVar[float] = 15.0
    LINES_AT_MOST: ClassVar[int] = 50_000  # that `newest_lines` goes back
    cloud: ClassVar[str]  # as places name it

    @property
    @abstractmethod
    def region(self) -> str:
        """As places name it."""

    @abstractmethod
    def provision(self, service: Service) -> str:
        """Have `service` run from now on; its handle, which follows from name and customer. Returns fast.

        Idempotent by name, whatever of it was lost or broke off: twice is once. One that stands there already is left
        as it is, though it be of another configuration. A name that was retired may be used again: NotYet until what
        stood there is gone.

        Raises NoCapacity, Throttled, AuthFailed or Refused when nothing has been started, and any other ProviderError
        when that is not known.
        """

    @abstractmethod
    def observe(self, handles: Sequence[str]) -> list[ServiceObservation]:
        """How each stands now. What can be no handle of this place is left out; all others are told of.

        A place may take seconds to show what was provisioned: only GONE for longer than that is to be believed.

        Those in an account of a customer's that refuses us are UNKNOWN, with its words.
        """

    @abstractmethod
    def reconfigure(self, handle: str, service: Service) -> None:
        """Have what `handle` names run as `service` says, which has the same name and customer. Returns fast.

        Where the place can, the old one serves until the new one is ready; where the new one does not come up, the
        old one stays. Idempotent; what has FAILED is tried anew. Raises NotFound when there is none, or it is retired.
        """

    @abstractmethod
    def retire(self, handles: Sequence[str]) -> None:
        """Have each stopped, politely, then by force, and removed with all that was made for it but its output.

        Returns fast: they are STOPPING, then GONE. Unknown ones and those that are gone are left alone. Done again, it
        goes on where it broke off.
        """

    @abstractmethod
    def standing(self) -> Mapping[str, str]:
        """Handles of all that stand there for us, and their names, so that nobody's are found. Not those that stop.

        Those in accounts that do not let us look are left out.
        """

    @abstractmethod
    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        """Output of a run, of its newest when none is named, as Provider.logs; both streams in one.

        A cursor is of one run: who reads on names the run. Of one that has written nothing yet: an empty page that has
        not ended. Raises NotFound when there is nothing of this handle, and no output of it any more.
        """

    def newest_lines(self, handle: str, start: datetime, end: datetime) -> Iterator[Line]:
        """The lines that were written from `start` to before `end`, the newest first, LINES_AT_MOST of them at most.

        A place that keeps when lines were written tells those of all runs, and asks for older ones as they are taken.
        One that keeps no times tells all lines of the newest run, for which all of it is read. Raises as `logs`, but
        may tell none of a handle that nothing is known of.
        """
        seen = next(iter(self.observe([handle])), None)
        run, after, rest = seen.run if seen else "", 0, ""
        lines: deque[str] = deque(maxlen=self.LINES_AT_MOST)
        while True:
            page = self.logs(handle, after, run=run)
            *whole, rest = (rest + page.text).split("\n")
            lines.extend(whole)
            if page.next_after == after:
                break
            after = page.next_after
        if rest:
            lines.append(rest)
        return map(Line, reversed(lines))

    @abstractmethod
    def explain(self, handle: str) -> str:
        """Where it stands, what it waits for and how its last runs ended, in the place's own words; empty: no words."""

    @abstractmethod
    def probe(self, customer: str = "") -> list[Probe]:
        """All that the place has to have and permit for this, tried as Cloud.probe does."""

    @abstractmethod
    def link(self, handle: str) -> str:
        """The address of its page in the place's console, "" where there is none. No credentials in it."""

    def log_link(self, handle: str, run: str) -> str:
        """The address of a run's output in the place's console, "" where there is none. No credentials in it."""
        return ""
