from __future__ import annotations

import pytest
from django_q.models import OrmQ

from accounts.models import Customer, Event
from controlplane.core.encryption import decrypt
from controlplane.core.errors import InvalidRequest
from jobs import services, states
from jobs.models import Job
from tests.factories import make_job, make_jobs, make_operator, request_of

pytestmark = pytest.mark.django_db


def test_a_submitted_job_is_queued_in_its_lane_with_its_event_and_a_bell() -> None:
    operator = make_operator()
    Event.objects.all().delete()
    OrmQ.objects.all().delete()
    job = make_job(operator, env={"A": "secret"}, tags={"ü": [1, None]}, secret_env=["A"])
    assert (job.status, job.tries, job.max_tries, job.priority) == (states.QUEUED, 0, 3, 100)
    assert (decrypt(job.env), job.tags, job.secret_env) == ({"A": "secret"}, {"ü": [1, None]}, ["A"])
    assert "secret" not in job.env
    assert job.lane.waiting
    (event,) = Event.objects.all()
    assert (event.kind, event.subject_id, event.actor_id) == ("job.submitted", job.pk, operator.user.pk)
    assert (event.before, event.after) == (None, {"status": "QUEUED"})
    assert OrmQ.objects.filter(key="pulse-local").count() == 1


def test_many_keep_their_order_and_ring_once() -> None:
    OrmQ.objects.all().delete()
    made = services.submit_jobs(
        owner=make_operator().user, requests=[request_of(classification=str(n)) for n in range(500)]
    )
    assert [Job.objects.get(pk=each.id).classification for each in made[::100]] == ["0", "100", "200", "300", "400"]
    assert Job.objects.get(pk=made[7].id).uuid == made[7].uuid
    assert OrmQ.objects.count() == 1


def test_a_batch_of_alike_jobs_looks_up_where_it_belongs_once(django_assert_max_num_queries) -> None:
    operator = make_operator()
    make_job(operator)
    with django_assert_max_num_queries(11):  # seven of them on SQLite only: on PostgreSQL the submit is one
        services.submit_jobs(owner=operator.user, requests=[request_of()] * 100)


def test_a_customer_is_made_at_first_mention_and_found_after() -> None:
    first, second = make_job(customer="new"), make_job(customer="new")
    assert first.customer == second.customer == Customer.objects.get(name="new")


def test_alike_jobs_share_a_lane_and_others_do_not() -> None:
    operator = make_operator()
    one, alike = make_jobs(2, operator, memory_mib=300)
    near = make_job(operator, memory_mib=512)
    assert one.lane_id == alike.lane_id == near.lane_id
    for wish in ({"vcpus_milli": 123}, {"memory_mib": 513}, {"queue": "other"}, {"customer": "other"}):
        assert make_job(operator, **wish).lane_id != one.lane_id


def test_an_unknown_region_is_refused_and_nothing_is_kept() -> None:
    operator = make_operator()
    with pytest.raises(InvalidRequest) as refused:
        services.submit_jobs(owner=operator.user, requests=[request_of(), request_of(region="nowhere")])
    assert refused.value.field == "region"
    assert Job.objects.count() == 0


def test_nothing_asked_is_nothing_made() -> None:
    assert services.submit_jobs(owner=make_operator().user, requests=[]) == []
