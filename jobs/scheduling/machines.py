"""Machines that run a job: which one it is, and its end by its own word."""

from __future__ import annotations

from clusters.providers.base import Cloud, End, Observation, Phase
from clusters.queries import cloud_at, cloud_regions
from controlplane.core import instruments
from controlplane.core.errors import InvalidRequest
from jobs import states
from jobs.errors import ProviderNotConfigured, SpotNotVisible
from jobs.models import Execution
from jobs.scheduling.applying import apply

CLOUD = "aws"  # the one with machines of their own


def execution_of_machine(region: str, instance_id: str) -> Execution:
    """Which execution a machine runs, by the cloud's word.

    Raises SpotNotVisible while the cloud does not say it, ProviderNotConfigured, InvalidRequest for a region that
    there is none of, and the errors of providers.
    """
    cloud = _cloud(region)
    with instruments.provider_call(cloud.cloud, "machine"):
        handle = cloud.machine(instance_id)
    rows = Execution.objects.select_related("job", "place").filter(place__cloud=cloud.cloud, place__region=region)
    found = None if handle is None else rows.filter(handle=handle).first()
    if found is None:
        raise SpotNotVisible
    return found


def end_machine(execution: Execution) -> None:
    """The work of a machine is done: end its execution well, or as canceled if that was asked for, and terminate it.

    In this order, so that no crash makes a job that is done run again; a machine that stays is found by its tag.
    Done twice, it is the same. Raises the errors of providers.
    """
    cloud = _cloud(execution.place.region)
    canceling = execution.job.status == states.CANCELING
    end, code = (End.CANCELED, None) if canceling else (End.EXITED, 0)
    apply([Observation(str(execution.uuid), Phase.ENDED, execution.started_at, end=end, exit_code=code)])
    with instruments.provider_call(cloud.cloud, "cancel"):
        cloud.cancel([execution.handle])


def _cloud(region: str) -> Cloud:
    regions = [each for cloud, each in cloud_regions() if cloud == CLOUD]
    if not regions:
        raise ProviderNotConfigured(f"{CLOUD} is not configured here.", field="region")
    if region not in regions:
        raise InvalidRequest(f"There is no region {region[:64]!r} of {CLOUD}.", field="region")
    return cloud_at(CLOUD, region)
