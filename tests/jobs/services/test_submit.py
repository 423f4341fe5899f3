from __future__ import annotations

import pytest
from django_q.models import OrmQ

from accounts.models import Customer, Event
from controlplane.core.encryption import decrypt
from controlplane.core.errors import InvalidRequest
from jobs import services, states
from jobs.errors import QuotaExceeded
from jobs.models import Job, Scope
from tests.factories import Stage, make_job, make_jobs, make_operator, request_of
from tests.threads import at_once

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


# --- Quotas on what is queued --------------------------------------------------------------------


def test_a_quota_counts_what_is_queued_and_not_what_runs_or_has_ended() -> None:
    stage = Stage()
    operator = make_operator()
    running = make_job(operator)
    stage.start(running)
    services.set_cap(scope=Scope.ALL, max_queued_jobs=2, actor=None)
    first, _ = make_jobs(2, operator)
    with pytest.raises(QuotaExceeded, match="2 queued jobs; 2 are queued, and 1 more"):
        make_job(operator)
    services.cancel_jobs([first.pk], actor=None)
    make_job(operator)
    assert Job.objects.filter(status=states.QUEUED).count() == 2


def test_all_of_a_list_or_none_of_it_fits_a_quota() -> None:
    services.set_cap(scope=Scope.ALL, max_queued_jobs=3, actor=None)
    with pytest.raises(QuotaExceeded):
        make_jobs(4)
    assert Job.objects.count() == 0
    assert len(make_jobs(3)) == 3


def test_of_two_quotas_the_narrower_counts() -> None:
    job = make_job(customer="acme")
    services.set_cap(scope=Scope.ALL, max_queued_jobs=10, actor=None)
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(job.customer_id), max_queued_jobs=1, actor=None)
    with pytest.raises(QuotaExceeded, match="this customer"):
        make_job(customer="acme")
    assert len(make_jobs(9, customer="other")) == 9
    with pytest.raises(QuotaExceeded, match="this all"):
        make_job(customer="other")


def test_held_jobs_count_as_queued() -> None:
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(job.customer_id), max_queued_jobs=1, actor=None)
    with pytest.raises(QuotaExceeded):
        make_job()


def test_a_retry_counts_too() -> None:
    job = make_job()
    services.cancel_jobs([job.pk], actor=None)
    job.refresh_from_db()
    services.set_cap(scope=Scope.ALL, max_queued_jobs=0, actor=None)
    with pytest.raises(QuotaExceeded):
        services.retry_job(job, actor=job.owner)
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("size", [1, 3])
def test_many_submits_at_once_never_queue_more_than_the_quota(size: int) -> None:
    owners = [make_operator().user for _ in range(8)]
    make_jobs(1)
    services.set_cap(scope=Scope.ALL, max_queued_jobs=10, actor=None)

    def submit_some(n: int) -> int:
        made = 0
        for _ in range(3):
            try:
                made += len(services.submit_jobs(owner=owners[n], requests=[request_of()] * size))
            except QuotaExceeded:
                break
        return made

    made = at_once([lambda n=n: submit_some(n) for n in range(8)])  # type: ignore[misc]
    assert not [each for each in made if isinstance(each, Exception)]
    queued = Job.objects.filter(status=states.QUEUED).count()
    assert queued == 1 + sum(made)
    assert 10 - size < queued <= 10, "as many as fit, and no more"
