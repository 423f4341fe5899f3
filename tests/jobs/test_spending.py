"""Budgets: a claim starts what they have enough for, and no more; explain says the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from accounts.models import Customer
from controlplane.core import sets
from jobs import queries, scheduling, services, spend_sql, states
from jobs.models import Execution, Job, Lane, Place, RunsFor, Scope, SpendGate
from tests.answers import json_of
from tests.clusters.offers import price_vcpus_here
from tests.factories import ROOMY, Stage, make_customer_user, make_job, make_job_in, make_jobs, make_operator
from tests.jobs.counted import finish, make_type, submit
from tests.query_budget import counted
from tests.threads import at_once

pytestmark = pytest.mark.django_db

USD = 10**9
HOUR: dict[str, Any] = {"vcpus_milli": 1000, "timeout_seconds": 3600}  # one USD


@pytest.fixture
def stage() -> Stage:
    price_vcpus_here("1")
    return Stage()


def budget(of: Job | None = None, limit: float = 3, spent: float = 0, scope: str = Scope.CUSTOMER) -> SpendGate:
    """A budget in USD over all, or the customer or job type of a job."""
    scope_id = "" if of is None else str(getattr(of, f"{scope}_id"))
    scope = Scope.ALL if of is None else scope
    amounts: dict[str, Any] = {"limit_nano": int(limit * USD), "spent_nano": int(spent * USD)}
    return services.set_spend_gate(key=f"{scope}-budget", scope=scope, scope_id=scope_id, **amounts)


def reserved() -> dict[int, int]:
    return dict(Execution.objects.order_by("job").values_list("job", "reserved_nano"))


def codes(job: Job) -> list[str]:
    return [reason.code for reason in queries.explain(Job.objects.get(pk=job.pk))]


# --- What starts ---------------------------------------------------------------------------------


def test_as_many_start_as_there_is_money_for_and_the_rest_says_why_it_waits(stage: Stage) -> None:
    jobs = make_jobs(5, **HOUR)
    gate = budget(jobs[0], limit=3.5, spent=0.5)
    assert stage.claim() == 3
    assert reserved() == {job.pk: USD for job in jobs[:3]}
    (reason,) = queries.explain(Job.objects.get(pk=jobs[3].pk))
    assert (reason.code, reason.value, reason.limit, reason.since) == ("BUDGET", "3.5", "3.5", gate.since)
    assert reason.hint == "The budget of its customer has not enough left for the 1 USD that this job may come to."
    assert stage.claim() == 0


@pytest.mark.parametrize(
    ("scope", "words"), [(Scope.ALL, "all jobs"), (Scope.CUSTOMER, "its customer"), (Scope.JOB_TYPE, "its job type")]
)
def test_a_budget_binds_its_scope_only_and_names_it(stage: Stage, scope: str, words: str) -> None:
    ours = [*Job.objects.in_bulk(submit(make_type(0), 2, customer="ours", **HOUR)).values()]
    theirs = [*Job.objects.in_bulk(submit(make_type(1), 2, customer="theirs", **HOUR)).values()]
    gate = budget(None if scope == Scope.ALL else ours[0], limit=0.5, scope=scope)
    SpendGate.objects.filter(pk=gate.pk).update(hint="Ask the desk.")
    assert stage.claim() == (0 if scope == Scope.ALL else 2)
    assert codes(ours[0]) == ["BUDGET"]
    assert codes(theirs[0]) == (["BUDGET"] if scope == Scope.ALL else [])
    (reason,) = queries.explain(ours[1])
    assert f"The budget of {words} has" in reason.hint
    assert reason.hint.endswith(" Ask the desk.")


@pytest.mark.parametrize("scope", [Scope.ALL, Scope.CUSTOMER, Scope.JOB_TYPE])
def test_a_customer_is_not_told_what_others_spend(stage: Stage, scope: str) -> None:
    owner, operator = make_customer_user(), make_operator()
    (job,) = Job.objects.in_bulk(submit(make_type(), owner=owner.user, **HOUR)).values()
    budget(None if scope == Scope.ALL else job, limit=0.75, spent=0.25, scope=scope)
    told = {}
    for person in (owner, operator):
        (reason,) = json_of(person.get(f"/v6/jobs/{job.pk}/explain/"))["reasons"]
        assert reason["code"] == "BUDGET"
        assert "1 USD that this job may come to" in reason["hint"]
        told[person] = (reason["value"], reason["limit"])
    assert told[operator] == ("0.25", "0.75")
    assert told[owner] == (told[operator] if scope == Scope.CUSTOMER else (None, None))


def test_each_budget_over_a_job_binds_it(stage: Stage) -> None:
    jobs = make_jobs(3, **HOUR)
    budget(jobs[0], limit=2)
    services.set_spend_gate(key="month", scope=Scope.CUSTOMER, scope_id=str(jobs[0].customer_id), limit_nano=USD)
    budget(limit=9)
    assert stage.claim() == 1
    services.drop_spend_gate(key="month")
    assert stage.claim() == 1


def test_what_ends_is_held_against_the_budget_until_it_is_metered(stage: Stage) -> None:
    first, second = make_jobs(2, **HOUR)
    budget(first, limit=1)
    stage.start(first)
    stage.end(first)
    assert (stage.claim(), codes(second)) == (0, ["BUDGET"])
    services.settle_reservations({stage.execution(first).pk: 0}, ended={stage.execution(first).pk})
    assert stage.claim() == 1


def test_what_costs_nothing_starts_until_more_is_spent_than_there_is() -> None:
    stage = Stage()
    jobs = make_jobs(2)
    gate = budget(jobs[0], limit=1, spent=1)
    assert (stage.claim(), set(reserved().values())) == (2, {0})
    services.note_spent({gate.key: USD + 1})
    late = make_job()
    assert (stage.claim(), codes(late)) == (0, ["BUDGET"])


def test_where_no_budget_is_nothing_is_reserved(stage: Stage) -> None:
    job, other = make_job(**HOUR), make_job(customer="other", **HOUR)
    budget(job, limit=5)
    assert stage.claim() == 2
    assert reserved() == {job.pk: USD, other.pk: 0}


def test_a_shorter_job_behind_one_that_is_too_dear_starts_now(stage: Stage) -> None:
    operator = make_operator()
    dear = make_job(operator, vcpus_milli=1000, timeout_seconds=36_000)
    cheap = make_job(operator, **HOUR)
    assert dear.lane_id == cheap.lane_id
    budget(dear, limit=2)
    assert stage.claim() == 1
    assert (codes(dear), codes(cheap)) == (["BUDGET"], [])
    assert Lane.objects.get(pk=dear.lane_id).blocked_since is None, "no room is kept for what money keeps"


def test_what_has_no_money_does_not_hide_what_is_behind_it(stage: Stage) -> None:
    dear = make_jobs(300, vcpus_milli=1000, timeout_seconds=36_000, priority=1)
    budget(dear[0], limit=2)
    make_job(customer="other", **HOUR)
    assert stage.claim() == 1


def test_a_job_that_could_be_paid_but_has_no_room_waits_for_room(stage: Stage) -> None:
    Place.objects.update(vcpus_milli=500)
    job = make_job(**HOUR)
    budget(job, limit=5)
    assert (stage.claim(), codes(job)) == (0, ["TOO_LARGE_VCPUS"])


# --- How much is reserved ------------------------------------------------------------------------


def _timed(seconds: int | None, affordable: int | None = None) -> Callable[[], Job]:
    def make() -> Job:
        job = make_job(vcpus_milli=1000, timeout_seconds=seconds)
        Job.objects.filter(pk=job.pk).update(affordable_seconds=affordable)
        return job

    return make


def _of_type(seconds: int | None) -> Callable[[], Job]:
    """Of a job type nine of whose ten executions took 900 seconds at most, and one a day."""

    def make() -> Job:
        job_type, now = make_type(), timezone.now()
        ids = submit(job_type, 10)
        finish(ids)
        for number, job in enumerate(Job.objects.in_bulk(ids).values(), 1):
            took = timedelta(days=1) if number == 10 else timedelta(seconds=100 * number)
            times = {"started_at": now - took, "ended_at": now}
            Execution.objects.create(job=job, number=1, place=job.place, status=states.COMPLETED, **times)
        (job_id,) = submit(job_type, 1, vcpus_milli=1000, timeout_seconds=seconds)
        return Job.objects.get(pk=job_id)

    return make


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (_timed(3600), 3600),
        (_timed(3600, 60), 60),
        (_timed(None), 86_400),
        (_of_type(3600), 900),
        (_of_type(None), 900),
        (_of_type(300), 300),
    ],
    ids=["timeout", "its own money", "unbounded", "history", "history alone", "history longer than its timeout"],
)
def test_what_an_execution_may_come_to_is_by_the_time_it_may_take(
    stage: Stage, make: Callable[[], Job], seconds: int
) -> None:
    budget(limit=100)
    job = make()
    assert stage.claim() == 1
    # Rounded up to what a price has as its smallest part.
    assert abs(stage.execution(job).reserved_nano * 3600 - seconds * USD) <= 3600


def test_it_is_by_the_customers_own_price_and_by_what_the_job_takes(stage: Stage) -> None:
    usual, own, large = (
        make_job(**HOUR),
        make_job(customer="own", **HOUR),
        make_job(vcpus_milli=4000, timeout_seconds=900),
    )
    price_vcpus_here("0.25", customer=Customer.objects.get(name="own"))
    budget(limit=100)
    stage.claim()
    assert reserved() == {usual.pk: USD, own.pk: USD // 4, large.pk: USD}
    for job in (usual, own, large):
        stage.start(job)
        stage.end(job)
    services.price_executions()
    assert [stage.execution(job).price_rate for job in (usual, own, large)] == [1, 0.25, 4]


def test_the_lists_and_the_metrics_know_the_reason(stage: Stage) -> None:
    (job,) = make_jobs(1, **HOUR)
    budget(limit=0.5)
    assert [row.reasons for row in queries.queue_rows()] == [{"BUDGET"}]
    assert list(queries.for_reasons(Job.objects.all(), ["BUDGET"])) == [job]


# --- What it costs -------------------------------------------------------------------------------


def _statements(stage: Stage, customers: int) -> list[str]:
    for number in range(customers):
        make_jobs(2, customer=f"customer {number}", **HOUR)
    with counted() as found:
        assert stage.claim() == 2 * customers
    return found.texts


def test_a_claim_asks_once_for_budgets_and_a_few_times_more_when_there_are_any(stage: Stage) -> None:
    without = _statements(stage, 2)
    assert len([text for text in without if "jobs_spendgate" in text or "reserved_nano >" in text]) == 1
    for job_type in (make_type(0), make_type(1)):
        submit(job_type, 1, **HOUR)
        make_job_in(states.QUEUED)
    stage.claim()
    budget(limit=1000)
    few = _statements(stage, 2)
    many = _statements(stage, 6)
    # What is reserved, and what customers are offered.
    assert len(few) == len(many) == len(without) + 2


def test_indexes_lead_to_what_is_reserved_and_to_what_jobs_of_a_type_took() -> None:
    plans = []
    with connection.cursor() as cursor:
        if sets.is_postgresql():
            # The tables are empty, and so small.
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            asked: Any = [(spend_sql._RESERVED, None), (spend_sql._TAKEN_POSTGRESQL, [[1], 200])]
        else:
            asked = [(spend_sql._RESERVED, None), (spend_sql._TAKEN_SQLITE, ["[1]", 200])]
        for statement, parameters in asked:
            cursor.execute(("EXPLAIN " if sets.is_postgresql() else "EXPLAIN QUERY PLAN ") + statement, parameters)
            plans.append("\n".join(str(row) for row in cursor.fetchall()))
    assert "execution_reserved" in plans[0]
    assert "job_of_type_in_state" in plans[1]
    assert "Sort" not in plans[1]
    assert "TEMP B-TREE" not in plans[1]


# --- Many at once --------------------------------------------------------------------------------


def _elsewhere() -> int:
    place = Place.objects.create(cloud="local", region="elsewhere")
    facts: dict[str, Any] = {**ROOMY, "runs_for": RunsFor.EVERYONE}
    services.report_place(place.pk, **facts)
    return place.pk


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_claims_at_two_places_never_take_more_than_there_is() -> None:
    if not sets.is_postgresql():
        pytest.skip("SQLite has one writer: two claims are never under way together")
    price_vcpus_here("1")
    stage, other = Stage(), _elsewhere()
    operator = make_operator()
    for turn in range(8):
        here = make_jobs(6, operator, customer=f"turn {turn}", **HOUR)
        make_jobs(6, operator, customer=f"turn {turn}", region="elsewhere", **HOUR)
        budget(here[0], limit=7)
        started = at_once([lambda: scheduling.claim(stage.place.pk), lambda: scheduling.claim(other)])
        assert sum(started) == 7, started
        assert sum(reserved().values()) == 7 * USD
        services.cancel_jobs([*Job.objects.filter(status=states.QUEUED).values_list("pk", flat=True)], actor=None)
        Execution.objects.update(reserved_nano=0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_started_while_a_budget_was_set_is_counted() -> None:
    if not sets.is_postgresql():
        pytest.skip("SQLite has one writer: a claim and a new budget are never under way together")
    price_vcpus_here("1")
    stage, other = Stage(), _elsewhere()
    for turn in range(6):
        jobs = make_jobs(6, customer=f"turn {turn}", **HOUR)
        make_jobs(6, customer=f"turn {turn}", region="elsewhere", **HOUR)
        claims = [partial(scheduling.claim, place, limit=4) for place in (stage.place.pk, other)]
        found = at_once([*claims, partial(budget, jobs[0], limit=9)])
        assert not [each for each in found if isinstance(each, Exception)]
        active = Execution.objects.filter(job__customer=jobs[0].customer_id)
        assert set(active.values_list("reserved_nano", flat=True)) <= {USD}
        stage.claim()
        scheduling.claim(other)
        assert active.count() == 9


# --- Whatever happens ----------------------------------------------------------------------------

_SECONDS = st.sampled_from([900, 1800, 3600, 7200])
_STEP: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("submit"), _SECONDS, st.sampled_from(["ours", "theirs"])),
    st.tuples(st.just("claim")),
    st.tuples(st.just("meter"), st.integers(0, 5), st.integers(0, 4)),
    st.tuples(st.just("end"), st.integers(0, 5), st.integers(0, 4)),
    st.tuples(st.just("limit"), st.integers(0, 12)),
)


class Billing:
    """Someone who owns two budgets, over the customer "ours" and over all, and meters what runs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ours = make_job(customer="ours", **HOUR).customer_id
        self.spent = {"ours": 0, "all": 0}
        self.limit(4)
        services.set_spend_gate(key="all", scope=Scope.ALL, limit_nano=5 * USD)

    def submit(self, seconds: int, customer: str) -> None:
        make_job(customer=customer, vcpus_milli=1000, timeout_seconds=seconds)

    def limit(self, halves: int) -> None:
        amounts: dict[str, Any] = {"limit_nano": halves * USD // 2, "spent_nano": self.spent["ours"]}
        services.set_spend_gate(key="ours", scope=Scope.CUSTOMER, scope_id=str(self.ours), **amounts)

    def meter(self, which: int, quarters: int, *, ends: bool = False) -> None:
        active = Execution.objects.filter(status__in=states.EXECUTION_ACTIVE).order_by("pk")
        execution = active[which : which + 1].first()
        if execution is None:
            return
        if ends:
            for happen in (self.stage.provider.start, self.stage.provider.end):
                happen(str(execution.uuid))
            assert scheduling.apply(self.stage.provider.observe([str(execution.uuid)])) == 1
        more = execution.reserved_nano * quarters // 4
        self.spent["all"] += more
        if execution.job.customer_id == self.ours:
            self.spent["ours"] += more
        with transaction.atomic():
            services.note_spent(self.spent)
            services.settle_reservations({execution.pk: more}, ended={execution.pk} if ends else ())

    def end(self, which: int, quarters: int) -> None:
        self.meter(which, quarters, ends=True)

    def claim(self) -> None:
        waits = Job.objects.filter(status=states.QUEUED)
        first = waits.order_by("priority", "queued_at", "pk").first()
        foreseen = codes(first) if first else []
        before = set(Execution.objects.values_list("pk", flat=True))
        self.stage.claim()
        scheduling.hand_over(self.stage.place.pk, self.stage.provider)
        began = Execution.objects.exclude(pk__in=before)
        for gate in SpendGate.objects.all():
            of = {} if gate.scope == Scope.ALL else {"job__customer": self.ours}
            kept = sum(Execution.objects.filter(**of).values_list("reserved_nano", flat=True))
            if began.filter(**of).exists():
                assert gate.spent_nano + kept <= gate.limit_nano
        if first is not None:
            assert began.filter(job=first).exists() == (foreseen == ["NEXT"]), foreseen
        assert {tuple(codes(job)) for job in waits} <= {("BUDGET",), ("BUDGET", "BUDGET")}


def test_whatever_happens_no_claim_takes_more_than_there_is_and_explain_says_the_same(stage: Stage) -> None:
    @trials(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_STEP, min_size=1, max_size=20))
    def run(steps: list[tuple[Any, ...]]) -> None:
        with transaction.atomic():
            billing = Billing(stage)
            for name, *given_ in steps:
                getattr(billing, name)(*given_)
            billing.claim()
            transaction.set_rollback(True)

    run()
