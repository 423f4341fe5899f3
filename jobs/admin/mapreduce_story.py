"""The MapReduce part of a job's page: its stages, how far each is, what holds it up, and what it gave."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import Any, Final

from django.db.models import Avg, F
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from controlplane.core.admin import facts, link, table, when
from controlplane.core.detail_admin import Section
from jobs import states
from jobs.admin.badges import status_badge
from jobs.models import ArtifactVersion, Job, MapReduceSpec, Shape
from jobs.queries import stores
from jobs.queries.mapreduce import StageProgress, progress_of, spec_of

SHOWN: Final = 20  # of outputs, inputs, failures, stragglers
STRAGGLES: Final = 3  # a task that runs so many times as long as the others of its stage took
_STAGES: Final = ((Shape.MAP, "Map"), (Shape.REDUCE, "Reduce"))
_STEPS: Final = 1000  # of a progress bar


def mapreduce_story(job: Job) -> list[Section]:
    """The sections of that part; none for other jobs."""
    if job.shape != Shape.MAPREDUCE:
        return []
    spec = spec_of(job)
    found: list[Section] = [("Stages", _stages(job, spec)), ("What it does", _does(spec))]
    if spec.failure:
        found.insert(0, ("Why it failed", format_html("<pre class='cp-log'>{}</pre>", spec.failure)))
    for heading, rows in (("Failed tasks", _failed(job)), ("Stragglers", _stragglers(job))):
        if rows:
            found.append((heading, rows))
    if job.status == states.COMPLETED:
        found.append(("What it gave", _outputs(spec)))
    return found


def mapreduce_facts(job: Job) -> list[tuple[str, Any]]:
    """Of a task: which one, and of what job."""
    if job.parent_id is None:
        return []
    return [
        ("Task", f"{job.shape} {job.part}"),
        ("Of the job", link(reverse("admin:jobs_job_change", args=[job.parent_id]), job.parent_id)),
    ]


def mapreduce_request(job: Job, body: dict[str, Any]) -> dict[str, Any]:
    """A body for POST /v6/jobs/ that asks for such a job again, out of the one of any job; without credentials."""
    spec = spec_of(job)
    roles = {role: version for role in ("mapper", "reducer", "combiner") if (version := getattr(spec, role))}
    asked: dict[str, Any] = {role: _asked(spec, role, version) for role, version in roles.items()}
    asked |= {"protocol": spec.protocol, "input": spec.inputs, "output": spec.output, "reducers": spec.reducers}
    asked |= {"split_bytes": spec.split_bytes, "max_parallel": spec.max_parallel}
    if spec.had_credentials:
        asked |= {f"{side}_credentials": {"username": "…", "password": "…"} for side in ("input", "output")}
    left_out = ("shape", "image", "command", "env", "secret_env")
    kept = {name: value for name, value in body.items() if name not in left_out}
    return {"mapreduce": {name: value for name, value in asked.items() if value is not None}, **kept}


def _asked(spec: MapReduceSpec, role: str, version: ArtifactVersion) -> dict[str, Any]:
    asked: dict[str, Any] = {"name": version.artifact.name, "version": version.number}
    return asked | ({"arguments": spec.arguments[role]} if spec.arguments.get(role) else {})


# --- How far it is -----------------------------------------------------------------------------------


def _stages(job: Job, spec: MapReduceSpec) -> SafeString:
    progress = progress_of(spec)
    heads = ("Stage", "Done", "Tasks", "By state", "Read", "Records in", "Records out", "Left")
    rows = [(name, *_stage(job, stage, progress[stage])) for stage, name in _STAGES]
    return table(heads, rows)


def _stage(job: Job, stage: str, found: StageProgress) -> tuple[Any, ...]:
    if found.planned is None:
        return ("", "not known yet", "", "", "", "", "")
    share = found.completed / found.planned if found.planned else 1.0
    bar = format_html(
        "<progress max='{}' value='{}'>{} %</progress> {} %",
        _STEPS, int(share * _STEPS), int(share * 100), int(share * 100),
    )  # fmt: skip
    each = [
        (link(f"{reverse('admin:jobs_job_changelist')}?parent={job.pk}&state={state}", number), status_badge(state))
        for state, number in sorted(found.tasks.items())
    ]
    listed = format_html_join(" ", "{} {}", each)
    counted = (
        f"{found.bytes_in:,} bytes",
        f"{found.records_in:,}",
        f"{found.records_out:,}",
        f"{found.bytes_out:,} bytes",
    )
    return (bar, f"{found.completed:,} of {found.planned:,}", listed, *counted)


def _task(task: Job) -> SafeString:
    return link(reverse("admin:jobs_job_change", args=[task.pk]), f"{task.shape} {task.part}")


def _failed(job: Job) -> SafeString | str:
    rows = Job.objects.filter(parent=job, status__in=(states.FAILED, states.REJECTED)).select_related("error")
    found = [
        (
            _task(task),
            task.error.title if task.error else task.reason,
            f"{task.tries} of {task.max_tries}",
            when(task.ended_at),
        )
        for task in rows.order_by("ended_at", "pk")[:SHOWN]
    ]
    return table(("Task", "Error", "Tries", "Ended"), found) if found else ""


def _stragglers(job: Job) -> SafeString | str:
    """Tasks that run much longer than those of their stage that are done have taken."""
    parts = Job.objects.filter(parent=job)
    found: list[tuple[Any, ...]] = []
    for stage, _ in _STAGES:
        running = list(parts.filter(shape=stage, status=states.RUNNING).order_by("started_at")[:SHOWN])
        if not running:
            continue
        done = parts.filter(shape=stage, status=states.COMPLETED)
        usual: timedelta | None = done.aggregate(took=Avg(F("ended_at") - F("started_at")))["took"]
        late = timezone.now() - STRAGGLES * usual if usual else None
        found += [
            (_task(task), when(task.started_at), f"{usual.total_seconds():.1f} s" if usual else "", task.tries)
            for task in running
            if late is not None and task.started_at is not None and task.started_at < late
        ]
    return table(("Task", "Runs since", "Others took", "Try"), found) if found else ""


# --- What it does, and gave --------------------------------------------------------------------------


def _does(spec: MapReduceSpec) -> SafeString | str:
    inputs = ", ".join(spec.inputs[:SHOWN]) + (f" and {len(spec.inputs) - SHOWN} more" if spec.inputs[SHOWN:] else "")
    size = "" if spec.input_bytes is None else f"{spec.input_bytes:,} bytes in {len(spec.objects_found):,} objects"
    pairs = [
        *((role.capitalize(), _program(spec, role)) for role in ("mapper", "combiner", "reducer")),
        ("Protocol", spec.get_protocol_display()),
        ("Input", inputs),
        ("Size", size),
        ("Output", spec.output),
        ("Reducers", spec.reducers),
        ("Split", f"{spec.split_bytes:,} bytes"),
        ("At once", "" if spec.max_parallel is None else spec.max_parallel),
        ("Credentials", "kept until it ends" if spec.credentials else "erased" if spec.had_credentials else "none"),
    ]
    return facts((name, value) for name, value in pairs if value not in (None, ""))


def _program(spec: MapReduceSpec, role: str) -> SafeString | None:
    version: ArtifactVersion | None = getattr(spec, role)
    if version is None:
        return None
    named = f"{version.artifact.name}, version {version.number}"
    gone = version.artifact.deleted_at is not None
    page = reverse("admin:jobs_artifact_change", args=[version.artifact_id])
    arguments = shlex.join(spec.arguments.get(role, []))
    return format_html("{} {}", f"{named} (deleted)" if gone else link(page, named), arguments)


def _outputs(spec: MapReduceSpec) -> SafeString:
    location = stores.output_of(spec)
    prefix = location.key.removesuffix("/")
    shown = [location.shown(stores.output_path(spec, prefix, number)) for number in range(min(SHOWN, spec.reducers))]
    more = f"and {spec.reducers - SHOWN} more" if spec.reducers > SHOWN else ""
    lines = format_html_join("", "<li><code>{}</code></li>", ((path,) for path in shown))
    return format_html("<ul>{}</ul>{}", lines, more)
