"""The states of containers, of what stands of them at places, and of rollouts. Plain Python: no Django here."""

from __future__ import annotations

from typing import Final

from controlplane.core.machine import Machine

PENDING: Final = "PENDING"  # to be asked for at its place
CREATING: Final = "CREATING"  # asked for, and not ready yet
RUNNING: Final = "RUNNING"
UNHEALTHY: Final = "UNHEALTHY"  # runs, or ran, and is not well; the place tries on
RECONFIGURING: Final = "RECONFIGURING"  # a new configuration is on its way
STOPPING: Final = "STOPPING"
STOPPED: Final = "STOPPED"
DELETING: Final = "DELETING"
DELETED: Final = "DELETED"
FAILED: Final = "FAILED"  # given up until somebody changes, starts or deletes it

_GOING: Final = frozenset({STOPPING, DELETING, FAILED})
CONTAINER: Final = Machine(
    {
        PENDING: frozenset({CREATING, RUNNING}) | _GOING,
        CREATING: frozenset({RUNNING, UNHEALTHY}) | _GOING,
        RUNNING: frozenset({UNHEALTHY, RECONFIGURING}) | _GOING,
        UNHEALTHY: frozenset({RUNNING, RECONFIGURING}) | _GOING,
        RECONFIGURING: frozenset({RUNNING, UNHEALTHY}) | _GOING,
        STOPPING: frozenset({STOPPED, DELETING, FAILED}),
        STOPPED: frozenset({PENDING, DELETING}),
        DELETING: frozenset({DELETED, FAILED}),
        DELETED: frozenset(),
        FAILED: frozenset({PENDING, STOPPING, DELETING}),
    }
)
CONTAINER_STATES: Final = tuple(CONTAINER.moves)
# Somebody is at it: nothing else may be changed.
CHANGING: Final = (PENDING, CREATING, RECONFIGURING, STOPPING, DELETING)
UP: Final = (RUNNING, UNHEALTHY)
# What a container is to be, whatever it is.
UP_WANTED, DOWN_WANTED, GONE_WANTED = "RUNNING", "STOPPED", "DELETED"
DESIRED: Final = (UP_WANTED, DOWN_WANTED, GONE_WANTED)

# What a cluster is, in Fishjam's words, by its containers.
CLUSTER_STATES: Final = ("idle", "pending", "running", "reconfiguring", "degraded", "failed")

WISHED: Final = "WISHED"  # to be provisioned; perhaps it has been
STANDING: Final = "STANDING"
LEAVING: Final = "LEAVING"  # to be retired; perhaps it has been
GONE: Final = "GONE"

PLACEMENT: Final = Machine(
    {
        WISHED: frozenset({STANDING, LEAVING}),
        STANDING: frozenset({LEAVING}),
        LEAVING: frozenset({GONE}),
        GONE: frozenset(),
    }
)
PLACEMENT_STATES: Final = tuple(PLACEMENT.moves)
HELD: Final = (WISHED, STANDING)
THERE: Final = (WISHED, STANDING, LEAVING)

ROLLING: Final = "ROLLING"
PAUSED: Final = "PAUSED"
COMPLETED: Final = "COMPLETED"
ROLLED_BACK: Final = "ROLLED_BACK"
SUPERSEDED: Final = "SUPERSEDED"  # the cluster was given another version meanwhile

ROLLOUT: Final = Machine(
    {
        ROLLING: frozenset({PAUSED, COMPLETED, ROLLED_BACK, SUPERSEDED}),
        PAUSED: frozenset({ROLLING, SUPERSEDED}),
        COMPLETED: frozenset(),
        ROLLED_BACK: frozenset(),
        SUPERSEDED: frozenset(),
    }
)
ROLLOUT_STATES: Final = tuple(ROLLOUT.moves)
ROLLOUT_OPEN: Final = (ROLLING, PAUSED)
