"""Every write of jobs."""

from jobs.services.cancel import cancel_jobs, requeue_jobs, retry_job
from jobs.services.gates import lift_cap, set_cap
from jobs.services.holds import hold_jobs, lift_hold, place_hold, refresh_lanes, release_jobs
from jobs.services.load import sample_load
from jobs.services.move import move, move_executions
from jobs.services.operations import carry_on, carry_on_forgotten, select_jobs, start_operation, stop_operation
from jobs.services.places import report_place
from jobs.services.steer import set_priority
from jobs.services.submit import JobRequest, Submitted, submit_jobs

__all__ = [
    "JobRequest",
    "Submitted",
    "cancel_jobs",
    "carry_on",
    "carry_on_forgotten",
    "hold_jobs",
    "lift_cap",
    "lift_hold",
    "move",
    "move_executions",
    "place_hold",
    "refresh_lanes",
    "release_jobs",
    "report_place",
    "requeue_jobs",
    "retry_job",
    "sample_load",
    "select_jobs",
    "set_cap",
    "set_priority",
    "start_operation",
    "stop_operation",
    "submit_jobs",
]
