"""The Seed part of a job's page: what it is of, what it took in and what it gave."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from controlplane.core.admin import link, shown_json, table
from controlplane.core.detail_admin import Section
from jobs import queries
from jobs.models import File, Job, Shape

FILES_SHOWN: Final = 100  # of one job, in and out each
_VALUE_LENGTH: Final = 1_000  # characters of a JSON value


def seed_story(job: Job) -> list[Section]:
    """The sections of that part; none for other jobs. Loaded with the job: job_type, revision, recipe."""
    if job.shape != Shape.SEED:
        return []
    files = _files(job)
    return [
        ("What it took in", _values(job.input, files) or "Nothing."),
        ("What it gave", _values(job.output, files) or "Nothing yet."),
        ("Its configuration", shown_json(queries.executed_configuration(job))),
    ]


def seed_facts(job: Job) -> list[tuple[str, Any]]:
    """What it is of, with links."""
    facts: list[tuple[str, Any]] = []
    if job.job_type is not None and job.revision is not None:
        page = reverse("admin:jobtypes_jobtype_change", args=[job.job_type.pk])
        facts.append(("Job type", link(page, job.job_type)))
        compare = reverse("admin:jobtypes_jobtype_compare", args=[job.job_type.pk])
        facts.append(("Revision", link(f"{compare}?left={job.revision.pk}", job.revision.revision_num)))
    if job.recipe_id is not None:
        facts.append(("Recipe", link(reverse("admin:jobs_recipe_change", args=[job.recipe_id]), job.recipe_id)))
    if job.input_bytes is not None:
        facts.append(("Input", f"{job.input_bytes} bytes"))
    if job.supersedes_id is not None:
        facts.append(("Takes the place of", _job(job.supersedes_id)))
    newer = queries.superseding(job)
    if newer is not None:
        facts.append(("Its place took", _job(newer["id"])))
    return facts


def seed_request(job: Job, body: dict[str, Any]) -> dict[str, Any]:
    """A body for POST /v6/jobs/ that asks for such a Seed job again, out of the one of any job.

    Its job type says all that is not in it; the newest revision is taken.
    """
    kept = ("customer", "classification", "region", "tags", "priority", "queue", "max_tries", "policy")
    own = {"job_type_id": job.job_type_id, "input": job.input, "configuration": job.configuration}
    return {**own, **{name: body[name] for name in kept if name in body}}


def _job(job_id: int) -> SafeString:
    return link(reverse("admin:jobs_job_change", args=[job_id]), job_id)


def _files(job: Job) -> dict[int, File]:
    """The first of the files of its input and its output, by id."""
    ids: set[int] = set()
    for values in (job.input, job.output):
        for _, some in _some(queries.files_of(values).items()):
            ids.update(some)
    return File.objects.select_related("workspace").defer("meta_data", "geometry").in_bulk(ids) if ids else {}


def _some(files: Iterable[tuple[str, list[int]]]) -> Iterable[tuple[str, list[int]]]:
    """At most FILES_SHOWN of them."""
    left = FILES_SHOWN
    for name, ids in sorted(files):  # databases keep them in orders of their own
        yield name, ids[:left]
        left -= min(len(ids), left)


def _values(values: Any, files: Mapping[int, File]) -> SafeString | str:
    """Files and JSON values by the names of the interface."""
    if not values:
        return ""
    whole = queries.files_of(values)
    rows: list[tuple[Any, ...]] = []
    for name, ids in _some(whole.items()):
        rows += [(name, *_file(files.get(file_id), file_id)) for file_id in ids]
        if len(ids) < len(whole[name]):
            rows.append((name, f"and {len(whole[name]) - len(ids)} files more", "", ""))
    rows += [(name, _short(value), "JSON", "") for name, value in values.get("json", {}).items()]
    return table(("Name", "Value", "Kind", "Where"), rows) if rows else ""


def _file(file: File | None, file_id: int) -> tuple[Any, ...]:
    if file is None:
        return f"file {file_id}, which is gone", "", ""
    named = link(reverse("admin:jobs_file_change", args=[file.pk]), file.name)
    gone = " (deleted)" if file.deleted_at is not None else ""
    shown = format_html_join("", "{}", ((named,), (gone,)))
    return shown, f"{file.media_type}, {file.size} bytes", f"{file.workspace.name}: {file.path}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"{text[:_VALUE_LENGTH]}…" if len(text) > _VALUE_LENGTH else text
