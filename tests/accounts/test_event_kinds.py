"""Every kind of event has its schema, and what is recorded is as its schema says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from django.utils import timezone

from accounts import event_log
from accounts.event_kinds import KINDS, json_schema
from accounts.services import close_account
from billing import services
from tests.answers import json_of
from tests.environment import CHECKOUT
from tests.schema.scenery import make_scenery

APPS = ("accounts", "clusters", "jobtypes", "jobs", "billing")
TELLERS = frozenset({"record", "record_of", "tell", "_tell", "tell_of", "tell_of_jobs", "_entry", "_keep"})
KIND = re.compile(r"[a-z_]+\.[a-z-]+")
MADE_UP = {"user.enabled", "user.disabled"}  # put together from a verb


def _texts(nodes: list[Any]) -> Iterator[str]:
    yield from (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _kinds_told() -> set[str]:
    """The kinds that the source names where it tells the log something."""
    found: set[str] = set()
    for path in (path for app in APPS for path in (CHECKOUT / app).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                found |= set(_texts(node.args)) if name in TELLERS else set()
            elif isinstance(node, ast.Tuple) and len(node.elts) == 7:  # events.Entry
                found |= set(_texts(node.elts[:1]))
    return {text for text in found if KIND.fullmatch(text)}


def test_every_kind_that_is_told_has_a_schema_and_no_other_has_one() -> None:
    assert _kinds_told() | MADE_UP == set(KINDS)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.django_db
def test_what_real_work_records_is_as_the_schema_says() -> None:
    people = make_scenery().people
    admin, now = people["admin"], timezone.now()
    services.close_month(now.date(), now=now + timedelta(days=40))
    close_account(people["customer"].user)
    kinds: set[str] = set()
    validator = jsonschema.Draft202012Validator(json_schema())
    after = 0
    while True:
        page = json_of(admin.get("/v6/events/", after=after, limit=event_log.MAX_LIMIT))
        for event in page["results"]:
            definition = {"$ref": f"#/$defs/{event['kind']}"}
            faults = [error.message for error in validator.evolve(schema=json_schema() | definition).iter_errors(event)]
            assert not faults, (event, faults)
            kinds.add(event["kind"])
        if page["next_after"] == after:
            break
        after = page["next_after"]
    assert {"job.submitted", "job.moved", "job.held", "hold.placed", "cap.set", "operation.started"} <= kinds
    assert {"execution.ended", "cluster.created", "container.created"} <= kinds
    assert {"bill.moved", "month.closed", "budget.created", "usage.corrected"} <= kinds
    assert {"user.closing", "token.revoked", "webhook.created", "webhook.deleted"} <= kinds
    assert {"user.created", "token.issued", "recipe.created", "job_type.created", "workspace.created"} <= kinds
