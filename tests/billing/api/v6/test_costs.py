"""/v6/costs/, and what one job, cluster or job type costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing import services
from billing.models import UsageKind
from jobs.models import Execution
from tests.answers import json_of
from tests.billing.scene import MONTH, follow_from_here, price_here, ran
from tests.billing.services.test_bills import entry, put
from tests.factories import Person, make_job, make_job_type
from tests.fleet import make_cluster, make_version
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget
from tests.seeds import Scene

pytestmark = pytest.mark.django_db
COSTS = "/v6/costs/"


@pytest.fixture
def people() -> Mapping[str, Person]:
    follow_from_here()
    return everybody()


@pytest.fixture
def spent(people: Mapping[str, Person]) -> None:
    """Ann's customer spent 1 dollar on the first and 2 on the second of March; the other one 4."""
    price_here("1")
    for who, day, hours in (("owner", 0, 1), ("owner", 1, 2), ("stranger", 1, 4)):
        customer = people[who].user.customer
        assert customer is not None
        began = MONTH + timedelta(days=day)
        ran(began, timedelta(hours=hours), owner=people[who], customer=customer.name, vcpus_milli=1000)
    services.meter()


@pytest.mark.parametrize("who", WHO)
@pytest.mark.usefixtures("spent")
def test_everybody_sees_what_they_may(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].get(COSTS, group_by="customer")
    if who in ("anonymous", "disabled"):
        refused(answer, 401)
        return
    acme, other = ("acme", "3"), ("other", "4")
    expected = {"owner": [acme], "colleague": [acme], "stranger": [other]}.get(who, [acme, other])
    told = json_of(answer)
    assert [(row["customer"], row["cost"]) for row in told["results"]] == expected
    assert told["total"] == {"owner": "3", "colleague": "3", "stranger": "4"}.get(who, "7")
    assert told["currency"] == "USD"


@pytest.mark.usefixtures("spent")
def test_groups_are_repeated_or_between_commas(people: Mapping[str, Person]) -> None:
    admin = people["admin"]
    whole = json_of(admin.get(COSTS))
    assert whole["results"] == [
        {
            "run_seconds": 25200.0, "vcpu_seconds": 25200.0, "gb_seconds": whole["results"][0]["gb_seconds"],
            "peer_seconds": 0.0, "free_peer_seconds": 0.0, "records": 7, "cost": "7",
        }
    ]  # fmt: skip
    with within_budget("GET /v6/costs/"):
        comma = json_of(admin.get(COSTS, group_by="customer,day"))
    assert comma == json_of(admin.get(COSTS, group_by=["customer", "day"]))
    assert [(row["customer"], row["day"], row["cost"]) for row in comma["results"]] == [
        ("acme", "2026-03-01", "1"),
        ("acme", "2026-03-02", "2"),
        ("other", "2026-03-02", "4"),
    ]
    [row] = json_of(admin.get(COSTS, group_by="month,kind,shape,region,job_type,cluster"))["results"]
    named = ("month", "kind", "shape", "cloud", "region", "job_type", "cluster")
    assert [row[name] for name in named] == ["2026-03", "execution", "container", "local", "local", None, None]


@pytest.mark.usefixtures("spent")
def test_filters_choose_what_is_summed(people: Mapping[str, Person]) -> None:
    for question, total in (
        ({"since": "2026-03-02"}, "6"),
        ({"until": "2026-03-01"}, "1"),
        ({"since": "2026-03-02", "until": "2026-03-02", "customer": "acme"}, "2"),
        ({"month": "2026-03"}, "7"),
        ({"month": "2026-04"}, "0"),
        ({"cloud": "local", "region": "local"}, "7"),
        ({"region": "elsewhere"}, "0"),
        ({"job_type": "count-words"}, "0"),
        ({"cluster": 1}, "0"),
    ):
        assert json_of(people["monitor"].get(COSTS, **question))["total"] == total, question
    assert json_of(people["owner"].get(COSTS, customer="other"))["total"] == "0"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("group_by", "colour"), ("group_by", "customer,,day"), ("since", "2026-02-30"), ("since", "20260301"),
        ("until", "PT1H"), ("month", "March"), ("cluster", "x"), ("owner", "ada"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_read_is_refused_by_field(
    field: str, value: str, people: Mapping[str, Person]
) -> None:
    refused(people["owner"].get(COSTS, **{field: value}), 400, "INVALID_REQUEST", field)


@pytest.mark.usefixtures("spent")
def test_too_many_groups_are_refused(people: Mapping[str, Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.queries.costs.MOST_GROUPS", 1)
    refused(people["admin"].get(COSTS, group_by="customer"), 400, "INVALID_REQUEST", "group_by")


# --- Of one thing ----------------------------------------------------------------------------------


def statuses(people: Mapping[str, Person], path: str) -> dict[str, int]:
    return {who: people[who].get(path).status_code for who in WHO}


def who_may(**but: int) -> dict[str, int]:
    return {**dict.fromkeys(WHO, 200), "anonymous": 401, "disabled": 401, **but}


def cost_of(**told: Any) -> dict[str, Any]:
    return {"currency": "USD", "running": "0", "estimated_total": None, **told}


def test_what_a_job_costs_whoever_reads_it_may_see(people: Mapping[str, Person]) -> None:
    price_here("1")
    job = ran(MONTH, timedelta(hours=2), owner=people["owner"], vcpus_milli=1000)
    path = f"/v6/jobs/{job.pk}/cost/"
    unmetered = json_of(people["owner"].get(path))
    assert unmetered == cost_of(so_far="2", metered="0", running="2", estimated_total="2")
    services.meter()
    with within_budget("GET /v6/jobs/{id}/cost/"):
        told = json_of(people["owner"].get(f"/v6/jobs/{job.uuid}/cost/"))
    assert told == cost_of(so_far="2", metered="2", estimated_total="2")
    assert statuses(people, path) == who_may(stranger=404)
    waiting = make_job(people["owner"], vcpus_milli=1000)
    assert json_of(people["owner"].get(f"/v6/jobs/{waiting.pk}/cost/"))["estimated_total"] == "2"


def test_what_a_cluster_costs_its_owner_and_staff_may_see(people: Mapping[str, Person]) -> None:
    make_version()
    owner = people["owner"].user
    cluster, customer = make_cluster(owner), owner.customer_id
    assert customer is not None
    put(entry(customer, "1.25", kind=UsageKind.PEERS, shape="", cluster_id=cluster.pk, owner_id=owner.pk))
    path = f"/v6/clusters/{cluster.uuid}/cost/"
    with within_budget("GET /v6/clusters/{id}/cost/"):
        assert json_of(people["owner"].get(path)) == cost_of(so_far="1.25", metered="1.25")
    assert statuses(people, path) == who_may(colleague=404, stranger=404)


def test_what_a_job_type_costs_is_for_staff(people: Mapping[str, Person], tmp_path: Path, settings: Any) -> None:
    price_here("1")
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    seeds = Scene(tmp_path / "results", people["owner"])
    job_type, other = seeds.job_type(), make_job_type("other")
    job = seeds.submit(job_type)
    seeds.start(job)
    Execution.objects.filter(job=job).update(started_at=MONTH)
    services.checkpoint(MONTH + timedelta(hours=3, minutes=5))
    metered = Execution.objects.get(job=job).price_rate
    assert metered
    path = f"/v6/job-types/{job_type.name}/{job_type.version}/cost/"
    with within_budget("GET /v6/job-types/{name}/{version}/cost/"):
        told = json_of(people["monitor"].get(path))
    assert Decimal(told["metered"]) == metered * 3
    assert Decimal(told["running"]) > 0
    assert json_of(people["monitor"].get(f"/v6/job-types/other/{other.version}/cost/"))["so_far"] == "0"
    assert statuses(people, path) == who_may(owner=403, colleague=403, stranger=403)
    refused(people["admin"].get(f"/v6/job-types/{job_type.name}/9.9.9/cost/"), 404)


def test_what_is_not_there_costs_nothing_known(people: Mapping[str, Person]) -> None:
    refused(people["admin"].get("/v6/jobs/999999/cost/"), 404)
    refused(people["admin"].get("/v6/clusters/999999/cost/"), 404)
