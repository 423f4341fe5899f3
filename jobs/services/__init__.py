"""Every write of jobs."""

from jobs.services.cancel import cancel_jobs, requeue_jobs
from jobs.services.closing import follow_closings, stop_all_of
from jobs.services.dry_run import MOST_FORECAST, Forecast, dry_run
from jobs.services.failure_rules import facts_of_failures, name_cluster, rename_failures, unname_cluster
from jobs.services.failures import Told, cluster_failures, note_failures, put_off_failures, waiting_failures
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
from jobs.services.gates import facts_of as facts_of_cap
from jobs.services.gates import lift_cap, set_cap
from jobs.services.holds import facts_of_hold, hold_jobs, lift_hold, place_hold, refresh_lanes, release_jobs
from jobs.services.ladder import leave_crowded
from jobs.services.load import count_lanes, sample_load, sample_throughput
from jobs.services.mapreduce import MapReduceWish, look_again, look_for_input, mapreduce_request, submit_mapreduce
from jobs.services.mapreduce_steps import advance_mapreduce
from jobs.services.move import move, move_executions
from jobs.services.operations import carry_on, carry_on_forgotten, select_jobs, start_operation, stop_operation
from jobs.services.places import report_place
from jobs.services.placing import ANYWHERE
from jobs.services.policies import clear_job_type_policy, set_job_type_policy
from jobs.services.requests import JobRequest
from jobs.services.retry import retry_job, submit_again
from jobs.services.seeds import SeedWish, seed_requests
from jobs.services.snapshots import price_executions
from jobs.services.spending import (
    drop_spend_gate,
    forget_reservations,
    note_spent,
    set_spend_gate,
    settle_reservations,
)
from jobs.services.steer import set_priority
from jobs.services.submit import Submitted, submit_jobs
from jobs.services.unmet import refresh_unmet
from jobs.services.where import check_place

__all__ = [
    "ANYWHERE",
    "MOST_FORECAST",
    "Forecast",
    "JobRequest",
    "MapReduceWish",
    "SeedWish",
    "Submitted",
    "Told",
    "advance_mapreduce",
    "cancel_jobs",
    "carry_on",
    "carry_on_forgotten",
    "check_place",
    "clear_job_type_policy",
    "cluster_failures",
    "count_lanes",
    "delete_file",
    "drop_spend_gate",
    "dry_run",
    "edit_file",
    "facts_of_cap",
    "facts_of_failures",
    "facts_of_hold",
    "fold_counts",
    "follow_closings",
    "forget_reservations",
    "hold_jobs",
    "leave_crowded",
    "lift_cap",
    "lift_hold",
    "look_again",
    "look_for_input",
    "mapreduce_request",
    "max_upload_bytes",
    "measure_file",
    "move",
    "move_executions",
    "name_cluster",
    "note_failures",
    "note_spent",
    "place_hold",
    "price_executions",
    "put_off_failures",
    "refresh_lanes",
    "refresh_unmet",
    "register_file",
    "release_jobs",
    "rename_failures",
    "report_place",
    "requeue_jobs",
    "retry_job",
    "sample_load",
    "sample_throughput",
    "seed_requests",
    "select_jobs",
    "set_cap",
    "set_job_type_policy",
    "set_priority",
    "set_spend_gate",
    "settle_reservations",
    "shown_media_type",
    "start_operation",
    "stop_all_of",
    "stop_operation",
    "submit_again",
    "submit_jobs",
    "submit_mapreduce",
    "unname_cluster",
    "upload_file",
    "waiting_failures",
]
