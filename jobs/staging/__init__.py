"""What stands around a job's command: its input is brought to the place, its output is kept afterwards.

Of Seed jobs and of tasks of MapReduce jobs. `bringing` and `keeping`, `tasks`, and `cloud_tasks` move bytes, each for
one execution, outside of any transaction and safe to be done twice; `works` makes of an execution what a provider
runs; `facts` are a Seed job's manifest and configuration.
"""

from __future__ import annotations

from collections.abc import Callable

from jobs.models import TASKS, Execution
from jobs.staging import bringing, cloud_tasks, keeping, tasks
from jobs.staging.cloud_tasks import clear_leftovers as clear_cloud_leftovers
from jobs.staging.facts import StagingFault, error_of_exit, manifest_of
from jobs.staging.keeping import Kept, described
from jobs.staging.rooms import Room, room_of, rooms
from jobs.staging.tasks import clear_leftovers
from jobs.staging.works import works

__all__ = [
    "Kept",
    "Room",
    "StagingFault",
    "bring",
    "clear_cloud_leftovers",
    "clear_leftovers",
    "described",
    "error_of_exit",
    "keep",
    "manifest_of",
    "room_of",
    "rooms",
    "works",
]


def bring(execution: Execution, alive: Callable[[], None]) -> None:
    """Make the execution's room and bring its input there. Loaded with it: its place, and its job.

    `alive` is called often, and raises when somebody else has taken over. Raises StagingFault; whatever it
    raises, the room may be half made. At a cloud StorageUnavailable, too: to be called again soon.
    """
    if execution.job.shape not in TASKS:
        bringing.bring(execution, alive)
    elif execution.place.is_cloud:
        cloud_tasks.bring(execution, alive)
    else:
        tasks.bring(execution, alive)


def keep(execution: Execution, alive: Callable[[], None]) -> Kept:
    """Store what the execution has left in its room. Loaded with it: its place, its job, and that job's type.

    Stored twice, it is the same. `alive` as in `bring`. Raises StagingFault, and StorageUnavailable as `bring`.
    """
    if execution.job.shape not in TASKS:
        return keeping.keep(execution, alive)
    return cloud_tasks.keep(execution, alive) if execution.place.is_cloud else tasks.keep(execution, alive)
