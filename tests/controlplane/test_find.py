"""The admin's search box: what is found, by whom, and at what cost."""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Model
from django.urls import reverse

from accounts import services as accounts
from accounts.models import ApiToken, Customer, Event, User
from billing.models import Bill, PaymentDetails, StripeEvent
from clusters.models import Placement
from controlplane.core import sets
from controlplane.core.beginnings import above, begins, first, upper
from jobs.models import Execution, Job
from jobs.queries import classes_beginning
from tests.browsers import OTHERS, STAFF, browser, furnish, somebody
from tests.factories import make_job, make_jobs
from tests.fleet import make_cluster, make_container
from tests.query_budget import counted, within_budget

ODD: Final = ("", " ", "\0", "%", "_", "'; --", "a" * 3000, "\U0010ffff", "9" * 30, "job 0", "💥", "in_", "\\")
BIG: Final = (
    "jobs_job",
    "jobs_execution",
    "jobs_file",
    "accounts_event",
    "accounts_apitoken",
    "accounts_user",
    "accounts_customer",
)


def _find(role: str, term: str) -> Any:
    return browser(role).get(reverse("admin:find"), {"q": term})


def _found(role: str, term: str) -> Any:
    answer = _find(role, term)
    assert answer.status_code == 200, answer.headers
    return answer.context["found"]


def _goes_to(role: str, term: str) -> str:
    answer = _find(role, term)
    assert answer.status_code == 302, answer.context["found"]
    return answer.headers["Location"]


def _page(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def _lost(job: Job, number: int, handle: str) -> Execution:
    return Execution.objects.create(
        job=job, number=number, place=job.place, status="LOST", handle=handle, ended_at=job.submitted_at
    )


def _names(found: Any) -> dict[str, list[str]]:
    return {group.title: [hit.label for hit in group.hits] for group in found.groups}


# --- Exact ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_can_mean_one_thing_leads_there_at_once() -> None:
    furnish()
    job, execution = Job.objects.latest("pk"), Execution.objects.latest("pk")
    token = ApiToken.objects.latest("pk")
    event, bill = Event.objects.latest("pk"), Bill.objects.latest("pk")
    for term, row in (
        (str(job.uuid), job),
        (str(job.uuid).upper(), job),
        (f"job {job.pk}", job),
        (f"Job #{job.pk}", job),
        (str(execution.uuid), execution),
        (str(token.uuid), token),
        (f"event {event.pk}", event),
        (f"bill {bill.pk}", bill),
        (str(bill.uuid), bill),
        ("evt_1", StripeEvent.objects.get()),
        ("cus_1", PaymentDetails.objects.get()),
    ):
        assert _goes_to("admin", f"  {term} ") == _page(row), term
    nowhere = _find("admin", str(uuid4()))
    assert "Nothing that you may see" in nowhere.content.decode()


@pytest.mark.django_db
def test_what_a_cloud_calls_something_leads_to_it() -> None:
    job = make_job()
    batch_id = str(uuid4())
    machine, task = _lost(job, 1, "ec2::i-0123abcd"), _lost(job, 2, f"batch::{batch_id}")
    container = make_container(make_cluster(somebody("admin")))
    Placement.objects.filter(container=container).update(handle="cp-media-1/x")
    placement = Placement.objects.get(container=container)
    for term, row in (
        ("i-0123abcd", machine),
        ("ec2::i-0123abcd", machine),
        (batch_id, task),
        ("cp-media-1/x", container),
        (str(placement.uuid), container),
        (str(container.uuid), container),
        (f"container {container.pk}", container),
    ):
        assert _goes_to("operator", term) == _page(row), term


@pytest.mark.django_db
def test_a_number_is_of_many_things_the_job_first() -> None:
    furnish()
    job = Job.objects.earliest("pk")
    Customer.objects.update_or_create(pk=job.pk, defaults={"name": "of the same number"})
    found = _found("admin", str(job.pk))
    assert found.exact[0].url == _page(job)
    assert found.exact[0].about.startswith(job.classification)
    assert len(found.exact) > 1
    event = Event.objects.earliest("pk")
    Event.objects.filter(pk=event.pk).update(position=987654)
    assert _goes_to("monitor", "987654") == _page(event)
    assert _goes_to("monitor", "event 987654") == _page(event)


# --- Names ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_names_are_found_by_how_they_begin_in_any_case() -> None:
    admin = somebody("admin")
    for name in ("Acme", "acme-north", "ACME south", "Zacme", "a_me", "a%me"):
        accounts.create_customer(name=name, actor=admin)
    accounts.create_user(username="Ada", role="monitor", email="ada@example.com", actor=None)
    make_container(make_cluster(admin, name="acme-media"))
    found = _names(_found("admin", "acme"))
    assert sorted(found["Customers"]) == ["ACME south", "Acme", "acme-north"]
    assert found["Clusters"] == ["acme-media"]
    assert _names(_found("admin", "a_m"))["Customers"] == ["a_me"]
    assert _names(_found("admin", "ADA"))["Users"] == ["Ada"]
    assert _names(_found("admin", "Ada@exam"))["Users"] == ["Ada"]
    prefix = accounts.issue_token(user=admin, actor=admin)[:8]
    assert _names(_found("admin", prefix[:5]))["Api tokens"] == [prefix]
    assert _names(_found("admin", f"{prefix}more-that-was-pasted"))["Api tokens"] == [prefix]


@pytest.mark.django_db
def test_more_than_are_shown_are_led_to_in_their_list() -> None:
    admin = somebody("admin")
    for number in range(9):
        accounts.create_customer(name=f"north {number}", actor=admin)
    [group] = _found("monitor", "North").groups
    assert [hit.label for hit in group.hits] == [f"north {number}" for number in range(8)]
    listed = browser("monitor").get(group.more)
    assert len(listed.context["cl"].result_list) == 9


@pytest.mark.django_db
def test_jobs_are_found_by_their_class_each_class_once() -> None:
    for name in ("nightly", "nightly-a", "nightly-b", "Nightly", "weekly", "nigh\U0010ffff"):
        make_jobs(3, classification=name)
    assert classes_beginning("nightly", 9) == ["nightly", "nightly-a", "nightly-b"]
    assert classes_beginning("nightly", 2) == ["nightly", "nightly-a"]
    assert classes_beginning("nigh", 9) == ["nightly", "nightly-a", "nightly-b", "nigh\U0010ffff"]
    assert classes_beginning("x", 9) == []
    [group] = [each for each in _found("monitor", "nightly-").groups if each.title == "Jobs by class"]
    listed = browser("monitor").get(group.hits[0].url)
    assert {job.classification for job in listed.context["cl"].result_list} == {"nightly-a"}


@pytest.mark.runs_once("sqlite", "it is about text")
def test_above_is_above_all_that_begin_so() -> None:
    assert (above("ab"), above("a\ud7ff"), above("a\U0010ffff"), above("\U0010ffff")) == ("ac", "a\ue000", "b", "")
    assert upper("straße é") in ("STRAßE É", "STRAßE é")


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_staff_find_what_their_lists_show_them_and_nobody_else_finds_anything() -> None:
    admin = somebody("admin")
    accounts.issue_token(user=admin, actor=admin)
    token = ApiToken.objects.get()
    job = make_job(classification="browser-jobs")
    for role in STAFF:
        assert _goes_to(role, str(job.uuid)) == _page(job)
        shown = _names(_found(role, "browser-"))["Users"]
        everybody = sorted(User.objects.filter(username__startswith="browser-").values_list("username", flat=True))
        assert shown == (everybody if role == "admin" else [f"browser-{role}"]), role
        assert ("Api tokens" in _names(_found(role, token.prefix))) is (role == "admin")
        if role != "admin":
            assert not _found(role, str(token.uuid)).exact
            assert not _found(role, f"user {admin.pk}").exact
    for role in OTHERS:
        answer = _find(role, str(job.uuid))
        assert (answer.status_code, "/admin/login/" in answer.headers["Location"]) == (302, True)


@pytest.mark.django_db
@pytest.mark.parametrize("term", ODD)
def test_whatever_is_typed_gets_a_page(term: str) -> None:
    make_job()
    answer = _find("operator", term)
    assert answer.status_code == 200
    assert 'id="cp-find"' in answer.content.decode()


@pytest.mark.django_db
def test_every_page_has_the_box_and_it_keeps_what_was_typed() -> None:
    client = browser("monitor")
    for page in ("admin:index", "admin:jobs_job_changelist", "admin:views", "admin:clusters_fleet"):
        assert client.get(reverse(page)).content.decode().count('id="cp-find"') == 1, page
    assert 'value="&lt;b&gt;"' in _find("monitor", "<b>").content.decode()
    assert 'id="cp-find"' not in browser("anonymous").get(reverse("admin:login")).content.decode()


# --- Cost ----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("term", ["17", "b8ff7a6e-41f2-4d0c-9e5c-9d8b1f1a2c3d", "acme", "job 17", "in_123"])
def test_it_costs_the_same_however_much_there_is(term: str) -> None:
    client = browser("admin")
    path = reverse("admin:find")
    client.get(path)
    with counted() as few:
        client.get(path, {"q": term})
    make_jobs(30)
    for number in range(12):
        accounts.create_customer(name=f"acme {number}", actor=None)
    with within_budget("admin: find") as many:
        client.get(path, {"q": term})
    assert len(many) <= len(few) + 1  # of containers that are found by what stands for them


def _multiply(row: Model, count: int, **changed: str) -> None:
    """So many rows like this one, but for these columns, which are SQL of their number g."""
    columns = [str(field.column) for field in row._meta.concrete_fields if not field.primary_key]
    values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    table = row._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, generate_series(1, {count}) g WHERE id = %s",
            [row.pk],
        )
        cursor.execute(f"ANALYZE {table}")


def _fill() -> None:
    job = make_job(classification="nightly")
    user = somebody("monitor")
    row = _lost(job, 1, "ec2::i-0")
    accounts.issue_token(user=user, actor=None)
    token = ApiToken.objects.latest("pk")
    uuid = "gen_random_uuid()"
    _multiply(job, 100_000, uuid=uuid, classification="'class ' || g %% 5000")
    _multiply(row, 100_000, uuid=uuid, number="1", handle="'ec2::i-' || g", job_id=f"{job.pk} + g")
    _multiply(token, 100_000, uuid=uuid, prefix="substr(md5(g::text), 1, 8)", digest="md5(g::text)")
    _multiply(Event.objects.latest("pk"), 100_000, position="1000000 + g")
    _multiply(user, 20_000, uuid=uuid, username="'user ' || g", email="'u' || g || '@example.com'")
    _multiply(job.customer, 20_000, name="'customer ' || g")


UUID: Final = "b8ff7a6e-41f2-4d0c-9e5c-9d8b1f1a2c3d"
TERMS: Final = ("17", UUID, "acme", "class 4999", "user 12", "u7@e", "d3d94468", "i-77", "event 9", "c")


@pytest.mark.django_db
def test_no_large_table_is_read_through() -> None:
    if sets.is_postgresql():
        _fill()
    client = browser("admin")
    for term in TERMS:
        with counted() as found:
            client.get(reverse("admin:find"), {"q": term})
        reads = [text for text in found.texts if re.search(rf'FROM "?({"|".join(BIG)})\b', text) and "%s" not in text]
        assert reads
        for text in reads:
            plan = _plan(text)
            assert not re.search(rf"Seq Scan on ({'|'.join(BIG)})\b|SCAN ({'|'.join(BIG)})\b", plan), f"{text}\n{plan}"
    if sets.is_postgresql():
        assert classes_beginning("class 499", 20) == [f"class {n}" for n in (499, *range(4990, 5000))]


@pytest.mark.django_db
@pytest.mark.runs_once("postgresql", "of its generic plans")
def test_classes_are_read_by_their_index_whatever_the_parameters() -> None:
    with counted() as found:
        classes_beginning("nightly", 9)
    [text] = found.texts
    numbered = text.replace("%s", "${}").format(1, 2, 3, 4)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"PREPARE classes AS {numbered}")
        cursor.execute("EXPLAIN EXECUTE classes('a', 'b', 'b', 9)")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE classes")
    assert "Index Only Scan using job_of_class" in plan
    assert "Sort" not in plan
    [most] = re.findall(r"^CTE Scan on found  \(cost=[\d.]+?\.\.(\d+)", plan)
    assert int(most) < 10_000  # what goes another way is reckoned with ten thousand million


def _plan(text: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN " if sets.is_postgresql() else "EXPLAIN QUERY PLAN ") + text)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.django_db
def test_names_come_in_the_order_of_their_index() -> None:
    for name in ("b", "A", "é", "a"):
        Customer.objects.create(name=name)
    assert {each.name for each in first(Customer.objects.all(), "name", "a")} == {"A", "a"}
    assert [each.name for each in first(Customer.objects.all(), "name", "b")] == ["b"]
    assert [each.name for each in begins(Customer.objects.all(), "name", "A", any_case=False)] == ["A"]
    assert [each.name for each in first(Customer.objects.all(), "name", "é")] == ["é"]
