"""Who may call what: every operation there is, as everybody there is, held to the table beside this file.

The rows that are named are a customer user's own, so `owner`, `colleague` and `stranger` are to them what they are
called. What a list shows to whom, and which rows a filter may reach, is tested where the list is.
"""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import URLResolver, get_resolver

from accounts.models import ApiToken, LimitChangeRequest, User, Webhook
from billing.models import Bill, Budget, UsageRecord
from clusters.models import Cluster, Container, Price, Rollout
from jobs import services
from jobs.models import Artifact, Execution, FailureCluster, File, Hold, Job, Operation, Recipe, Scope, Shape
from jobtypes.models import Error, JobType, RecipeType, Workspace
from tests.answers import text_of
from tests.contracts import fishjam_payments, harness
from tests.factories import Person, make_customer_user, make_monitor
from tests.schema.scenery import Scenery, filled, make_scenery
from tests.schema.trial import short_streams

TABLE: Final = Path(__file__).with_name("permissions.toml")
WHO: Final = (
    *("admin", "operator", "monitor", "owner", "colleague", "stranger"),
    *("disabled", "archived", "anonymous"),
)
MAY: Final = "may"
# For operations whose schema has no example: a body that gets past the reading of it.
BODIES: Final[Mapping[str, Any]] = {
    "fishjam_create_cluster": {"name": "new", "image_version": "1.0"},
    "fishjam_create_webhook": {"name": "ci", "url": "https://example.com/", "authorization_header": None},
    "fishjam_update_payment_details": fishjam_payments.BODY,
    "create_payments_portal": {"return_url": "https://ours.example/"},
    "mapsor_add_user": {"user": "new", "role": "OPERATOR"},
    "mapsor_disable_user": {"user": "victim"},
    "mapsor_enable_user": {"user": "victim"},
    "mapsor_regenerate_token": {"user": "victim"},
    "mapsor_submit_job": {
        "id": "nightly", "customer": "acme", "cloud": "local", "region": "local", "image": "busybox",
        "command": ["true"], "priority": "LOW",
    },
    "update_job": {"priority": 5},
    "requeue_job": {},
    "hold_job": {},
    "update_quota": {"max_jobs": 5},
    "update_scheduler": {"is_paused": True},
    "create_quota": {"scope": "customer", "customer": "other", "max_jobs": 10},
}  # fmt: skip


_OCTETS: Final = "application/octet-stream"
# What is sent to those that take no JSON: the query, the body, its type.
RAW: Final[Mapping[str, tuple[str, bytes, str]]] = {
    "create_artifact": ("?name=new.py", b"#!/bin/sh\n", _OCTETS),
    "upload_file": ("?workspace={workspace}&path=new.txt&media_type=text/plain", b"a text", _OCTETS),
    "mapreduce_put_artifact": (
        "",
        encode_multipart(BOUNDARY, {"program": SimpleUploadedFile("new.py", b"#!/bin/sh\n")}),
        MULTIPART_CONTENT,
    ),
}


def operations() -> dict[str, harness.Operation]:
    return {each.id: each for each in harness.generated().operations().values()}


@functools.cache
def table() -> dict[str, list[str]]:
    return {name: row.split() for name, row in tomllib.loads(TABLE.read_text())["operations"].items()}


@pytest.fixture
def scenery(db: None) -> Scenery:
    found = make_scenery()
    make_customer_user("victim", "acme")
    return found


@pytest.fixture
def people(scenery: Scenery) -> dict[str, Person | None]:
    """Everybody by what they are called in the table."""
    disabled = make_customer_user("gone", "acme")
    User.objects.filter(pk=disabled.user.pk).update(is_active=False)
    archived = make_customer_user("late", "acme")
    ApiToken.objects.filter(user=archived.user).update(archived_at=archived.user.created_at)
    return {
        "admin": scenery.people["admin"],
        "operator": scenery.operator,
        "monitor": make_monitor("monitor"),
        "owner": scenery.people["customer"],
        "colleague": make_customer_user("colleague", "acme"),
        "stranger": make_customer_user("stranger", "elsewhere"),
        "disabled": disabled,
        "archived": archived,
        "anonymous": None,
    }


def own_names(owner: User) -> dict[str, Any]:
    """What the parameters of paths name, by what stands before them: rows of `owner`."""
    jobs = Job.objects.filter(owner=owner).order_by("-pk")
    job = jobs.filter(shape=Shape.CONTAINER, status="COMPLETED").latest("pk")
    File.objects.update(size=len(b"a text"))  # which is what lies there
    quota = services.set_cap(scope=Scope.OWNER, scope_id=str(owner.pk), max_jobs=9, actor=None)
    jobs_held = [str(i) for i in jobs.values_list("pk", flat=True)]
    return {
        "job": job.pk,
        "job_uuid": job.uuid,
        "execution": Execution.objects.filter(job=job).latest("pk").pk,
        "operation": Operation.objects.filter(created_by=owner).latest("pk").pk,
        "hold": Hold.objects.filter(scope=Scope.JOB, scope_id__in=jobs_held).latest("pk").pk,
        "quota": quota.pk,
        "failure_cluster": FailureCluster.objects.latest("pk").pk,
        "error": Error.objects.filter(is_builtin=False, job_type_name="").latest("pk").pk,
        "user": owner.pk,
        "customer_id": owner.customer_id,
        "limit_request": LimitChangeRequest.objects.get(user=owner).pk,
        "webhook": Webhook.objects.filter(owner=owner, form="standard").latest("pk").uuid,
        "cluster": (cluster := (rollout := Rollout.objects.filter(cluster__owner=owner).latest("pk")).cluster).uuid,
        "container": Container.objects.filter(cluster=cluster).latest("pk").uuid,
        "rollout": rollout.pk,
        "usage": UsageRecord.objects.filter(customer=owner.customer).latest("pk").pk,
        "budget": Budget.objects.get(customer=owner.customer).pk,
        "price": Price.objects.latest("pk").pk,
        "bill": Bill.objects.get(customer=owner.customer).pk,
        "image_version_id": cluster.image_version_id,
        "token": (token := ApiToken.objects.filter(user=owner).earliest("pk")).uuid,
        "token_uuid": token.uuid,
        "user_uuid": owner.uuid,
        "workspace": Workspace.objects.latest("pk").name,
        "file": File.objects.filter(owner=owner, deleted_at=None).latest("pk").pk,
        "artifact": Artifact.objects.filter(customer=owner.customer).latest("pk").name,
        "recipe": Recipe.objects.filter(owner=owner).latest("pk").pk,
        "recipe_type": RecipeType.objects.latest("pk").name,
        "job_type_name": JobType.objects.latest("pk").name,
        "region": "north-1",
        "instance_id": "i-0123456789abcdef0",
    }


def path_of(operation: harness.Operation, names: Mapping[str, Any], owner: User) -> str:
    """The path of an operation with rows of the owner's in it."""
    mapreduce = Job.objects.filter(owner=owner, shape=Shape.MAPREDUCE).latest("pk")
    webhook = Webhook.objects.filter(owner=owner, form="fishjam").latest("pk")
    other = {"job": mapreduce.uuid, "webhook": webhook.uuid}
    return filled(operation.path, {**names, **(other if "/api/v1/" in operation.path else {})})


def body_of(operation: harness.Operation) -> Any:
    """A body: ours, or the schema's example; None when the operation takes none."""
    if operation.id in BODIES:
        return BODIES[operation.id]
    if operation.id == "create_container":
        return {"cluster": str(Cluster.objects.filter(owner__username="ada").latest("pk").pk)}
    if operation.id == "create_recipe":
        return {"recipe_type": RecipeType.objects.latest("pk").name}
    said = operation.body()
    if said is None:
        return None
    content = said["content"].get("application/json", {})
    examples = [each["value"] for each in content.get("examples", {}).values()]
    return examples[0] if examples else {}


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def answer_to(person: Person | None, operation: harness.Operation, path: str, said: list[str] | None = None) -> str:
    """What comes of a call: MAY, or the status that says no. `said` gets the words."""
    headers = {} if person is None else {"Authorization": f"Bearer {person.token}"}
    body = body_of(operation)
    data, kind = b"" if body is None else json.dumps(body).encode(), "application/json"
    if operation.id in RAW:
        query, data, kind = RAW[operation.id]
        path += query.format(workspace=Workspace.objects.latest("pk").name)
    client = Client(headers=headers, raise_request_exception=False)
    with undone(), short_streams():
        answer = client.generic(operation.method.upper(), path, data, content_type=kind)
        text = text_of(answer)
    if said is not None:
        said.append(text)
    assert answer.status_code < 500, (operation.id, path, text_of(answer))
    return str(answer.status_code) if answer.status_code in (401, 403, 404) else MAY


def test_the_table_has_every_operation_and_no_other() -> None:
    assert set(table()) == set(operations())
    assert {len(row) for row in table().values()} == {len(WHO)}


def _patterns(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    for each in resolver.url_patterns:
        path = re.sub(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)|<[^>]*>", "{}", before + str(each.pattern).strip("^"))
        if isinstance(each, URLResolver):
            yield from _patterns(each, path)
        else:
            yield re.sub(r"\$$|\\Z$", "", path)


@functools.cache
def elsewhere() -> dict[str, list[str]]:
    return {name: row.split() for name, row in tomllib.loads(TABLE.read_text())["elsewhere"].items()}


def test_every_path_that_is_mounted_is_in_the_table_or_of_the_admin() -> None:
    known = {re.sub(r"{\w+}", "{}", operation.path) for operation in operations().values()}
    known |= {name.partition(" ")[2] for name in elsewhere()}
    assert {path for path in _patterns(get_resolver()) if not path.startswith("/admin/")} == known
    assert {len(row) for row in elsewhere().values()} == {len(WHO)}


@pytest.mark.runs_once("sqlite", "who may what is decided before the database is asked")
def test_everybody_may_what_the_table_says_of_other_paths(people: dict[str, Person | None]) -> None:
    found = {}
    for name in elsewhere():
        method, _, path = name.partition(" ")
        found[name] = [_status(people[who], method, path) for who in WHO]
    assert found == elsewhere()


def _status(person: Person | None, method: str, path: str) -> str:
    headers = {} if person is None else {"Authorization": f"Bearer {person.token}"}
    status = Client(headers=headers, enforce_csrf_checks=True).generic(method, path).status_code
    return str(status) if status in (401, 403, 404) else MAY


@pytest.mark.runs_once("sqlite", "who may what is decided before the database is asked")
def test_everybody_may_what_the_table_says(scenery: Scenery, people: dict[str, Person | None]) -> None:
    owner = scenery.people["customer"].user
    names, wrong = own_names(owner), []
    # Those that only read first: what is deleted from a storage stays so.
    for operation in sorted(operations().values(), key=lambda each: each.method != "get"):
        path = path_of(operation, names, owner)
        found = [answer_to(people[who], operation, path) for who in WHO]
        if found != table().get(operation.id):
            wrong.append(f'{operation.id} = "{" ".join(found)}"')
    assert not wrong, "\n" + "\n".join(wrong)
