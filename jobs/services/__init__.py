"""Every write of jobs."""

from jobs.services.cancel import cancel_jobs, requeue_jobs, retry_job
from jobs.services.files import (
    delete_file,
    edit_file,
    max_upload_bytes,
    measure_file,
    register_file,
    shown_media_type,
    upload_file,
)
from jobs.services.fold import fold_counts
from jobs.services.gates import lift_cap, set_cap
from jobs.services.holds import hold_jobs, lift_hold, place_hold, refresh_lanes, release_jobs
from jobs.services.load import sample_load
from jobs.services.move import move, move_executions
from jobs.services.operations import carry_on, carry_on_forgotten, select_jobs, start_operation, stop_operation
from jobs.services.places import report_place
from jobs.services.seeds import SeedWish, seed_requests
from jobs.services.steer import set_priority
from jobs.services.submit import JobRequest, Submitted, submit_jobs
from jobs.services.unmet import refresh_unmet

__all__ = [
    "JobRequest",
    "SeedWish",
    "Submitted",
    "cancel_jobs",
    "carry_on",
    "carry_on_forgotten",
    "delete_file",
    "edit_file",
    "fold_counts",
    "hold_jobs",
    "lift_cap",
    "lift_hold",
    "max_upload_bytes",
    "measure_file",
    "move",
    "move_executions",
    "place_hold",
    "refresh_lanes",
    "refresh_unmet",
    "register_file",
    "release_jobs",
    "report_place",
    "requeue_jobs",
    "retry_job",
    "sample_load",
    "seed_requests",
    "select_jobs",
    "set_cap",
    "set_priority",
    "shown_media_type",
    "start_operation",
    "stop_operation",
    "submit_jobs",
    "upload_file",
]
