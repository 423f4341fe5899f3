"""What the page of a cluster of failures shows: how many, since when, whose, and a sample of what they wrote."""

from __future__ import annotations

from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from controlplane.core.admin import badge, facts, link, table, when
from controlplane.core.charts import bars
from controlplane.core.detail_admin import Detail
from jobs import queries, states
from jobs.models import FailureCluster, Job
from jobs.queries.failures import DAYS, MOST_COUNTED, SHOWN
from jobtypes.models import Category, Error

TONES: Final = {Category.SYSTEM: "waiting", Category.ALGORITHM: "bad", Category.DATA: "quiet"}


def detail(row: FailureCluster) -> Detail:
    """The page. Loaded with the cluster: its errors, who named it, its sample's job."""
    found = queries.breakdown(row.pk)
    means = row.means
    badges = [badge(means.category, TONES[Category(means.category)])] if means else []
    if row.named is not None:
        badges.append(badge("NAMED", "good"))
    return Detail(
        title=f"Failures: {row.title}",
        badges=badges,
        line=format_html("<span class='cp-code'>{}</span>", row.title),
        cards=(
            ("How many", facts(_numbers(row))),
            ("What they are", facts(_errors(row))),
        ),
        sections=(
            (f"By day, the last {DAYS}", _chart(found)),
            (
                "Customers",
                _of_whom("Customer", [(_customer(each, row.pk), number) for each, number in found.customers]),
            ),
            (
                "Job types",
                _of_whom("Job type", [(_job_type(each, row.pk), number) for each, number in found.job_types]),
            ),
            ("A sample", _sample(row)),
        ),
    )


def jobs_url(cluster_id: int, *, failed: bool = False, **more: Any) -> str:
    """The list of exactly these jobs."""
    wish = {"failure_cluster": cluster_id, **({"state": states.FAILED} if failed else {}), **more}
    return f"{reverse('admin:jobs_job_changelist')}?{urlencode(wish)}"


def requeue_url(cluster_id: int) -> str:
    """The page before the requeue of those that are worth it."""
    query = urlencode(queries.requeue_selection(cluster_id), doseq=True)
    return f"{reverse('admin:jobs_job_matching_requeue')}?{query}"


def bounded(number: int, most: int) -> str:
    return f"{number:,}".replace(",", " ") if number <= most else f"{most:,}+".replace(",", " ")


def others_like(job: Job) -> SafeString | str:
    """How many failures there were like the last one of a job, with a link; loaded with the job: the cluster."""
    cluster = job.failure_cluster
    if cluster is None or job.status not in states.FAILED_STATES:
        return ""
    others = max(cluster.total - 1, 0)
    text = f"{bounded(others, others)} {'other' if others == 1 else 'others'}" if others else "no other"
    return link(reverse("admin:jobs_failurecluster_change", args=[cluster.pk]), text)


def _numbers(row: FailureCluster) -> list[tuple[str, Any]]:
    now = queries.failed_now([row.pk])[row.pk]
    lately = queries.failed_lately([row.pk]).get(row.pk, 0)
    return [
        ("Failed now", link(jobs_url(row.pk, failed=True), bounded(now, MOST_COUNTED))),
        ("In 24 hours", bounded(lately, lately)),
        ("In all", link(jobs_url(row.pk), bounded(row.total, row.total))),
        ("First", when(row.first_seen)),
        ("Last", when(row.last_seen)),
    ]


def _errors(row: FailureCluster) -> list[tuple[str, Any]]:
    again = ""
    if row.named is not None:
        again = "tried again while tries are left" if row.named.should_be_retried else "not tried again"
    return [
        ("They end with", _error(row.error)),
        ("Exit code", row.exit_code),
        ("Staff call it", _error(row.named)),
        ("Later ones are", again),
        ("Named by", row.named_by),
        ("Named", when(row.named_at)),
    ]


def _error(error: Error | None) -> SafeString | str:
    if error is None:
        return ""
    return format_html(
        "{} – {} ({})",
        link(reverse("admin:jobtypes_error_change", args=[error.pk]), error),
        error.title,
        error.category,
    )


def _chart(found: queries.Breakdown) -> SafeString:
    values = [(f"{day}", number, f"{number} failures") for day, number in found.days]
    first, last = found.days[0][0], found.days[-1][0]
    drawn = bars(f"Failures by day from {first} to {last}", values)
    return format_html("{}<p class='cp-note'>{} to {}, days of UTC.</p>", drawn, first, last)


def _of_whom(what: str, rows: list[tuple[SafeString | str, int]]) -> SafeString | str:
    if not rows:
        return ""
    shown = table((what, f"Failures in {DAYS} days"), rows)
    return format_html("{}<p class='cp-note'>The {} with most.</p>", shown, SHOWN) if len(rows) == SHOWN else shown


def _customer(customer: Any, cluster_id: int) -> SafeString:
    return link(jobs_url(cluster_id, customer=customer.name), customer.name)


def _job_type(job_type: Any, cluster_id: int) -> SafeString | str:
    return link(jobs_url(cluster_id, job_type_id=job_type.pk), job_type) if job_type else "none"


def _sample(row: FailureCluster) -> SafeString | str:
    job = row.sample_job
    if job is None:
        return ""
    try_number = "" if row.sample_number is None else f", execution {row.sample_number}"
    where = format_html(
        "<p>{}{}, {}, {}</p>",
        link(reverse("admin:jobs_job_change", args=[job.pk]), f"Job {job.pk}"),
        *(try_number, job.classification, when(row.sample_at)),
    )
    log = row.sample_log
    return format_html("{}<pre class='cp-log'>{}</pre>", where, log or "There is no log of it (any more).")
