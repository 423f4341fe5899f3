"""A job type says which resources its queued jobs lack for good, as long as they do."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import services, tasks
from jobs.models import Lane, Place
from jobtypes.models import JobType
from tests.factories import make_jobs, make_place
from tests.jobs.counted import finish, make_type, submit
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


def unmet(job_type: JobType) -> str | None:
    job_type.refresh_from_db()
    return job_type.unmet_resources


@pytest.mark.parametrize(
    ("wishes", "names"),
    [
        ({"vcpus_milli": 2000, "memory_mib": 1000}, None),
        ({"vcpus_milli": 2001, "memory_mib": 1000}, "cpus"),
        ({"vcpus_milli": 2000, "memory_mib": 1001}, "mem"),
        ({"vcpus_milli": 9000, "memory_mib": 9000}, "cpus,mem"),
    ],
)
def test_it_names_what_no_job_can_have_at_its_place(wishes: dict[str, Any], names: str | None) -> None:
    make_place(vcpus_milli=2000, memory_mib=1000)
    job_type, other = make_type(), make_type(2)
    submit(job_type, **wishes)
    submit(other, vcpus_milli=100, memory_mib=100)
    edited = job_type.modified_at
    tasks.sweep()
    assert (unmet(job_type), unmet(other)) == (names, None)
    assert job_type.modified_at == edited


def test_what_is_full_now_is_not_unmet() -> None:
    make_place(vcpus_milli=2000, memory_mib=1000)
    job_type = make_type()
    submit(job_type, 50, vcpus_milli=2000)
    assert (services.refresh_unmet(), unmet(job_type)) == (0, None)


def test_it_is_gone_as_soon_as_the_place_is_large_enough() -> None:
    make_place(vcpus_milli=2000)
    job_type = make_type()
    submit(job_type, vcpus_milli=4000)
    assert (services.refresh_unmet(), unmet(job_type)) == (1, "cpus")
    assert services.refresh_unmet() == 0
    make_place(vcpus_milli=4000)
    assert (services.refresh_unmet(), unmet(job_type)) == (1, None)


def test_it_is_gone_when_nothing_waits_any_more() -> None:
    make_place(vcpus_milli=2000)
    job_type = make_type()
    ids = submit(job_type, vcpus_milli=4000)
    services.refresh_unmet()
    finish(ids, "CANCELED")
    assert Lane.objects.get().waiting, "a hint, which may be stale"
    assert (services.refresh_unmet(), unmet(job_type)) == (1, None)


@pytest.mark.parametrize(("special", "names"), [("gpus", "mem,gpus"), ("gpus, licences", "mem,gpus,licences")])
def test_what_no_place_ever_offers_is_named_too(special: str, names: str) -> None:
    make_place(memory_mib=100)
    job_type = make_type(special_resources=special)
    services.refresh_unmet()
    assert unmet(job_type) is None, "nothing waits"
    submit(job_type, memory_mib=200)
    services.refresh_unmet()
    assert unmet(job_type) == names


def test_a_place_that_nobody_has_served_yet_may_be_of_any_size() -> None:
    make_place()
    job_type = make_type()
    submit(job_type)
    Place.objects.update(vcpus_milli=0, memory_mib=0, seen_at=None)
    assert (services.refresh_unmet(), unmet(job_type)) == (0, None)


def test_the_longest_list_of_names_is_cut() -> None:
    make_place()
    names = ",".join(f"resources-{n}" for n in range(20))
    job_type = make_type(special_resources=names)
    make_place(vcpus_milli=1, memory_mib=1)
    submit(job_type)
    services.refresh_unmet()
    assert unmet(job_type) == f"cpus,mem,{names}"[:250]


def test_jobs_without_a_type_are_not_looked_at() -> None:
    make_place(vcpus_milli=1)
    make_jobs(2)
    assert services.refresh_unmet() == 0


def test_a_look_costs_the_same_whatever_the_number_of_types() -> None:
    make_place(vcpus_milli=1)
    for n in range(10):
        submit(make_type(n))
    with counted() as statements:
        assert services.refresh_unmet() == 10
    assert len(statements) == 4, statements
