"""What every provider does for jobs. These docstrings are the specification.

`tests/clusters/provider_contract.py` holds one test class that runs against every provider. Nothing
here knows Django: a provider gets plain values and gives plain values, and raises the errors of
`clusters.providers.errors`. No call is made while a database transaction is open.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final

# The kinds of machines that may be asked for, and under which name the settings have a queue of such: spot ones may be
# taken back at any time.
CAPACITY_QUEUES: Final = {"spot": "SPOT", "on-demand": "ON_DEMAND"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the place, shown to an execution at `target`. Both are absolute paths.

    A runtime that runs commands as they are, without isolation, can only show a thing where it lies.
    """

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that a container engine makes for an execution by one of its drivers ("" is the engine's own)."""

    target: str
    driver: str = ""
    driver_options: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """One execution to run. `execution_id` (a UUID's text) names it at the provider, and no two works share it.

    `command` is the program and its arguments; with `image_entrypoint` it is only the arguments of the
    program that the image names, where the runtime runs images. `shm_mib` is the size of /dev/shm, None for
    the runtime's own. Without `network` an isolated one sees none, not even this machine's loopback.

    For clouds: `queue` is the name of one of theirs, "" for that of the priority; `customer` is who it is for;
    `machine_image` and `user_data` take the place of image and command where a whole machine is asked for.
    `capacity` is the kind of machine, one of CAPACITY_QUEUES, "" as the place has it.
    """

    execution_id: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    vcpus_milli: int = 1000
    memory_mib: int = 512
    timeout_seconds: int | None = None
    priority: int = 100
    image_entrypoint: bool = False
    mounts: Sequence[Mount] = ()
    volumes: Sequence[Volume] = ()
    shm_mib: int | None = None
    gpus: int = 0
    network: bool = True
    queue: str = ""
    customer: str = ""
    machine_image: str = ""
    user_data: str = ""
    capacity: str = ""


class Phase(enum.StrEnum):
    """How far the provider has got with an execution."""

    WAITING = "waiting"  # handed over, not started
    RUNNING = "running"
    ENDED = "ended"


class End(enum.StrEnum):
    """Why an execution ended."""

    EXITED = "exited"  # by itself; the exit code tells how
    TIMED_OUT = "timed-out"  # stopped because it ran longer than its timeout
    CANCELED = "canceled"  # stopped, or never started, because we asked
    LOST = "lost"  # the provider, or the machine under it, forgot it
    INTERRUPTED = "interrupted"  # the provider took the machine away
    CANNOT_START = "cannot-start"  # the command or image could not be started


@dataclass(frozen=True, slots=True)
class Observation:
    """What a provider says of one execution: times are aware UTC and the provider's own.

    `exit_code` is the command's (128 + n when signal n ended it), None when there is none; `detail`
    is the provider's own words, kept verbatim; `node` names the machine or worker that ran it.
    """

    execution_id: str
    phase: Phase
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end: End | None = None
    exit_code: int | None = None
    detail: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a place can hold at once. `disk_free_mib` None: not the provider's to say."""

    vcpus_milli: int
    memory_mib: int
    disk_free_mib: int | None = None
    isolated: bool = True


@dataclass(frozen=True, slots=True)
class LogPage:
    """A piece of an execution's output. `next_after` is the cursor that continues it; `ended`: nothing follows."""

    text: str
    next_after: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at a place has found of one thing that it has to have or be allowed.

    `what` names it, as the cloud does where it has a name for it; `words` say how it is and, where it is wrong, what to
    do. `ok` None: it cannot be told without doing it, or could not be asked.
    """

    what: str
    ok: bool | None
    words: str


STREAMS: Final = ("stdout", "stderr")


class Provider(ABC):
    """A place where executions run."""

    cloud: ClassVar[str]  # as places name it

    @abstractmethod
    def run(self, works: Sequence[Work]) -> None:
        """Start `works`, or put them in line there. Returns fast.

        Idempotent by execution id: what was handed over before, whatever became of it, is not started
        again. Raises NoCapacity, Throttled, AuthFailed or Refused for the whole batch.
        """

    @abstractmethod
    def observe(self, execution_ids: Sequence[str]) -> list[Observation]:
        """The present phase of each. Ids the provider knows nothing of are left out of the answer."""

    @abstractmethod
    def cancel(self, execution_ids: Sequence[str]) -> None:
        """Ask for each to be stopped: politely, then by force. Returns fast.

        One that has not started never will, and is observed as ended, CANCELED. Ids the provider does
        not know are made so that they can never start there. Ended ones are left alone.
        """

    @abstractmethod
    def logs(self, execution_id: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        """Output of `stream` (one of STREAMS) from byte `after` on, at most `limit` bytes, as text.

        A cursor taken from one page continues with the next; what was cut for size is replaced by one
        line that says how much. Raises NotFound when the provider has no such execution.
        """

    @abstractmethod
    def tail(self, execution_id: str, stream: str, limit: int) -> str:
        """The last `limit` bytes or so of what `stream` has so far, as text. Raises NotFound as `logs` does."""

    @abstractmethod
    def explain(self, execution_id: str) -> str:
        """Where the execution stands, in the provider's own words. Empty when it has nothing to say."""

    @abstractmethod
    def capacity(self) -> Capacity:
        """What the place can hold now."""

    @abstractmethod
    def forget(self, execution_ids: Sequence[str]) -> None:
        """Delete what is kept of ended executions (logs, folders). Unknown ids are no error."""


class Streaming(ABC):
    """An ability: a provider that tells what happens as it happens, so that nobody has to poll."""

    @abstractmethod
    def fileno(self) -> int:
        """A file descriptor that becomes readable when there is something to read; -1 while there is none."""

    @abstractmethod
    def read(self) -> list[Observation]:
        """What has happened since the last call. Never blocks.

        Nothing is lost when it is not called: `observe` tells the same.
        """


class Cloud(ABC):
    """A region of a cloud: what is submitted there has a name of the cloud's own, its handle (255 characters at most).

    Every method but `group` and `link` calls the cloud, and takes CALL_SECONDS at most for each call that it makes.
    They raise the errors of `clusters.providers.errors`. One object may be used by several threads.

    The caller keeps a note of what it is about to submit under a name of its own; after a crash it asks `find`
    before it submits again. A note names one group of works, and its handles are in the order of the works.
    """

    CALL_SECONDS: ClassVar[float] = 15.0
    cloud: ClassVar[str]  # as places name it
    streams: ClassVar[tuple[str, ...]] = STREAMS  # those that it keeps apart; one that has only "stdout" joins both
    keeps_logs: ClassVar[bool] = True  # False: they go with the machine that ran it, so they are copied as they grow

    @property
    @abstractmethod
    def region(self) -> str:
        """As places name it."""

    @abstractmethod
    def group(self, works: Sequence[Work]) -> list[list[Work]]:
        """Sort `works` into groups, each of which `submit` takes at once. Calls nothing."""

    @abstractmethod
    def submit(self, name: str, works: Sequence[Work]) -> list[str]:
        """Start a group under `name` (a UUID's text), once; the handles, in the order of `works`.

        Raises NoCapacity, Throttled, AuthFailed or Refused when nothing has been started, and any other
        ProviderError when that is not known.
        """

    @abstractmethod
    def find(self, name: str, works: Sequence[Work]) -> list[list[str]]:
        """All that was ever started under `name`, the oldest first: more than one when it was submitted twice.

        Each as `submit` returned it.
        """

    @abstractmethod
    def observe(self, handles: Sequence[str]) -> list[Observation]:
        """The present phase of each; an observation's `execution_id` is the handle. Unknown ones are left out.

        Of those in an account of a customer's that refuses us nothing new is said: they are WAITING, with its words.
        """

    @abstractmethod
    def cancel(self, handles: Sequence[str]) -> None:
        """Stop each, whether it has started or not; it is then observed as ended, CANCELED.

        Unknown and ended ones are left alone.
        """

    @abstractmethod
    def logs(self, handle: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        """As Provider.logs. Of one that writes nothing yet: an empty page that has not ended."""

    @abstractmethod
    def explain(self, handle: str) -> str:
        """Where it stands and what it waits for, in the cloud's own words; empty when it has nothing to say."""

    @abstractmethod
    def capacity(self) -> Capacity:
        """What the region can hold for us at once, as it is set up."""

    def machines(self) -> Mapping[str, str]:
        """Handles of the machines that stand there for us and cost money, and the execution that each is for.

        None where works have no machines of their own.
        """
        return {}

    def machine(self, instance_id: str) -> str | None:
        """The handle of a machine of ours, by the cloud's own id of it; None while the cloud does not show it."""
        return None

    def tidy(self) -> None:  # noqa: B027 - most leave nothing
        """Remove what we have made there and need no more. Called now and then."""

    @abstractmethod
    def probe(self, customer: str = "") -> list[Probe]:
        """All that the region has to have and permit, tried by calls that change nothing; where `customer`'s jobs run.

        Raises nothing of the cloud's: what fails is told. It may take many calls.
        """

    @abstractmethod
    def link(self, handle: str) -> str:
        """The address of its page in the cloud's console. No credentials in it."""
