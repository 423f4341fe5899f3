"""The functions that django-q2 may run for jobs: thin, idempotent, bounded. The table is settings.TASKS."""

from __future__ import annotations

from django.conf import settings

from clusters.queries import local_provider
from controlplane.core.resident import is_stopping, touch
from jobs import clouds, failures, retention, services
from jobs.pulse import Pulse
from jobs.services import recipes
from jobs.services.places import place_id

PULSE_BEAT = "pulse.beat"
CLOUDS_BEAT = "clouds.beat"
CANARY_BEAT = "work.beat"


def run_pass() -> None:
    """Schedule the jobs of this machine for a term."""
    place = place_id("local", settings.LOCAL_REGION)
    pulse = Pulse(place, local_provider(), beat=lambda: touch(PULSE_BEAT), queue=settings.PULSE)
    pulse.run(is_stopping)


def run_clouds() -> None:
    """Call the clouds for a term."""
    clouds.run(is_stopping, lambda: touch(CLOUDS_BEAT), clouds.callers())


def answer_canary() -> None:
    """Show that the cluster `work` still takes tasks."""
    touch(CANARY_BEAT)


def sweep() -> None:
    """Make the hints of lanes and job types true again, and take up, or let go of, what nobody works on."""
    services.refresh_lanes()
    services.refresh_unmet()
    services.carry_on_forgotten()
    services.look_again()
    services.forget_reservations()


def follow_closings() -> None:
    """Start to stop what runs of those whose accounts were closed."""
    services.follow_closings()


def stop_all_of(user_id: int) -> None:
    """Stop what runs of somebody whose account was closed."""
    services.stop_all_of(user_id)


def look_for_input(job_id: int) -> None:
    """Find what a MapReduce job is to read, and queue its first tasks."""
    services.look_for_input(job_id)


def carry_on(operation_id: int) -> None:
    """Work on an operation for a while."""
    services.carry_on(operation_id)


def group_failures() -> None:
    """Find what failures have in common."""
    failures.group_failures()


def rename_failures(cluster_id: int, after: int = 0) -> None:
    """Give the failed jobs of a cluster the error that staff have named."""
    services.rename_failures(cluster_id, after=after)


def sample_load() -> None:
    """Note how many jobs wait, run and have come to an end."""
    services.sample_load()
    services.sample_throughput()


def count_lanes() -> None:
    """Count what waits and what is active."""
    services.count_lanes()


def price_executions() -> None:
    """Keep the price of executions that have ended."""
    services.price_executions()


def fold_counts() -> None:
    """Add up what moved of job types' jobs."""
    services.fold_counts()


def advance_recipe(recipe_id: int) -> None:
    """Do what can be done of a recipe, now that something of it has moved."""
    recipes.advance_recipe(recipe_id)


def advance_stuck_recipes() -> None:
    """Take up recipes whose wake-up was lost."""
    recipes.advance_stuck()


def apply_retention() -> None:
    """Delete what is older than settings.RETENTION_DAYS says, a bounded number of rows at a time."""
    retention.delete_old_rows()
    retention.forget_copied_outputs()
