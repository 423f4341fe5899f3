"""Every write of jobs."""

from jobs.services.cancel import cancel_jobs, retry_job
from jobs.services.gates import lift_cap, lift_hold, place_hold, refresh_lanes, set_cap
from jobs.services.move import move, move_executions
from jobs.services.places import report_place
from jobs.services.submit import JobRequest, Submitted, submit_jobs

__all__ = [
    "JobRequest",
    "Submitted",
    "cancel_jobs",
    "lift_cap",
    "lift_hold",
    "move",
    "move_executions",
    "place_hold",
    "refresh_lanes",
    "report_place",
    "retry_job",
    "set_cap",
    "submit_jobs",
]
