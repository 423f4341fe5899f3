"""What stands around a Seed job's command: its input is brought to the place, its output is kept afterwards.

`bringing` and `keeping` move bytes, each for one execution, outside of any transaction and safe to be done
twice; `works` makes of an execution what a provider runs; `facts` are the manifest and the configuration.
"""

from jobs.staging.bringing import bring
from jobs.staging.facts import StagingFault, error_of_exit, manifest_of
from jobs.staging.keeping import Kept, described, keep
from jobs.staging.rooms import Room, room_of, rooms
from jobs.staging.works import works

__all__ = [
    "Kept",
    "Room",
    "StagingFault",
    "bring",
    "described",
    "error_of_exit",
    "keep",
    "manifest_of",
    "room_of",
    "rooms",
    "works",
]
