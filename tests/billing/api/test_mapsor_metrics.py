"""GET /get-metrics: what it says, what it refuses, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client

from accounts import services as accounts
from accounts.models import TokenScope
from billing import hours, services
from jobs.models import Place
from tests.answers import assert_refused, json_of, text_of
from tests.billing.scene import MONTH, follow_from_here, ran, running
from tests.factories import Person, make_admin, make_customer_user, make_monitor, make_operator
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
START: Final = hours.milliseconds(MONTH)
END: Final = START + 31 * 24 * hours.HOUR_MS
MARCH: Final[dict[str, Any]] = {
    "start_date": START,
    "end_date": END,
    "cloud_provider": "local",
    "region": "local",
}


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()


@pytest.fixture
def admin() -> Person:
    return make_admin()


def report(person: Person, **parameters: Any) -> dict[str, Any]:
    body = json_of(person.get("/get-metrics", **{**MARCH, **parameters}))
    assert set(body) == {"response"}
    found: dict[str, Any] = body["response"]
    return found


def refused(person: Person, field: str, code: str = "INVALID_REQUEST", **parameters: Any) -> None:
    given = {name: value for name, value in {**MARCH, **parameters}.items() if value is not None}
    assert_refused(person.get("/get-metrics", **given), 400, code, f"{field}: ")


def test_it_says_what_each_customer_used_and_what_its_part_of_the_price_is(admin: Person) -> None:
    ran(MONTH - timedelta(minutes=5), timedelta(minutes=15), customer="acme", vcpus_milli=2000, memory_mib=512)
    ran(MONTH + timedelta(hours=1), timedelta(milliseconds=1500), customer="globex", vcpus_milli=1000, memory_mib=1024)
    services.meter()
    acme = {"customer": "acme", "jobs": 1, "run_seconds": 600, "vcpu_seconds": 1200, "memory_gb_seconds": 300}
    globex = {"customer": "globex", "jobs": 1, "run_seconds": 1.5, "vcpu_seconds": 1.5, "memory_gb_seconds": 1.5}
    acme["share"], globex["share"] = 1200 / 1201.5, 1.5 / 1201.5
    assert report(admin) == {**MARCH, "metrics": [acme, globex]}
    acme["cost"], globex["cost"] = 9988, 12  # 9987.52 and 12.48
    assert report(admin, price=10_000) == {**MARCH, "price": 10_000, "metrics": [acme, globex]}


def test_what_runs_now_is_in_it(admin: Person) -> None:
    running(MONTH)
    [row] = report(admin)["metrics"]
    assert row["run_seconds"] == (END - START) / 1000
    assert row["jobs"] == 1


def test_where_nothing_ran_the_list_is_empty(admin: Person) -> None:
    assert report(admin, price=5) == {**MARCH, "price": 5, "metrics": []}
    assert report(admin, price=0) == {**MARCH, "price": 0, "metrics": []}


@pytest.mark.parametrize("price", [0, 1, 7, 2**63 - 1])
def test_costs_add_up_to_any_price(price: int, admin: Person) -> None:
    for name in "abc":
        ran(MONTH, timedelta(minutes=1), customer=name)
    assert sum(row["cost"] for row in report(admin, price=price)["metrics"]) == price


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "1e3", "+1", " 1", "1_0", "٣", str(2**63), "9" * 5000, "nan"])
def test_a_price_that_is_none_is_400_and_named(value: str, admin: Person) -> None:
    refused(admin, "price", price=value)


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize("value", [None, "", "x", "nan", "inf", "-inf", "1e400", "2026-03-01", "0x1", "\0", "1,5"])
def test_a_time_that_is_no_number_is_400_and_named(name: str, value: Any, admin: Person) -> None:
    refused(admin, name, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_date", "-1e300"), ("start_date", "-62135596800001"), ("end_date", "253370764800001"),
        ("end_date", "1e300"),
    ],
)  # fmt: skip
def test_a_time_beyond_the_calendar_is_400_and_named(name: str, value: str, admin: Person) -> None:
    refused(admin, name, **{name: value})


def test_the_whole_calendar_is_a_window(admin: Person) -> None:
    ran(MONTH, timedelta(minutes=1))
    ends = {"start_date": -62_135_596_800_000, "end_date": 253_370_764_800_000}
    assert [row["run_seconds"] for row in report(admin, **ends)["metrics"]] == [60]


@pytest.mark.parametrize("until", [START, START - 1, START + 0.9])
def test_a_window_with_nothing_in_it_is_400(until: float, admin: Person) -> None:
    refused(admin, "end_date", end_date=until)


def test_less_than_a_millisecond_does_not_count(admin: Person) -> None:
    ran(MONTH, timedelta(minutes=1))
    found = report(admin, start_date=f"{START}.9", end_date=f"{START + 2}.9")
    assert (found["start_date"], found["end_date"]) == (START, START + 2)
    assert [row["run_seconds"] for row in found["metrics"]] == [0.002]


@pytest.mark.parametrize("cloud", [None, "", "gcp", "LOCAL", "\0"])
def test_an_unknown_cloud_is_400_and_named(cloud: str | None, admin: Person) -> None:
    refused(admin, "cloud_provider", cloud_provider=cloud)


@pytest.mark.parametrize("region", [None, "", "x", "x" * 5000, "\0", "'; --"])
def test_an_unknown_region_is_400_and_named(region: str | None, admin: Person) -> None:
    refused(admin, "region", region=region)


@pytest.mark.parametrize("cloud", ["aws", "azure"])
def test_a_cloud_that_is_not_configured_is_400_until_something_was_to_run_there(cloud: str, admin: Person) -> None:
    refused(admin, "cloud_provider", "PROVIDER_NOT_CONFIGURED", cloud_provider=cloud, region="north-1")
    Place.objects.create(cloud=cloud, region="north-1")
    assert report(admin, cloud_provider=cloud, region="north-1")["metrics"] == []


@pytest.mark.parametrize("make", [make_operator, make_monitor, make_customer_user])
def test_it_is_for_admins(make: Any) -> None:
    assert_refused(make().get("/get-metrics", **MARCH), 403, "FORBIDDEN", "admin")


def test_an_admins_token_that_only_reads_will_do_also_in_the_query(admin: Person) -> None:
    token = accounts.create_token(user=admin.user, actor=None, scope=TokenScope.READ).secret
    answer = Client().get("/get-metrics", {**MARCH, "token": token})
    assert json_of(answer) == {"response": {**MARCH, "metrics": []}}
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")


def test_without_a_token_it_is_401_and_a_cookie_is_none(admin: Person) -> None:
    browser = Client()
    browser.force_login(admin.user)
    for client in (Client(), browser):
        assert_refused(client.get("/get-metrics", MARCH), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_there_is_no_other_method(method: str, admin: Person) -> None:
    answer = getattr(admin.client, method)("/get-metrics")
    assert_refused(answer, 405, "METHOD_NOT_ALLOWED", method.upper())
    assert answer.headers["Allow"] == "GET, HEAD"


def test_head_answers_as_get_without_a_body_and_a_slash_is_the_same_path(admin: Person) -> None:
    answer = admin.client.head("/get-metrics/", MARCH)
    assert (answer.status_code, text_of(answer), answer.headers["Content-Type"]) == (200, "", "application/json")


def test_the_cost_is_within_its_budget(admin: Person) -> None:
    for name in "abc":
        ran(MONTH, timedelta(hours=2), customer=name)
    services.meter()
    running(MONTH)
    with within_budget("GET /get-metrics"):
        assert len(report(admin, start_date=START + 5, price=7)["metrics"]) == 4
