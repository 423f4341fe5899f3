"""Policies, as jobs name them."""

from __future__ import annotations

from dataclasses import replace

from clusters.models import Source
from clusters.queries import CURRENCY
from controlplane.core.remembered import Remembered
from jobs import policy
from jobs.models import JobTypePolicy, Policy

_known: Remembered[int, policy.Policy] = Remembered()


def policy_of(policy_id: int | None) -> policy.Policy | None:
    """The policy of a row's id; None of no row."""
    if policy_id is None:
        return None
    if policy_id not in _known:
        _known.keep(policy_id, found := policy.stored_policy(Policy.objects.get(pk=policy_id).document))
        return found
    return _known[policy_id]


def policy_for(job_type_id: int, *, place_is_given: bool) -> policy.Policy | None:
    """What new jobs of a job type go by; where they run is said already if `place_is_given`."""
    row = JobTypePolicy.objects.filter(job_type=job_type_id).values_list("policy", flat=True).first()
    found = policy_of(row)
    if found is None or not place_is_given:
        return found
    without = replace(found, places=())
    return None if without == policy.Policy() else without


def why_here(found: policy.Policy, number: int) -> str:
    """Why a job is at that one of its policy's places, in words; empty of a policy that names none."""
    rung = found.rung(number)
    if rung is None:
        return ""
    where = f"{rung} is number {number + 1} of {len(found.places)} places"
    if rung.chosen is None:
        return f"{where} that were asked for."
    rate, waits_for = rung.chosen.get("rate_per_hour"), rung.chosen["waits_for"]
    price = f"{_short(rate)} {CURRENCY} per hour" if rate else "a price that is not known"
    if rate and rung.chosen["source"] == Source.EXAMPLE:
        price += ", which is an example"
    room = f"it would have waited there for {', '.join(waits_for)}" if waits_for else "there was room"
    return f"{where} that could run it, those with room first and then by price: {room}, at {price}."


def _short(rate: str) -> str:
    """Without zeros that say nothing."""
    return rate.rstrip("0").rstrip(".") if "." in rate else rate


def policy_of_job_type(job_type_id: int) -> JobTypePolicy | None:
    return JobTypePolicy.objects.select_related("policy", "set_by").filter(job_type=job_type_id).first()
