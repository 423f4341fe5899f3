"""What jobs write: read piece by piece, or followed live. One cursor serves both. And what keeps them.

`read` gives what there is after a cursor, `text` a whole output, `tail` its end, `ends` those of one execution;
`follow` tells of a job as it goes; `explain` why it is where it is; `probe` whether its place is as it has to be. The
modules inside are for nobody else.
`read` gives what there is after a cursor, `text` a whole output, `tail` its end; `follow` tells of a job as it goes,
`follow_changes` that something of a MapReduce job or a recipe has changed; `explain` why a job is where it is; `probe`
whether its place is as it has to be. The modules inside are for nobody else.
"""

from jobs.following.changes import Changed, Kind, follow_changes
from jobs.following.cursors import Cursor
from jobs.following.facts import ExecutionFacts, JobFacts, look
from jobs.following.links import link_of
from jobs.following.outputs import Page, read, tail, text
from jobs.following.probes import probe
from jobs.following.stream import End, Log, Ping, Reconnect, Status, Told, follow
from jobs.following.tails import ends
from jobs.following.words import explain

__all__ = [
    "Changed",
    "Cursor",
    "End",
    "ExecutionFacts",
    "JobFacts",
    "Kind",
    "Log",
    "Page",
    "Ping",
    "Reconnect",
    "Status",
    "Told",
    "ends",
    "explain",
    "follow",
    "follow_changes",
    "link_of",
    "look",
    "probe",
    "read",
    "tail",
    "text",
]
