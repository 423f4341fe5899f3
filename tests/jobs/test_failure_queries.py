"""What is asked about clusters of failures: numbers, whose they are, and who may ask."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import access
from controlplane.core.errors import Forbidden
from jobs import failures, queries, services
from jobs.errors import FailureClusterNotFound
from jobs.models import FailureCount, Job
from jobs.services import name_cluster
from jobtypes.models import Category, Error
from tests.factories import Stage, make_customer_user, make_monitor, make_operator
from tests.jobs.counted import make_type
from tests.jobs.failing import cluster_of, failed_jobs, failed_of_type
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _from_here() -> None:
    failures.group_failures()


def test_failed_now_and_failed_in_all_are_two_numbers() -> None:
    stage = Stage()
    jobs, other = failed_jobs(4, stage=stage), failed_jobs(1, "missing", stage=stage)[0]
    cluster, second = cluster_of(jobs[0]), cluster_of(other)
    services.requeue_jobs([jobs[0].pk], actor=None)
    assert queries.failed_now([cluster.pk, second.pk, 999]) == {cluster.pk: 3, second.pk: 1}
    assert queries.failed_now([cluster.pk], most=2) == {cluster.pk: 3}
    assert queries.failed_now([cluster.pk], most=1) == {cluster.pk: 2}
    assert queries.failed_now([]) == {}
    assert queries.failed_lately([cluster.pk, second.pk]) == {cluster.pk: 4, second.pk: 1}


def test_the_ones_with_most_failures_lately_come_first() -> None:
    stage = Stage()
    for number, word in ((1, "dirty"), (3, "missing"), (2, "broken")):
        job = failed_jobs(number, word, stage=stage)[0]
    FailureCount.objects.filter(cluster=cluster_of(job)).update(begun_at=timezone.now() - timedelta(hours=26))
    with counted() as statements:
        found = queries.failure_clusters_now(10)
    assert len(statements) == 2
    assert [(each.title.split()[-1], each.lately, each.total) for each in found] == [("missing", 3, 3), ("dirty", 1, 1)]
    assert (found[0].error, found[0].category) == ("exit-code", "ALGORITHM")
    assert len(queries.failure_clusters_now(1)) == 1
    name_cluster(found[0].id, actor=make_operator().user, name="no-lens", title="No lens", category=Category.DATA)
    named = queries.failure_clusters_now(1)[0]
    assert (named.error, named.category) == ("no-lens", "DATA")


def test_failures_are_broken_down_by_day_customer_and_job_type() -> None:
    stage = Stage()
    job = failed_jobs(2, owner=make_customer_user(customer="acme"), stage=stage)[0]
    failed_jobs(1, owner=make_customer_user(customer="zeta"), customer="zeta", stage=stage)
    cluster = cluster_of(job)
    found = queries.breakdown(cluster.pk)
    assert len(found.days) == 30
    assert found.days[-1] == (timezone.now().date(), 3)
    assert [(customer.name, number) for customer, number in found.customers] == [("acme", 2), ("zeta", 1)]
    assert found.job_types == [(None, 3)]
    error = Error.objects.create(name="no-light", title="No light", category=Category.DATA)
    ids = failed_of_type(make_type(), 2, error)
    other = cluster_of(Job.objects.get(pk=ids[0]))
    assert queries.breakdown(other.pk).job_types == [(make_type(), 2)]
    assert queries.breadths([cluster.pk, other.pk]) == {
        cluster.pk: queries.Breadth(2, 1),
        other.pk: queries.Breadth(1, 1),
    }


def test_staff_read_clusters_and_change_them_as_they_do_jobs() -> None:
    job = failed_jobs(1)[0]
    cluster = cluster_of(job)
    monitor, customer = make_monitor().user, make_customer_user().user
    assert list(queries.visible_clusters(monitor)) == [cluster]
    assert queries.find_cluster(monitor, cluster.pk, access.READ) == cluster
    for user, action in ((monitor, access.CHANGE), (customer, access.READ), (customer, access.CHANGE)):
        with pytest.raises(Forbidden):
            queries.find_cluster(user, cluster.pk, action)
    with pytest.raises(Forbidden):
        queries.visible_clusters(customer)
    with pytest.raises(FailureClusterNotFound):
        queries.find_cluster(monitor, 999, access.READ)
