"""Budgets as their owner writes them."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django_q.models import OrmQ

from controlplane.core.errors import InvalidRequest
from jobs import services, tasks
from jobs.models import Execution, Job, Scope, SpendGate
from tests.clusters.offers import price_vcpus_here
from tests.factories import Stage, make_job, make_jobs

pytestmark = pytest.mark.django_db

USD = 10**9
HOUR: dict[str, Any] = {"vcpus_milli": 1000, "timeout_seconds": 3600}  # one USD


@pytest.fixture
def stage() -> Stage:
    price_vcpus_here("1")
    return Stage()


def set_gate(**wishes: Any) -> SpendGate:
    return services.set_spend_gate(**{"key": "all", "scope": Scope.ALL, "limit_nano": 5 * USD, **wishes})


def reserved(*jobs: Job) -> list[int]:
    return [Execution.objects.get(job=job).reserved_nano for job in jobs]


def test_set_twice_it_is_one_and_says_what_was_said_last() -> None:
    first = set_gate(spent_nano=1, hint="May")
    set_gate(limit_nano=7, spent_nano=2, hint="June")
    gate = SpendGate.objects.get()
    assert (gate.limit_nano, gate.spent_nano, gate.hint, gate.since) == (7, 2, "June", first.since)


def test_a_new_one_counts_what_runs_already_and_leaves_what_is_reserved(stage: Stage) -> None:
    ours, theirs, ended, waits = (make_job(customer=name, **HOUR) for name in ("ours", "theirs", "ours", "ours"))
    services.hold_jobs([waits.pk], actor=None)
    stage.start(ours, theirs, ended)
    stage.end(ended)
    set_gate(key="ours", scope=Scope.CUSTOMER, scope_id=str(ours.customer_id))
    assert reserved(ours, theirs, ended) == [USD, 0, 0]
    services.settle_reservations({stage.execution(ours).pk: USD // 2})
    set_gate()
    assert reserved(ours, theirs, ended) == [USD // 2, USD, 0]


def test_one_that_is_changed_reserves_nothing_anew_unless_it_covers_something_else(stage: Stage) -> None:
    job = make_job(**HOUR)
    set_gate(scope=Scope.CUSTOMER, scope_id=str(make_job(customer="other").customer_id))
    stage.start(job)
    set_gate(scope=Scope.CUSTOMER, scope_id=str(job.customer_id))
    assert reserved(job) == [USD]
    services.settle_reservations({stage.execution(job).pk: 2 * USD})
    set_gate(scope=Scope.CUSTOMER, scope_id=str(job.customer_id), limit_nano=1)
    assert reserved(job) == [0]


def test_what_is_metered_is_taken_off_and_what_ended_is_let_go(stage: Stage) -> None:
    jobs = make_jobs(5, **HOUR)
    set_gate()
    stage.start(*jobs)
    part, over, ended, unmetered, rest = (stage.execution(job).pk for job in jobs)
    services.settle_reservations({part: USD // 4, over: 3 * USD, ended: 5}, ended={ended, unmetered})
    services.settle_reservations({part: USD // 4, 10**15: 1}, ended={10**15 + 1})
    assert reserved(*jobs) == [USD // 2, 0, 0, 0, USD]
    assert Execution.objects.get(pk=rest).reserved_nano == USD


@pytest.mark.parametrize(
    ("change", "rings"),
    [
        (lambda pk: set_gate(limit_nano=6 * USD), True),
        (lambda pk: services.note_spent({"all": 2 * USD, "unknown": 1}), False),
        (lambda pk: services.note_spent({"all": 0}), True),
        (lambda pk: services.settle_reservations({pk: 5}), False),
        (lambda pk: services.settle_reservations({pk: 5}, ended={pk}), True),
        (lambda pk: services.drop_spend_gate(key="all"), True),
        (lambda pk: services.drop_spend_gate(key="unknown"), False),
    ],
    ids=["limit", "more spent", "less spent", "metered", "ended", "dropped", "unknown"],
)
def test_what_lets_something_start_wakes_the_schedulers(stage: Stage, change: Any, rings: bool) -> None:
    job = make_job(**HOUR)
    set_gate(spent_nano=USD)
    stage.start(job)
    OrmQ.objects.all().delete()
    change(stage.execution(job).pk)
    assert OrmQ.objects.filter(key=settings.PULSE).exists() == rings


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "x" * 65}, "key"),
        ({"scope": Scope.PLACE, "scope_id": "1"}, "scope"),
        ({"scope_id": "1"}, "scope_id"),
        ({"scope": Scope.CUSTOMER, "scope_id": "acme"}, "scope_id"),
        ({"limit_nano": -1}, "limit_nano"),
        ({"spent_nano": 2**63}, "spent_nano"),
        ({"hint": "x" * 256}, "hint"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wishes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        set_gate(**wishes)
    assert (refused.value.field, SpendGate.objects.count()) == (field, 0)


def test_less_than_nothing_is_not_spent() -> None:
    gate = set_gate(spent_nano=3)
    with pytest.raises(InvalidRequest):
        services.note_spent({"all": -1})
    gate.refresh_from_db()
    assert gate.spent_nano == 3


def test_the_sweep_lets_go_of_what_nobody_settles_any_more(stage: Stage) -> None:
    runs, ended = make_jobs(2, **HOUR)
    set_gate()
    stage.start(runs, ended)
    stage.end(ended)
    tasks.sweep()
    assert reserved(runs, ended) == [USD, USD], "there is a budget: who owns it will settle"
    services.drop_spend_gate(key="all")
    tasks.sweep()
    assert reserved(runs, ended) == [USD, 0]
