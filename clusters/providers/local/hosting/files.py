"""Where services are kept on disk: what is wanted, and what each run of it was and wrote.

    ROOT/runner.lock  runner.sock  runner.log
    ROOT/<name>/            one folder for each service, named by its UUID
        wanted              what is to run; while it is there the service stands
        <n>/                run n, with the newest in the highest
            plan            its revision, host ports and count; written before anything is started
            started  stdout  stdout.cut  exit  work/      as of a job (`local.folders`), both streams in `stdout`
    ROOT/trash/             what is being deleted

`wanted` has the environment, secrets and all: a service is to be started again when nobody is there who could tell them
once more, after a reboot say. It and all folders are readable by our user only, and it goes when the service is
retired. Only the supervisor writes here.
"""

from __future__ import annotations

import json
import os
import re
from typing import Final, NamedTuple

from clusters.providers.local import folders
from clusters.providers.local.hosting.wishes import Wish, wish
from clusters.providers.local.line import Malformed

WANTED: Final = "wanted"
PLAN: Final = "plan"
OUTPUT: Final = "stdout"
TRASH: Final = folders.TRASH

_RUN = re.compile(r"[1-9][0-9]{0,17}")


class Record(NamedTuple):
    """Content of `wanted`.

    `serving` is the configuration that runs, `is_proven` whether it was ever ready; `coming` one that is to take its
    place. `given_up` says why what was asked for last will not be; nothing runs then where `serving` is not proven.
    `since` (seconds since the epoch) is when it was provisioned.
    """

    since: float
    serving: Wish | None
    is_proven: bool = False
    coming: Wish | None = None
    given_up: str = ""
    is_retired: bool = False


class Plan(NamedTuple):
    """Content of `plan`. `restarts`: how often the service had been started again by then."""

    revision: str
    host: str
    ports: dict[int, int]
    restarts: int
    is_isolated: bool


def names(root: str) -> list[str]:
    """Of all services that stand or whose output is kept."""
    try:
        return [name for name in os.listdir(root) if folders.is_execution_id(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def stands(folder: str) -> bool:
    """Whether a service stands there."""
    return os.path.exists(f"{folder}/{WANTED}")


def run_name(name: str, number: int) -> str:
    """What a run of a service is called: no other, of whichever service, is called so."""
    return f"{name}-{number}"


def runs(folder: str) -> list[int]:
    """The numbers of the runs there are, the oldest first."""
    try:
        return sorted(int(name) for name in os.listdir(folder) if _RUN.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def write_record(folder: str, record: Record) -> None:
    """Have `record` on disk, whatever happens from now on."""
    os.makedirs(folder, 0o700, exist_ok=True)
    texts = {"serving": record.serving and record.serving.text, "coming": record.coming and record.coming.text}
    folders.write_whole(f"{folder}/{WANTED}", json.dumps({**record._asdict(), **texts}), synced=True)
    _sync(folder)


def remove_record(folder: str) -> None:
    """Have no record, and so no service."""
    os.unlink(f"{folder}/{WANTED}")
    _sync(folder)


def read_record(folder: str) -> Record | None:
    """What is wanted; None when nothing is. Raises Malformed when what is there was not written here."""
    found = folders.read_record(f"{folder}/{WANTED}")
    if found is None:
        return None
    if found.keys() != {*Record._fields}:
        raise Malformed(f"{folder}/{WANTED} cannot be read")
    serving, coming = (text and wish(text) for text in (found["serving"], found["coming"]))
    return Record(**{**found, "serving": serving, "coming": coming})  # type: ignore[arg-type]


def write_plan(folder: str, plan: Plan) -> None:
    """Put it into a run's folder, which is made."""
    os.mkdir(folder, 0o700)
    folders.write_whole(f"{folder}/{PLAN}", json.dumps(plan._asdict()))


def read_plan(folder: str) -> Plan | None:
    """What the run is of; None when it came to nothing."""
    found = folders.read_record(f"{folder}/{PLAN}")
    if not found or found.keys() != {*Plan._fields}:
        return None
    ports = {int(number): int(port) for number, port in found["ports"].items()}  # type: ignore[attr-defined]
    return Plan(**{**found, "ports": ports})  # type: ignore[arg-type]


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
