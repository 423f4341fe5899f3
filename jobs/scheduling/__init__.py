"""The scheduler: claim, call, apply, observe, finish. Truth is in the tables; any number may run at once.

No provider is called inside a transaction, and every answer is applied under the execution's own uuid,
by compare and set: what a crash leaves between two steps is found by that uuid and taken up again.
The cost of a pass depends on what it claims and on what is active, never on the queue or on history.
"""

from jobs.scheduling.applying import apply, conclude
from jobs.scheduling.calling import hand_over, pass_on_cancels
from jobs.scheduling.claiming import CLAIM_AT_MOST, claim
from jobs.scheduling.copying import copy_outputs
from jobs.scheduling.machines import end_machine, execution_of_machine
from jobs.scheduling.watching import Watch, observe, observe_cloud, wake_delayed

__all__ = [
    "CLAIM_AT_MOST",
    "Watch",
    "apply",
    "claim",
    "conclude",
    "copy_outputs",
    "end_machine",
    "execution_of_machine",
    "hand_over",
    "observe",
    "observe_cloud",
    "pass_on_cancels",
    "wake_delayed",
]
