"""The filters of jobs by themselves, as lists and bulk work use them."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from jobs import services, states
from jobs.filters import JobFilter
from jobs.models import Job
from tests.factories import make_job, make_job_in, make_jobs

pytestmark = pytest.mark.django_db


def filtered(query: str) -> JobFilter:
    return JobFilter(QueryDict(query), queryset=Job.objects.order_by("id"))


def found(query: str) -> list[int]:
    filters = filtered(query)
    assert filters.is_valid(), filters.faults()
    return [job.pk for job in filters.qs]


@pytest.mark.parametrize("status", states.SHOWN_STATES)
def test_a_status_finds_the_states_that_are_shown_so(status: str) -> None:
    jobs = {state: make_job_in(state).pk for state in states.JOB_STATES}
    assert set(found(f"status={status}")) == {jobs[state] for state in jobs if states.SHOWN[state] == status}
    assert set(found("status=QUEUED&status=RUNNING&status=FAILED")) == {
        jobs[state] for state in jobs if states.SHOWN[state] in ("QUEUED", "RUNNING", "FAILED")
    }


@pytest.mark.parametrize(
    ("tags", "query", "is_found"),
    [
        *[({"a": "b"}, query, True) for query in ("a", "a:b")],
        *[({"a": "b"}, query, False) for query in ("b", "a:", "a:bb", "A", ":b")],
        *[({"a": True}, "a:true", True), ({"a": False}, "a:false", True), ({"a": True}, "a:1", False)],
        *[({"a": 5}, "a:5", True), ({"a": 1.5}, "a:1.5", True), ({"a": "5"}, "a:5", True)],
        *[({"a": None}, "a", True), ({"a": None}, "a:null", False), ({"a": None}, "a:", False)],
        *[({"a": ""}, "a:", True), ({"": "x"}, ":x", True), ({"a": "b:c"}, "a:b:c", True)],
        *[
            ({"ü ö": "ß"}, "ü ö:ß", True),
            ({'a"b.c$[0]': "x"}, 'a"b.c$[0]:x', True),
            ({'a"b.c$[0]': "x"}, 'a"b.c$[0]', True),
        ],
        *[({"0": "x"}, "0", True), ({"a": "%"}, "a:%", True), ({"a": "x"}, "a:%", False), ({}, "a", False)],
        *[({"a'b": "c'd"}, "a'b:c'd", True), ({"a": {"b": 1}}, "b", False), ({"a": ["b"]}, "a", True)],
    ],
)
def test_a_tag_is_found_by_its_key_or_by_key_and_value(tags: dict[str, Any], query: str, is_found: bool) -> None:
    job = make_job(tags=tags)
    make_job(tags={"z": "z"})
    data = QueryDict(mutable=True)
    data.setlist("tag", [query])
    filters = JobFilter(data, queryset=Job.objects.all())
    assert filters.is_valid()
    assert [each.pk for each in filters.qs] == ([job.pk] if is_found else [])


def test_several_tags_are_ored() -> None:
    first, second = make_job(tags={"a": "1"}), make_job(tags={"b": "2"})
    make_job(tags={"c": "3"})
    assert found("tag=a&tag=b:2") == [first.pk, second.pk]


def test_nothing_asked_finds_all() -> None:
    jobs = [job.pk for job in make_jobs(2)]
    assert found("") == found("status=&tag=&started=&on_hold=&job_type_id=") == jobs


def test_ten_thousand_ids_are_looked_for() -> None:
    (job,) = make_jobs(1)
    data = QueryDict(mutable=True)
    data.setlist("job_id", [str(job.pk), *map(str, range(10**9, 10**9 + 9999))])
    filters = JobFilter(data, queryset=Job.objects.all())
    assert filters.is_valid()
    assert list(filters.qs) == [job]
    data.appendlist("job_id", "7")
    assert "job_id" in JobFilter(data, queryset=Job.objects.all()).faults()


def test_every_fault_is_told_by_its_name() -> None:
    faults = filtered("status=LIMBO&job_id=x&started=today&on_hold=perhaps&nonsense=1&statuses=2").faults()
    assert set(faults) == {"status", "job_id", "started", "on_hold", "nonsense", "statuses"}
    assert all(len(messages) == 1 and messages[0] for messages in faults.values())


def test_what_was_chosen_means_the_same_later() -> None:
    filters = filtered("status=failed&status=Canceled&started=PT1H&on_hold=F&job_id=7&customer=&page=2")
    assert filters.is_valid()
    chosen = filters.chosen()
    assert {name: values for name, values in chosen.items() if name != "started"} == {
        "status": ["FAILED", "CANCELED"],
        "on_hold": ["false"],
        "job_id": ["7"],
    }
    again = QueryDict(mutable=True)
    for name, values in chosen.items():
        again.setlist(name, values)
    repeated = JobFilter(again, queryset=Job.objects.all())
    assert repeated.is_valid()
    assert repeated.chosen() == chosen


def test_reasons_find_what_waits_for_them_and_what_ended_so() -> None:
    failed = make_job_in(states.FAILED)
    waiting, held = make_jobs(2)
    services.hold_jobs([held.pk], actor=None)
    assert found("reason=HELD") == [held.pk]
    assert found("reason=EXIT_3&reason=HELD") == [failed.pk, held.pk]
    assert found("reason=NEXT") == [waiting.pk]
