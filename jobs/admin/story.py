"""What a job's page shows: how it stands, why, what happened to it, and how to submit it again."""

from __future__ import annotations

import shlex
from typing import Any, Final

from django.http import HttpRequest
from django.urls import get_script_prefix, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import access
from accounts.models import Event, User
from clusters.providers.errors import ProviderError
from controlplane.core.admin import link, link_out, table, when
from controlplane.core.detail_admin import Live, added_sections
from controlplane.core.errors import ControlPlaneError
from jobs import following, queries, states
from jobs.admin.badges import status_badge
from jobs.admin.failure_story import others_like
from jobs.admin.live import CHANGED
from jobs.admin.mapreduce_story import mapreduce_facts, mapreduce_request, mapreduce_story
from jobs.admin.policy_story import policy_request, policy_story
from jobs.admin.requests_shown import curl_of, shown_body
from jobs.admin.seed_story import seed_facts, seed_request, seed_story
from jobs.admin.steering import allowed_verbs
from jobs.admin.submitting import again_button
from jobs.admin.waiting import kept_by
from jobs.models import Execution, Job, Shape

LOG_TAIL_CHARACTERS: Final = 16_384
SHOWN: Final = 100  # events, executions
RETRIES_SHOWN: Final = 20


def story(job: Job, request: HttpRequest, reader: User) -> dict[str, Any]:
    """The context of the page.

    Loaded with the job: customer, owner, place, lane, error, failure_cluster, retry_of, job_type, revision.
    """
    return {
        "job": job,
        "badge": status_badge(job.status),
        "buttons": _buttons(job, request),
        "waits": _waits(job),
        "timeline": _timeline(job),
        "executions": _executions(job),
        "log": _log(job),
        "facts": _facts(job, reader),
        "request_facts": _request_facts(job, reader),
        "curl": as_curl(job, request, reader),
        "json": shown_body(request_body(job, reader)),
        "live": _live(job),
        "sections": [*added_sections(request, job), *policy_story(job), *seed_story(job), *mapreduce_story(job)],
    }


def _live(job: Job) -> Live | None:
    """How the page follows it: by its output, or by that something of its tasks has changed."""
    if job.status in states.FINAL:
        return None
    if job.shape == Shape.MAPREDUCE:
        return Live(reverse("admin:jobs_job_changes", args=[job.pk]), (CHANGED,))
    return Live(f"{get_script_prefix()}v6/jobs/{job.pk}/logs/combined/", ("log", "status", "end"))


def _buttons(job: Job, request: HttpRequest) -> list[tuple[str, str]]:
    verbs = [
        (verb.label, reverse(f"admin:jobs_job_{verb.name}", args=[job.pk]))
        for verb in allowed_verbs(request)
        if verb.applies(job)
    ]
    return [*verbs, *again_button(job, request)]


def _waits(job: Job) -> SafeString | str:
    reasons = following.explain(job)
    rows = [
        (
            *(kept_by(job.status, r.code), r.hint, when(r.since)),
            *("" if r.value is None else r.value, "" if r.limit is None else r.limit, r.set_by or ""),
        )
        for r in reasons
    ]
    return table(("Reason", "What frees it", "Since", "Now", "Limit", "Set by"), rows) if rows else ""


def _timeline(job: Job) -> SafeString:
    """The last events, in their order."""
    found = list(queries.timeline(job).select_related("actor").order_by("-id")[: SHOWN + 1])
    rows = [(when(event.at), event.kind, _what(event), event.actor or "the scheduler") for event in found[:SHOWN][::-1]]
    shown = table(("At", "What", "How", "By"), rows)
    if len(found) <= SHOWN:
        return shown
    url = f"{reverse('admin:accounts_event_changelist')}?q=job+{job.pk}"
    return format_html("<p>{}</p>{}", link(url, f"The last {SHOWN} events; all of them"), shown)


def _what(event: Event) -> str:
    """An event's before and after in a line."""
    before, after = event.before or {}, event.after or {}
    if not isinstance(before, dict) or not isinstance(after, dict):
        return f"{before} → {after}"
    parts = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        told = f"{was} → {now}" if was not in (None, "") and name in after else f"{now if name in after else was}"
        if told not in ("", "None", "{}"):
            parts.append(told if name in ("status", "reason") else f"{name} {told}")
    return ", ".join(parts)


def _executions(job: Job) -> SafeString | str:
    found: list[Execution] = list(queries.executions(job).order_by("-number")[:SHOWN])
    rows = [
        (
            link(reverse("admin:jobs_execution_change", args=[e.pk]), e.number),
            status_badge(e.status),
            _node(e),
            "" if e.exit_code is None else e.exit_code,
            e.error or "",
            e.detail,
            when(e.started_at),
            when(e.ended_at),
        )
        for e in found
    ]
    return table(("No.", "Status", "Node", "Exit code", "Error", "Detail", "Started", "Ended"), rows) if rows else ""


def _node(execution: Execution) -> SafeString | str:
    """Which machine ran it; at a cloud with a link to its page there."""
    url = following.link_of(execution)
    return link_out(url, execution.node or f"at {execution.place}") if url else execution.node


def _log(job: Job) -> tuple[str, str]:
    """The end of the output, and what is to be said instead when there is none."""
    try:
        return following.tail(job, LOG_TAIL_CHARACTERS), ""
    except ControlPlaneError as error:
        return "", error.message
    except ProviderError as error:
        return "", f"The provider does not give it: {error}"


def _facts(job: Job, reader: User) -> list[tuple[str, Any]]:
    def job_link(other: Job) -> SafeString:
        return link(reverse("admin:jobs_job_change", args=[other.pk]), other.pk)

    sees = access.decide(reader, "users", access.READ, owner_id=job.owner_id).allowed
    facts: list[tuple[str, Any]] = [
        ("Id", job.uuid),
        ("Customer", link(reverse("admin:accounts_customer_change", args=[job.customer_id]), job.customer)),
        ("Owner", link(reverse("admin:accounts_user_change", args=[job.owner_id]), job.owner) if sees else job.owner),
        ("Place", link(reverse("admin:jobs_place_change", args=[job.place_id]), job.place)),
        *seed_facts(job),
        *mapreduce_facts(job),
        ("Queue", job.lane.queue),
        ("Priority", job.priority),
        ("Tries", f"{job.tries} of {job.max_tries}"),
        ("Submitted", when(job.submitted_at)),
        ("Queued", when(job.queued_at)),
        ("Started", when(job.started_at)),
        ("Ended", when(job.ended_at)),
    ]
    facts.append(("Fails like", others_like(job)))
    if job.error is not None:
        facts.append(("Error", link(reverse("admin:jobtypes_error_change", args=[job.error_id]), job.error.title)))
    if job.retry_of is not None:
        facts.append(("Retry of", job_link(job.retry_of)))
    retries = list(job.retries.only("pk").order_by("-pk")[:RETRIES_SHOWN])
    if retries:
        facts.append(("Retried as", format_html("{} " * len(retries), *(job_link(each) for each in retries))))
    return [(name, value) for name, value in facts if value not in (None, "")]


def _request_facts(job: Job, reader: User) -> list[tuple[str, Any]]:
    facts = [
        ("Machine image" if job.shape == Shape.INSTANCE else "Image", job.image),
        ("Boot data", "given, and kept secret" if job.user_data else ""),
        ("Command", shlex.join(str(word) for word in job.command)),
        ("Environment", ", ".join(f"{name}=…" for name in queries.environment(job, reader))),
        ("Tags", ", ".join(f"{name}: {value}" for name, value in job.tags.items())),
        ("vCPUs", f"{job.vcpus_milli / 1000:g}"),
        ("Memory", f"{job.memory_mib} MiB"),
        ("Timeout", f"{job.timeout_seconds} s" if job.timeout_seconds else "none"),
    ]
    return [(name, value) for name, value in facts if value]


def request_body(job: Job, reader: User) -> dict[str, Any]:
    """A body for POST /v6/jobs/ that asks for such a job again. Values of its environment are not in it."""
    names = [name for name in queries.environment(job, reader) if name != queries.UNREADABLE]
    body = {
        "customer": job.customer.name,
        "classification": job.classification,
        "shape": job.shape,
        "cloud": job.place.cloud,
        "region": job.place.region,
        "machine_image" if job.shape == Shape.INSTANCE else "image": job.image,
        "user_data": "…" if job.user_data else "",
        "command": job.command,
        "env": dict.fromkeys(names, "…"),
        "secret_env": [name for name in job.secret_env if name in names],
        "tags": job.tags,
        "vcpus": job.vcpus_milli / 1000,
        "memory_mib": job.memory_mib,
        "priority": job.priority,
        "queue": job.queue,
        "timeout_seconds": job.timeout_seconds,
        "max_tries": job.max_tries,
    }
    body = policy_request(job, body)
    if job.shape == Shape.SEED:
        body = seed_request(job, body)
    if job.shape == Shape.MAPREDUCE:
        body = mapreduce_request(job, body)
    return {name: value for name, value in body.items() if value not in (None, "", [], {})}


def as_curl(job: Job, request: HttpRequest, reader: User) -> str:
    """The request as a command for a shell; the token comes from its environment."""
    return curl_of(request, "jobs", request_body(job, reader))
