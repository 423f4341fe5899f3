"""/v6/usage/ and /v6/corrections/."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from billing import services
from billing.models import Bill, UsageKind, UsageRecord
from jobs.models import Job
from tests.answers import json_of
from tests.billing.scene import MONTH, follow_from_here, price_here, ran
from tests.billing.services.test_bills import entry, put
from tests.factories import Person, make_job_type
from tests.fleet import make_cluster, make_container, make_version
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
USAGE, CORRECTIONS = "/v6/usage/", "/v6/corrections/"


@pytest.fixture
def people() -> Mapping[str, Person]:
    follow_from_here()
    return everybody()


@pytest.fixture
def job(people: Mapping[str, Person]) -> Job:
    """It ran for an hour and a half, of which each hour has a record."""
    price_here("1.5")
    job = ran(MONTH, timedelta(minutes=90), owner=people["owner"], vcpus_milli=1000, memory_mib=512)
    services.meter()
    return job


def ids(person: Person, **question: Any) -> list[int]:
    return [row["id"] for row in json_of(person.get(USAGE, **question))["results"]]


@pytest.mark.parametrize("who", WHO)
def test_staff_read_all_and_customers_their_own(who: str, people: Mapping[str, Person], job: Job) -> None:
    record = UsageRecord.objects.latest("pk")
    answer, one = people[who].get(USAGE), people[who].get(f"{USAGE}{record.pk}/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401)
        refused(one, 401)
    elif who == "stranger":
        assert json_of(answer)["results"] == []
        refused(one, 404, "USAGE_NOT_FOUND")
    else:
        assert json_of(answer)["count"] == 2
        assert json_of(one)["id"] == record.pk


def test_a_record_says_what_was_used_and_what_it_costs(people: Mapping[str, Person], job: Job) -> None:
    last, first = json_of(people["owner"].get(USAGE))["results"]
    execution = job.executions.get()
    reference = {"id": job.pk, "uuid": str(job.uuid)}
    assert {name: first[name] for name in first if name not in ("id", "metered")} == {
        "kind": "execution", "number": 0, "begun": "2026-03-01T00:00:00Z", "ended": "2026-03-01T01:00:00Z",
        "customer": "acme", "owner": "owner", "job": reference, "root_job": reference,
        "execution": {"id": execution.pk, "uuid": str(execution.uuid)}, "container": None, "job_type": None,
        "cluster": None, "shape": "container", "cloud": "local", "region": "local", "run_seconds": 3600.0,
        "vcpu_seconds": 3600.0, "gb_seconds": 1800.0, "peer_seconds": 0.0, "free_peer_seconds": 0.0,
        "price": {"offer": "vcpu + gb", "per_hour": "1.5", "currency": "USD"}, "currency": "USD", "cost": "1.5",
        "month": "2026-03", "note": "", "entered_by": None, "corrects": None,
    }  # fmt: skip
    assert (last["run_seconds"], last["cost"]) == (1800.0, "0.75")


def test_pages_go_on_by_key(people: Mapping[str, Person], job: Job) -> None:
    for minutes in (5, 6):
        ran(MONTH, timedelta(minutes=minutes), owner=people["owner"])
    services.meter()
    found, page = [], json_of(people["owner"].get(USAGE, page_size=3))
    while True:
        found += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        page = json_of(people["owner"].client.get(page["next"]))
    assert found == sorted(UsageRecord.objects.values_list("pk", flat=True), reverse=True)
    assert len(found) == 4


def test_filters_find_what_they_name(people: Mapping[str, Person], job: Job) -> None:
    admin, execution = people["admin"], job.executions.get()
    ran(MONTH + timedelta(days=40), timedelta(minutes=5), owner=people["stranger"], customer="other")
    services.meter()
    first, second, other = sorted(UsageRecord.objects.values_list("pk", flat=True))
    for question, expected in (
        ({"customer": "acme"}, [second, first]),
        ({"owner": "stranger"}, [other]),
        ({"job": job.pk}, [second, first]),
        ({"job": str(job.uuid)}, [second, first]),
        ({"job": 10**9}, []),
        ({"execution": str(execution.uuid)}, [second, first]),
        ({"execution": execution.pk, "since": "2026-03-01T01:00:00Z"}, [second]),
        ({"until": "2026-03-01T01:00:00Z"}, [first]),
        ({"month": "2026-04"}, [other]),
        ({"month": ["2026-03", "2026-04"], "kind": "execution"}, [other, second, first]),
        ({"kind": "correction"}, []),
        ({"cloud": "local", "region": "local", "customer": "other"}, [other]),
        ({"cloud": "aws"}, []),
    ):
        assert ids(admin, **question) == expected, question
    assert ids(people["stranger"], customer="acme") == []


def test_containers_are_found_by_container_cluster_and_job_type(people: Mapping[str, Person]) -> None:
    make_version()
    owner = people["owner"].user
    container, job_type = make_container(make_cluster(owner)), make_job_type()
    cluster, customer = container.cluster, owner.customer_id
    assert customer is not None
    of: dict[str, Any] = {"shape": "", "cluster_id": cluster.pk, "owner_id": owner.pk}
    put(
        entry(customer, kind=UsageKind.CONTAINER, source_id=container.pk, **of),
        entry(customer, kind=UsageKind.PEERS, source_id=container.pk, peer_ms=1500, free_ms=500, **of),
        entry(customer, shape="seed", job_type_id=job_type.pk, source_id=container.pk),
    )
    contained, peers, seed = sorted(UsageRecord.objects.values_list("pk", flat=True))
    for reference in (container.pk, str(container.uuid)):
        assert ids(people["owner"], container=reference) == [peers, contained]
    for reference in (cluster.pk, str(cluster.uuid)):
        assert ids(people["owner"], cluster=reference) == [peers, contained]
    assert ids(people["owner"], job_type=job_type.name) == [seed]
    row = json_of(people["owner"].get(f"{USAGE}{peers}/"))
    assert row["container"] == {"id": container.pk, "uuid": str(container.uuid)}
    assert row["cluster"] == {"id": cluster.pk, "uuid": str(cluster.uuid), "name": cluster.name}
    assert (row["peer_seconds"], row["free_peer_seconds"], row["execution"]) == (1.5, 0.5, None)
    shown = json_of(people["owner"].get(f"{USAGE}{seed}/"))
    assert shown["job_type"] == {"id": job_type.pk, "name": job_type.name, "version": job_type.version}
    assert shown["execution"] == {"id": container.pk, "uuid": None}, "it is gone"
    refused(people["colleague"].get(f"{USAGE}{peers}/"), 404, "USAGE_NOT_FOUND")
    assert ids(people["colleague"]) == [seed]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "what"), ("job", "x"), ("execution", "x"), ("container", "x"), ("cluster", "x"), ("since", "soon"),
        ("until", "soon"), ("month", "2026"), ("month", "2026-13"), ("month", "0000-01"), ("order", "cost"),
        ("what", "x"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_read_is_refused_by_field(
    field: str, value: str, people: Mapping[str, Person]
) -> None:
    refused(people["owner"].get(USAGE, **{field: value}), 400, "INVALID_REQUEST", field)


def test_a_receipt_says_where_it_is_billed(people: Mapping[str, Person], job: Job) -> None:
    first = UsageRecord.objects.earliest("pk")
    path = f"{USAGE}{first.pk}/"
    before = json_of(people["owner"].get(path))
    assert [before[name] for name in ("bill", "line", "stripe", "others", "corrections")] == [None, None, None, [], []]
    services.draw_up_drafts()
    bill = Bill.objects.get()
    bill.stripe_invoice = "in_1"
    bill.save()
    bill.lines.update(stripe_item="ii_1")
    with within_budget("GET /v6/usage/{id}/"):
        receipt = json_of(people["owner"].get(path))
    assert receipt["bill"] == {"id": bill.pk, "uuid": str(bill.uuid), "month": "2026-03", "status": "draft"}
    assert receipt["line"] == {"position": 1, "label": "Container jobs"}
    assert receipt["stripe"] == {"invoice": "in_1", "item": "ii_1"}


def test_a_list_takes_as_many_statements_for_any_number(people: Mapping[str, Person], job: Job) -> None:
    for n in range(5):
        ran(MONTH + timedelta(hours=n), timedelta(minutes=5), owner=people["owner"])
    services.meter()
    with within_budget("GET /v6/usage/"):
        assert json_of(people["owner"].get(USAGE))["count"] == 7


# --- Corrections -----------------------------------------------------------------------------------


def body(**more: Any) -> dict[str, Any]:
    return {"customer": "acme", "amount": "-12.5", "note": "The outage.", **more}


@pytest.mark.parametrize("who", WHO)
def test_only_admins_correct(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].post(CORRECTIONS, body())
    if who == "admin":
        assert answer.status_code == 201, answer.content
        assert UsageRecord.objects.get().cost_nano == -12_500_000_000
    else:
        refused(answer, 401 if who in ("anonymous", "disabled") else 403)
        assert not UsageRecord.objects.exists()


def test_a_correction_stands_on_the_receipt_of_what_it_is_of(people: Mapping[str, Person], job: Job) -> None:
    first = UsageRecord.objects.earliest("pk")
    with within_budget("POST /v6/corrections/"):
        answer = people["admin"].post(CORRECTIONS, {"record": first.pk, "amount": "-0.123456789", "note": "Ours."})
    made = json_of(answer)
    assert answer.headers["Location"].endswith(f"{USAGE}{made['id']}/")
    assert (made["kind"], made["cost"], made["note"]) == ("correction", "-0.123456789", "Ours.")
    assert (made["customer"], made["corrects"], made["entered_by"]) == ("acme", first.pk, "root")
    assert made["job"]["id"] == job.pk
    [shown] = json_of(people["colleague"].get(f"{USAGE}{first.pk}/"))["corrections"]
    assert shown["id"] == made["id"]
    other = UsageRecord.objects.exclude(kind="correction").latest("pk")
    assert json_of(people["owner"].get(f"{USAGE}{other.pk}/"))["corrections"] == []


def test_what_the_meter_said_of_the_same_time_stands_there_too(people: Mapping[str, Person], job: Job) -> None:
    first, customer = UsageRecord.objects.earliest("pk"), people["owner"].user.customer_id
    assert customer is not None
    put(entry(customer, source_id=first.source_id, number=1, cost="-1.5", run_ms=-3_600_000))
    shown = json_of(people["owner"].get(f"{USAGE}{first.pk}/"))["others"]
    assert [(each["number"], each["cost"], each["run_seconds"]) for each in shown] == [(1, "-1.5", -3600.0)]


def test_the_same_key_corrects_once(people: Mapping[str, Person]) -> None:
    key = {"headers": {"Idempotency-Key": "one"}}
    answers = [json_of(people["admin"].post(CORRECTIONS, body(), **key)) for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"] == UsageRecord.objects.get().pk


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"amount": "0"}, "amount"), ({"amount": 5}, "amount"), ({"amount": "1e3"}, "amount"),
        ({"amount": ""}, "amount"), ({"amount": "0.1234567891"}, "amount"), ({"amount": "9999999999"}, "amount"),
        ({"note": ""}, "note"),
        ({"note": "x" * 256}, "note"), ({"customer": "nobody"}, "customer"), ({"record": 10**9}, "record"),
        ({"record": "x"}, "record"), ({"what": 1}, "what"),
    ],
)  # fmt: skip
def test_a_correction_that_cannot_be_is_refused_by_field(
    more: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    refused(people["admin"].post(CORRECTIONS, body(**more)), 400, "INVALID_REQUEST", field)
    assert not UsageRecord.objects.exists()


def test_a_correction_is_of_whose_record_it_is(people: Mapping[str, Person], job: Job) -> None:
    first = UsageRecord.objects.earliest("pk")
    refused(people["admin"].post(CORRECTIONS, body(customer="other", record=first.pk)), 400, "", "record")
    refused(people["admin"].post(CORRECTIONS, {"amount": "1", "note": "Whose?"}), 400, "", "customer")
