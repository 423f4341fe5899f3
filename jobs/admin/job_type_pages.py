"""What a job type's page shows: how its jobs stand, what it asks for, what it was; and two revisions compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django.http import QueryDict
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from controlplane.core.admin import badge, facts, link, shown_json, table, when
from controlplane.core.comparison import beside
from controlplane.core.detail_admin import Detail
from jobs import states
from jobs.admin.badges import status_badge
from jobs.admin.policy_story import policy_of_type
from jobs.queries.statistics import counts_of
from jobtypes import queries
from jobtypes.models import JobType, JobTypeRevision
from jobtypes.seed.allocation import Allocation, allocate
from jobtypes.seed.configuration import read_configuration, warnings_of
from jobtypes.seed.difference import Change, difference
from jobtypes.seed.manifest import Manifest, read_manifest

SHOWN: Final = 100  # versions, revisions, recipe types, choices of a select
_VALUE_LENGTH: Final = 500  # characters of one side of a change


def badges(job_type: JobType) -> list[SafeString]:
    """How a job type stands, in words."""
    found = [badge("ACTIVE", "good") if job_type.is_active else badge("DEPRECATED", "quiet")]
    if job_type.is_paused:
        found.append(badge("PAUSED", "waiting"))
    found.append(badge("PUBLISHED", "busy") if job_type.is_published else badge("NOT PUBLISHED", "quiet"))
    if job_type.is_system:
        found.append(badge("SYSTEM", "quiet"))
    if job_type.unmet_resources:
        found.append(badge(f"NO PLACE HAS {job_type.unmet_resources}", "bad"))
    return found


def counts(job_type_id: int, numbers: Mapping[str, int]) -> SafeString | str:
    """How many jobs are in which state, each a link to exactly those."""
    shown = [(state, numbers[state]) for state in states.JOB_STATES if numbers.get(state)]
    base = reverse("admin:jobs_job_changelist")
    return format_html_join(
        " ",
        "<a class='cp-count' href='{}'>{} {}</a>",
        ((f"{base}?job_type_id={job_type_id}&state={state}", status_badge(state), number) for state, number in shown),
    )


def detail(job_type: JobType) -> Detail:
    """The page."""
    manifest = read_manifest(job_type.manifest)
    numbers = counts_of([job_type.pk])[job_type.pk]
    return Detail(
        title=f"Job type {job_type}",
        badges=badges(job_type),
        line=job_type.title,
        cards=(
            ("The job type", facts(_facts(job_type, manifest))),
            ("What each of its jobs is given", facts(_needs(allocate(manifest, 0), manifest))),
        ),
        sections=(
            ("Its jobs", counts(job_type.pk, numbers) or "None yet."),
            ("Worth a word", _warnings(job_type, manifest)),
            ("What goes in", _inputs(manifest)),
            ("What comes out", _outputs(manifest)),
            ("Configuration", shown_json(job_type.configuration)),
            ("Policy of its jobs", policy_of_type(job_type.pk) or "None of its own."),
            ("Errors", _errors(manifest)),
            ("Versions", _versions(job_type)),
            ("Revisions", _revisions(job_type)),
            ("Recipe types that hold it", _recipe_types(job_type)),
            ("Manifest", shown_json(job_type.manifest)),
        ),
    )


# --- What it is ----------------------------------------------------------------------------------


def _facts(job_type: JobType, manifest: Manifest) -> list[tuple[str, Any]]:
    who = manifest.maintainer
    cap = "none" if job_type.max_scheduled is None else job_type.max_scheduled
    return [
        ("Id", job_type.pk),
        ("About", job_type.description),
        ("Image", job_type.docker_image),
        ("Command", manifest.command),
        ("Revision", job_type.revision_num),
        ("Most at a time", cap),
        ("Tries", job_type.max_tries),
        ("Tags", ", ".join(manifest.tags)),
        ("Maintainer", ", ".join(text for text in (who.name, who.organization, who.email, who.url, who.phone) if text)),
        ("Registered", when(job_type.created_at)),
        ("Edited", when(job_type.modified_at)),
        ("Paused since", when(job_type.paused_at)),
        ("Deprecated since", when(job_type.deprecated_at)),
    ]


def _needs(needs: Allocation, manifest: Manifest) -> list[tuple[str, Any]]:
    grows = {each.name: f"{each.input_multiplier:g}" for each in manifest.resources if each.input_multiplier}
    return [
        ("vCPUs", f"{needs.vcpus_milli / 1000:g}"),
        ("Memory", f"{needs.memory_mib} MiB"),
        ("Disk", f"{needs.disk_mib} MiB beside its input" if needs.disk_mib else ""),
        ("Shared memory", "" if needs.shm_mib is None else f"{needs.shm_mib} MiB"),
        ("GPUs", needs.gpus or ""),
        ("Nobody has", ", ".join(needs.unknown)),
        ("Grows with its input", ", ".join(f"{name}: {factor} per MiB" for name, factor in grows.items())),
        ("Timeout", "none" if manifest.timeout_seconds is None else f"{manifest.timeout_seconds} s"),
    ]


def _warnings(job_type: JobType, manifest: Manifest) -> SafeString | str:
    """The same words that a check of it would have."""
    stored = frozenset(job_type.secret_settings.values_list("name", flat=True))
    found = warnings_of(manifest, read_configuration(job_type.configuration), stored)
    rows = [(badge(each.name, "waiting"), each.description) for each in found]
    return table(("What", "Why"), rows) if rows else ""


def _inputs(manifest: Manifest) -> SafeString:
    rows: list[tuple[Any, ...]] = [
        (
            each.name,
            "files" if each.multiple else "file",
            ", ".join(each.media_types) or "any media type",
            _needed(each.required),
        )
        for each in manifest.input_files
    ]
    rows += [(each.name, "JSON", each.type, _needed(each.required)) for each in manifest.input_json]
    return table(("Name", "Kind", "Of", "Needed"), rows)


def _outputs(manifest: Manifest) -> SafeString:
    rows: list[tuple[Any, ...]] = [
        (each.name, "files" if each.multiple else "file", each.pattern, each.media_type, _needed(each.required))
        for each in manifest.output_files
    ]
    rows += [(each.name, "JSON", each.key, each.type, _needed(each.required)) for each in manifest.output_json]
    return table(("Name", "Kind", "Pattern or key", "Of", "Needed"), rows)


def _needed(required: bool) -> str:
    return "yes" if required else "no"


def _errors(manifest: Manifest) -> SafeString | str:
    rows = [(each.code, each.name, each.title, each.category, each.description) for each in manifest.errors]
    return table(("Exit code", "Name", "Title", "Whose fault", "About"), rows) if rows else ""


# --- What there is beside it ---------------------------------------------------------------------


def _versions(job_type: JobType) -> SafeString:
    found = JobType.objects.filter(name=job_type.name).defer(*queries.DOCUMENTS).order_by("-version_key", "-pk")[:SHOWN]
    rows = [
        (
            each.version if each.pk == job_type.pk else link(_page(each.pk), each.version),
            format_html_join(" ", "{}", ((mark,) for mark in badges(each))),
            each.docker_image,
            when(each.created_at),
        )
        for each in found
    ]
    return table(("Version", "State", "Image", "Registered"), rows)


def _revisions(job_type: JobType) -> SafeString:
    found = list(queries.revisions_of(job_type).defer("manifest").order_by("-revision_num")[: SHOWN + 1])
    rows = [
        (
            each.revision_num,
            each.docker_image,
            when(each.created_at),
            link(_comparison(job_type.pk, older.pk, each.pk), f"compared with {older.revision_num}") if older else "",
        )
        for each, older in zip(found[:SHOWN], [*found[1:], None], strict=False)
    ]
    return table(("Revision", "Image", "Made", "Changes"), rows)


def _recipe_types(job_type: JobType) -> SafeString | str:
    found = queries.recipe_types_of(job_type).defer("definition")[:SHOWN]
    rows = [
        (
            link(reverse("admin:jobtypes_recipetype_change", args=[each.pk]), each.name),
            each.title,
            badge("ACTIVE", "good") if each.is_active else badge("DEPRECATED", "quiet"),
        )
        for each in found
    ]
    return table(("Name", "Title", "State"), rows) if rows else ""


def _page(job_type_id: int) -> str:
    return reverse("admin:jobtypes_jobtype_change", args=[job_type_id])


# --- Two revisions -------------------------------------------------------------------------------


def _comparison(job_type_id: int, left: int, right: int) -> str:
    address = reverse("admin:jobtypes_jobtype_compare", args=[job_type_id])
    return f"{address}?{urlencode({'left': left, 'right': right})}"


def comparison(job_type: JobType, data: QueryDict) -> dict[str, Any]:
    """The context of the page that compares two revisions of this name, of whatever versions.

    `data` names them by id as `left` and `right`; what is not given is the present one and that before it.
    """
    rows = JobTypeRevision.objects.filter(job_type__name=job_type.name).select_related("job_type")
    light = rows.defer("manifest", "job_type__manifest", "job_type__configuration")
    choices = list(light.order_by("-job_type__version_key", "-job_type_id", "-revision_num")[:SHOWN])
    own = [each for each in choices if each.job_type_id == job_type.pk]
    right = _chosen(rows, data, "right") or (own[0] if own else queries.revisions_of(job_type).latest("revision_num"))
    left = _chosen(rows, data, "left") or (own[1] if len(own) > 1 else right)
    changes = difference(_whole(left), _whole(right))
    return {
        "choices": [(each.pk, _spelled(each)) for each in choices],
        "left": left.pk,
        "right": right.pk,
        "changes": table(("Where", "What", "Before", "After"), [_told(each) for each in changes]) if changes else "",
        "beside": beside(left.manifest, right.manifest, (_spelled(left), _spelled(right))),
        "back": _page(job_type.pk),
    }


def revision_then(job_type: JobType, number: Any) -> SafeString | str:
    """A revision that a job type had, and what is other in the present one."""
    rows = queries.revisions_of(job_type).filter(revision_num__in=(number, job_type.revision_num)).defer("manifest")
    found = {each.revision_num: each for each in rows} if isinstance(number, int) else {}
    if number not in found or job_type.revision_num not in found:
        return ""
    address = _comparison(job_type.pk, found[number].pk, found[job_type.revision_num].pk)
    return link(address, f"Revision {number}, beside the present one, {job_type.revision_num}")


def restored_revision(job_type: JobType, state: Mapping[str, Any]) -> dict[str, Any]:
    """What ManifestForm begins with to make a revision that says again what the one of `state` said."""
    found = queries.revisions_of(job_type).filter(revision_num=state.get("revision_num") or 0).first()
    return {} if found is None else {"docker_image": found.docker_image, "manifest": found.manifest}


def _chosen(rows: Any, data: QueryDict, name: str) -> JobTypeRevision | None:
    given = data.get(name, "")
    found: JobTypeRevision | None = None
    if given.isascii() and given.isdigit() and len(given) < 19:
        found = rows.filter(pk=int(given)).first()
    return found


def _whole(revision: JobTypeRevision) -> dict[str, Any]:
    return {"docker_image": revision.docker_image, **revision.manifest}


def _spelled(revision: JobTypeRevision) -> str:
    return f"{revision.job_type.version}, revision {revision.revision_num}"


def _told(change: Change) -> tuple[Any, ...]:
    tone = {"added": "good", "removed": "bad"}.get(change.kind.value, "waiting")
    return change.path, badge(change.kind.value, tone), _short(change.before), _short(change.after)


def _short(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:_VALUE_LENGTH]}…" if len(text) > _VALUE_LENGTH else text
