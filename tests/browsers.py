"""People in front of the admin, and the pages they may open there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final
from uuid import uuid4

from django.contrib import admin
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.models import ParkedEvent, Role, User
from billing.models import Difference, DifferenceKind, MeterEvent, PaymentDetails, StripeEvent
from controlplane.core.service_admin import ServiceAdmin
from jobs import failures, services, states
from jobs.models import LoadSample, Operation, Place, Scope, Submission
from jobtypes.models import Category
from jobtypes.services import create_error
from tests.billing.scene import furnish_billing
from tests.factories import Stage, keep_output, make_job_in, make_job_type, make_jobs
from tests.fleet import make_cluster, make_container
from tests.hooks import make_delivery, make_webhook
from tests.mapreduce import make_mapreduce
from tests.recipes import FORK, make_file, make_recipe, make_recipe_type

PASSWORD: Final = "correct horse battery"
ANONYMOUS: Final = "anonymous"
STAFF: Final = ("admin", "operator", "monitor")
OTHERS: Final = ("customer", ANONYMOUS)


def browser(role: str) -> Client:
    """Somebody of this role, signed in; or nobody."""
    client = Client()
    if role == ANONYMOUS:
        return client
    name = f"browser-{role}"
    user = User.objects.filter(username=name).first()
    if user is None:
        customer = "acme" if role == Role.CUSTOMER else None
        user = accounts.create_user(username=name, role=role, actor=None, customer=customer, password=PASSWORD)
    client.force_login(user)
    return client


def somebody(role: str = Role.OPERATOR) -> User:
    browser(role)
    return User.objects.get(username=f"browser-{role}")


def make_operation(count: int = 2) -> Operation:
    """An operation that has ended, with a failure."""
    stage = Stage()
    ended = make_job_in(states.COMPLETED, stage=stage)
    chosen = [str(job.pk) for job in (*make_jobs(count), ended)]
    operation = services.start_operation(
        kind="hold", selection={"job_id": chosen}, parameters={"hint": "wait"}, actor=somebody()
    )
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    return operation


def furnish() -> None:
    """A row in every table that the admin shows."""
    actor = somebody(Role.ADMIN)
    failures.group_failures()  # from here on
    job = make_job_in(states.FAILED)
    keep_output(job, stdout="its output\n")
    failures.group_failures()
    make_operation()
    services.place_hold(scope=Scope.ALL, code="DEPLOY", hint="new version", actor=actor)
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(job.customer_id), max_jobs=3, actor=actor)
    create_error(name="no-frames", title="No frames", category=Category.DATA, actor=actor)
    accounts.issue_token(user=actor, actor=actor, name="laptop")
    expiry = timezone.now() + timedelta(days=1)
    accounts.create_invitation(name="friends", email="ada@example.com", expires_at=expiry, actor=actor)
    accounts.request_limit(user=actor, desired_limit=50, reason="More rooms.")
    accounts.give_feedback(user=actor, feedback_type="good", message="It flies.")
    make_job_type()
    make_recipe(make_recipe_type(FORK))
    make_file()
    make_mapreduce()
    make_failing_cloud()
    make_delivery(make_webhook(actor), 1)
    make_container(make_cluster(actor))
    ParkedEvent.objects.create(follower="closings", position=1, kind="user.closing", error="ValueError: no")
    customer = somebody(Role.CUSTOMER)
    PaymentDetails.objects.create(customer_id=customer.customer_id or 0, owner=customer, stripe_id="cus_1", name="Ada")
    StripeEvent.objects.create(stripe_id="evt_1", type="customer.updated", created_at=timezone.now(), body={})
    furnish_billing()
    _furnish_billing(customer.customer_id or 0)
    ParkedEvent.objects.create(follower="meter", position=1, kind="job.moved", error="ValueError: no")
    LoadSample.objects.create(at=timezone.now(), pending=0, queued=1, running=2)


def _furnish_billing(customer_id: int) -> None:
    month = date(2026, 3, 1)
    about = {"customer_id": customer_id, "bill_month": month}
    MeterEvent.objects.create(**about, day=month, value=7, identifier="usage-1")
    Difference.objects.create(**about, kind=DifferenceKind.AMOUNT, ours="7", theirs="8")


def make_failing_cloud() -> Place:
    """A region whose calls fail, with something on its way there."""
    since = timezone.now()
    facts = {"failure": "batch:SubmitJob: AccessDeniedException", "failing_since": since, "seen_at": since}
    place = Place.objects.get_or_create(cloud="aws", region="north-1", defaults={**facts, "caller": uuid4()})[0]
    Submission.objects.create(place=place, calls=1, detail=place.failure)
    return place


def pages(*, changing: bool) -> Iterator[str]:
    """Every page of the admin that reads; `changing`: those with forms that write, too."""
    names = ("index", "password_change", "clusters_fleet", "billing_spend", "docs", "jobs_waiting")
    yield from (reverse(f"admin:{name}") for name in names)
    yield reverse("admin:jobs_waiting_reason", args=["HELD"])
    for label in ("accounts", "billing", "clusters", "jobs", "jobtypes"):
        yield reverse("admin:app_list", args=[label])
    for model, its in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        row = model._default_manager.order_by("pk").last()
        assert row is not None, f"no row of {model}"
        yield reverse(f"{name}_change", args=[row.pk])
        if changing:
            yield from _forms(name, its, row)


def _forms(name: str, its: Any, row: Any) -> Iterator[str]:
    if getattr(its, "add_form", None):
        yield reverse(f"{name}_add")
    request = RequestFactory().get("/")
    request.user, request.session = somebody(Role.ADMIN), SessionStore()
    for page in its.row_pages() if isinstance(its, ServiceAdmin) else ():
        if page.allowed(request, its.get_queryset(request).get(pk=row.pk)):
            yield reverse(f"{name}_{page.name}", args=[row.pk])
    if name == "admin:jobtypes_jobtype":
        yield reverse(f"{name}_compare", args=[row.pk])
    if name == "admin:billing_bill":
        yield from (reverse(f"{name}_{page}", args=[row.pk]) for page in ("print", "csv"))
    if name == "admin:billing_closedmonth":
        yield reverse(f"{name}_close")
    if name == "admin:jobs_place":
        yield reverse(f"{name}_check", args=[row.pk])
    if name == "admin:jobs_job":
        shapes = ("container", "instance", "seed", "mapreduce", "recipe")
        yield from (reverse(f"{name}_submit_{shape}") for shape in shapes)
        for verb in ("cancel", "requeue", "retry", "priority", "hold", "release"):
            yield reverse(f"{name}_{verb}", args=[row.pk])
            if verb != "retry":
                yield reverse(f"{name}_matching_{verb}") + "?state=QUEUED"
