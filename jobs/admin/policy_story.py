"""The policy of a job, or of a job type, as the admin shows it."""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString

from clusters.queries import CURRENCY
from controlplane.core.admin import badge, facts, table, when
from controlplane.core.detail_admin import Section
from jobs import queries, states
from jobs.models import Job
from jobs.policy import Policy, Rung, stored_policy
from jobs.services import ANYWHERE


def policy_story(job: Job) -> list[Section]:
    """Where a job goes, and how far it is; nothing of one without a policy."""
    found = queries.policy_of(job.policy_id)
    if found is None:
        return []
    sections: list[Section] = [("Its policy", facts([*policy_facts(found), *_standing(job, found)]))]
    if found.places:
        sections.append(("Where it goes", places(found, job.rung)))
    return sections


def policy_facts(found: Policy) -> list[tuple[str, Any]]:
    pauses = (found.backoff_seconds, found.max_backoff_seconds)
    told = [
        ("Executions that may end so", ", ".join(f"{category}: {most}" for category, most in found.tries.items())),
        ("First pause", "" if pauses[0] is None else f"{pauses[0]} s, then twice as long each time"),
        ("Longest pause", "" if pauses[1] is None else f"{pauses[1]} s"),
        ("May cost", "" if found.max_cost is None else f"{found.max_cost:f} {CURRENCY}"),
    ]
    return [(name, value) for name, value in told if value]


def _standing(job: Job, found: Policy) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = [("Why it is there", queries.why_here(found, job.rung))]
    if job.affordable_seconds is not None:
        told.append(("Its next execution may run for", f"{job.affordable_seconds} s, for what money is left"))
    if job.leaves_at is not None and job.status in (states.QUEUED, states.STARTING):
        told.append(("Goes on if it still waits", when(job.leaves_at)))
    return [(name, value) for name, value in told if value]


def places(found: Policy, present: int | None = None) -> SafeString:
    """Its places in their order, `present` marked."""
    rows = []
    for number, rung in enumerate(found.places):
        here = badge("HERE", "busy") if number == present else ""
        longest = "as long as it takes" if rung.wait_seconds is None else f"{rung.wait_seconds} s"
        rows.append((number + 1, rung, here, longest, _chosen(rung)))
    return table(("No.", "Place", "", "Waits there", "When it was chosen"), rows)


def _chosen(rung: Rung) -> str:
    if rung.chosen is None:
        return ""
    room = ", ".join(rung.chosen["waits_for"]) or "room"
    rate = rung.chosen.get("rate_per_hour")
    return f"{room}; {rate} {CURRENCY} per hour ({rung.chosen['source']})" if rate else f"{room}; price not known"


def policy_request(job: Job, body: dict[str, Any]) -> dict[str, Any]:
    """A body for POST /v6/jobs/ that asks for such a job again, out of the one of a job without a policy."""
    found = queries.policy_of(job.policy_id)
    if found is None:
        return {**body, "capacity": job.capacity}
    document = found.document()
    if found.places:  # they say where it runs
        body = {name: value for name, value in body.items() if name not in ("cloud", "region")}
    if found.is_chosen:
        del document["places"]
        body["cloud"] = ANYWHERE
    return {**body, "max_tries": job.tries_granted, "policy": document}


def policy_of_type(job_type_id: int) -> SafeString | str:
    """The policy of a job type; empty when it has none."""
    row = queries.policy_of_job_type(job_type_id)
    if row is None:
        return ""
    found = stored_policy(row.policy.document)
    shown = facts([*policy_facts(found), ("Set by", row.set_by or ""), ("Since", when(row.since))])
    return shown + places(found) if found.places else shown
