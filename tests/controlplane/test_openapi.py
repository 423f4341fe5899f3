"""What the OpenAPI schema says of the native surface without being told."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from controlplane.core.openapi import _one, _words

# A range that there is none of is told in a header.
WITHOUT_BODY = {("get_file_content", "416")}
# Refusals that are verdicts, too: the native shape, and what Scale's clients look for.
VERDICTS = {(name, "400") for name in ("scale_create_job_type", "scale_edit_job_type")}
VERDICTS |= {(name, "400") for name in ("create_recipe_type", "update_recipe_type")}
# A token is of nobody yet; the bytes of an upload are not read twice to be compared.
WITHOUT_KEY = {"obtain_token", "upload_file", "create_artifact"}


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))


def native(schema: Any) -> dict[str, Any]:
    """Every native operation by its id."""
    return {
        operation["operationId"]: operation
        for path, methods in schema["paths"].items()
        if path.startswith(("/v6/", "/api-token-auth/"))
        for method, operation in methods.items()
        if method != "parameters"
    }


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v6/users/", ["users"]), ("/v6/users/{id}/", ["user"]), ("/v6/users/me/", ["users", "me"]),
        ("/v6/jobs/{id}/executions/{number}/", ["job", "execution"]), ("/v6/jobs/{id}/cancel/", ["job", "cancel"]),
        ("/v6/jobs/cancel/", ["jobs", "cancel"]), ("/v6/queue/status/", ["queue", "status"]),
        ("/v6/job-executions/{id}/logs/{stream}/", ["job_execution", "log"]), ("/api-token-auth/", ["api_token_auth"]),
    ],
)  # fmt: skip
def test_a_path_is_told_in_words(path: str, words: list[str]) -> None:
    assert _words(path) == words


@pytest.mark.parametrize(
    ("many", "one"), [("jobs", "job"), ("queries", "query"), ("status", "status"), ("load", "load")]
)
def test_many_are_told_as_one(many: str, one: str) -> None:
    assert _one(many) == one


def test_every_operation_has_an_id_of_its_own_that_reads_well(schema: Any) -> None:
    ids = Counter(operation["operationId"] for methods in schema["paths"].values() for operation in methods.values())
    assert [name for name, times in ids.items() if times > 1] == []
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in native(schema))
    assert native(schema).keys() >= {
        *("list_users", "create_user", "get_user", "update_user", "get_own_user", "update_own_user"),
        *("list_customers", "create_customer", "get_customer"),
        *("list_tokens", "create_token", "get_token", "delete_token", "obtain_token"),
    }


def test_every_operation_says_who_may_call_it(schema: Any) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert schemes["TokenHeader"]["scheme"] == "bearer"
    assert schemes["cookieAuth"] == {"type": "apiKey", "in": "cookie", "name": "sessionid"}
    operations = native(schema)
    assert not operations.pop("obtain_token").get("security")
    wrong = {name: each.get("security") for name, each in operations.items() if not each.get("security")}
    assert wrong == {}
    assert all({"TokenHeader": []} in each["security"] for each in operations.values())


def test_every_refusal_has_the_native_shape_and_every_reference_resolves(schema: Any) -> None:
    for name, operation in native(schema).items():
        for status, answer in operation["responses"].items():
            if status >= "400" and (name, status) not in WITHOUT_BODY:
                content = answer["content"]["application/json"]
                shape = "Refusal" if (name, status) in VERDICTS else "NativeError"
                assert content["schema"] == {"$ref": f"#/components/schemas/{shape}"}, f"{name} {status}"
    for reference in set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(schema))):
        assert reference in schema["components"]["schemas"]


def test_every_post_takes_a_key_but_that_of_nobody(schema: Any) -> None:
    for methods in schema["paths"].values():
        operation = methods.get("post", {})
        if operation.get("operationId") in native(schema):
            names = [each["name"] for each in operation.get("parameters", [])]
            assert ("Idempotency-Key" in names) is (operation["operationId"] not in WITHOUT_KEY)
