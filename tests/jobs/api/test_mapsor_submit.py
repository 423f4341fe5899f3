"""POST /submit: what it takes becomes a job as it was asked for; everything else is 400, and says which field."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

import pytest
from django.conf import settings as deployed
from django.db import OperationalError
from django.test import Client
from django_q.models import OrmQ
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from pytest_django import Settings

from accounts import idempotency
from accounts.models import Customer, Event, IdempotencyKey
from controlplane.core.encryption import decrypt
from jobs.models import Job, Place, Shape
from tests.answers import assert_refused, json_of, text_of
from tests.factories import Person, make_admin, make_customer_user, make_monitor, make_operator
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db

VALID: Final[dict[str, Any]] = {
    "customer": "acme",
    "cloud": "local",
    "region": "local",
    "id": "Transcode_23",
    "image": "hello-world:linux",
    "command": ["/hello", ""],
    "env": {"asset_id": "23", "EMPTY": ""},
    "tags": {"channel_code": "RIALT_203"},
    "resources": {"vcpus": 2, "memory": 0.5},
    "timeout": 3600,
}
TAGS: Final = {"a": [1, 2.5, None, {"b": True}], "ü": "\u2028", "n": 10**18, "deep": [[[[]]]]}


@pytest.fixture
def operator() -> Person:
    return make_operator()


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in VALID.items() if name not in names}


def submitted(person: Person, body: Any = None, **headers: str) -> Job:
    body = json_of(person.post("/submit", VALID if body is None else body, headers=headers or None))
    assert set(body) == {"job_id"}
    return Job.objects.get(uuid=uuid.UUID(body["job_id"]))


def assert_field_refused(person: Person, body: Any, field: str, code: str = "INVALID_REQUEST") -> None:
    """400 that begins with the field's name, and nothing was made."""
    answer = person.post("/submit", body)
    assert_refused(answer, 400, code)
    message = json.loads(text_of(answer))["error"]["message"]
    assert message.startswith(f"{field}: "), message
    assert len(message) < 500
    assert not Job.objects.exists()


# --- What is accepted ----------------------------------------------------------------------------


def test_every_field_reaches_the_job(operator: Person) -> None:
    job = submitted(operator)
    assert (job.owner, job.customer.name, job.classification) == (operator.user, "acme", "Transcode_23")
    assert (job.place.cloud, job.place.region, job.shape) == ("local", "local", Shape.CONTAINER)
    assert (job.image, job.command, job.tags) == ("hello-world:linux", ["/hello", ""], {"channel_code": "RIALT_203"})
    assert (job.vcpus_milli, job.memory_mib, job.timeout_seconds) == (2000, 512, 3600)
    assert (job.priority, job.queue, job.status, job.tries) == (100, "", "QUEUED", 0)
    assert decrypt(job.env) == {"asset_id": "23", "EMPTY": ""}
    assert "asset_id" not in job.env


def test_the_least_that_may_be_given_gets_the_defaults(operator: Person) -> None:
    job = submitted(operator, {**without("env", "tags", "resources", "timeout"), "command": ["true"]})
    assert (job.env, job.tags, job.secret_env, job.timeout_seconds) == ("", {}, [], None)
    assert (job.vcpus_milli, job.memory_mib) == (deployed.DEFAULT_VCPUS_MILLI, deployed.DEFAULT_MEMORY_MIB)
    assert job.max_tries == deployed.DEFAULT_MAX_TRIES


@pytest.mark.parametrize(
    ("wishes", "stored"),
    [
        ({"priority": "HIGH"}, {"priority": 50, "queue": ""}),
        ({"priority": "LOW"}, {"priority": 100, "queue": ""}),
        ({"queue": "default"}, {"priority": 100, "queue": "default"}),
        ({"resources": {}}, {"vcpus_milli": 500, "memory_mib": 512}),
        ({"resources": {"vcpus": 10_000}}, {"vcpus_milli": 10_000_000}),
        ({"resources": {"memory": 1}}, {"memory_mib": 1024}),
        ({"resources": {"memory": 1e-300}}, {"memory_mib": 1}),
        ({"resources": {"memory": 16_384, "other": 1}}, {"memory_mib": 16_777_216}),
        ({"timeout": 1}, {"timeout_seconds": 1}),
        ({"timeout": 2_592_000}, {"timeout_seconds": 2_592_000}),
        ({"tags": TAGS}, {"tags": TAGS}),
        ({"command": ["sh", "-c", "echo 'ä\n' \u2028"]}, {"command": ["sh", "-c", "echo 'ä\n' \u2028"]}),
        ({"id": "x" * 255, "image": "i" * 1024}, {"classification": "x" * 255, "image": "i" * 1024}),
        ({"customer": "Ünï \U0001f600"}, {}),
        ({"secret_env": ["asset_id"]}, {"secret_env": ["asset_id"]}),
        ({"unknown": {"fields": ["are", "ignored"]}, "reason": 1}, {}),
    ],
)  # fmt: skip
def test_a_value_is_stored_as_it_was_given(wishes: dict[str, Any], stored: dict[str, Any], operator: Person) -> None:
    job = submitted(operator, {**VALID, **wishes})
    assert {name: getattr(job, name) for name in stored} == stored


def test_a_body_may_be_any_json_text(operator: Person) -> None:
    for text in (json.dumps(VALID), json.dumps(VALID, indent=4), " \n" + json.dumps(VALID, ensure_ascii=False) + "\n"):
        assert operator.post("/submit", text.encode()).status_code == 200
    assert operator.client.post("/submit", json.dumps(VALID), content_type="text/plain").status_code == 200


def test_it_tells_the_log_and_wakes_the_scheduler(operator: Person) -> None:
    OrmQ.objects.all().delete()
    job = submitted(operator)
    event = Event.objects.get(subject_kind="job", subject_id=job.pk)
    assert (event.kind, event.actor, event.customer, event.after) == (
        "job.submitted", operator.user, job.customer, {"status": "QUEUED"},
    )  # fmt: skip
    assert [row.key for row in OrmQ.objects.all()] == [deployed.PULSE]
    job.lane.refresh_from_db()
    assert job.lane.waiting


def test_the_same_body_twice_is_two_jobs(operator: Person) -> None:
    assert submitted(operator).pk != submitted(operator).pk


# --- What every field refuses ---------------------------------------------------------------------

_KINDS: Final[dict[str, list[Any]]] = {
    "null": [None],
    "boolean": [True, False],
    "number": [0, 1, -1, 1.5],
    "text": ["text", ""],
    "list": [[], [1], [[]], [None]],
    "object": [{}, {"a": 1}],
}
# field -> kinds that may be right
_RIGHT: Final[dict[str, set[str]]] = {
    "customer": {"text"}, "cloud": {"text"}, "region": {"text"}, "id": {"text"}, "image": {"text"},
    "command": {"list"}, "env": {"object"}, "secret_env": {"list"}, "tags": {"object"}, "resources": {"object"},
    "priority": {"text"}, "queue": {"text"}, "timeout": {"number"}, "resources.vcpus": {"number"},
    "resources.memory": {"number"},
}  # fmt: skip
WRONG_KINDS: Final = [
    pytest.param(field, value, id=f"{field}-{json.dumps(value)}")
    for field, right in _RIGHT.items()
    for kind, values in _KINDS.items()
    if kind not in right
    for value in values
]


def with_value(field: str, value: Any) -> dict[str, Any]:
    outer, _, inner = field.partition(".")
    return {**VALID, outer: {inner: value} if inner else value}


@pytest.mark.parametrize(("field", "value"), WRONG_KINDS)
def test_a_value_of_the_wrong_kind_is_400(field: str, value: Any, operator: Person) -> None:
    assert_field_refused(operator, with_value(field, value), field)


@pytest.mark.parametrize("field", ["customer", "cloud", "region", "id", "image", "command"])
def test_a_field_that_is_missing_is_400(field: str, operator: Person) -> None:
    assert_field_refused(operator, without(field), field)


@pytest.mark.parametrize("field", ["customer", "cloud", "region", "id", "image", "queue", "priority"])
def test_a_text_that_is_empty_is_400(field: str, operator: Person) -> None:
    assert_field_refused(operator, with_value(field, ""), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("command", []), ("command", ["true", 1]), ("command", ["true", None]), ("command", [["true"]]),
        ("env", {"a": 1}), ("env", {"a": None}), ("env", {"a": {}}), ("env", {"": "x"}), ("env", {"a=b": "x"}),
        ("secret_env", ["missing"]), ("secret_env", [1]), ("secret_env", [None]),
        ("timeout", 0), ("timeout", -1), ("timeout", 2_592_001), ("timeout", 2**63), ("timeout", 1.0),
        ("resources.vcpus", 0), ("resources.vcpus", 10_001), ("resources.vcpus", 2**40),
        ("resources.memory", 0), ("resources.memory", -0.5), ("resources.memory", 16_384.5),
        ("priority", "high"), ("priority", "MEDIUM"), ("priority", "HIGH "),
        ("queue", "unknown"), ("queue", "Default"),
        ("cloud", "gcp"), ("cloud", "LOCAL"), ("region", "us-east-1"), ("region", "Local"),
        ("tags", {"n": 10**18 + 1}), ("tags", {"n": -(10**400)}),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_400(field: str, value: Any, operator: Person) -> None:
    assert_field_refused(operator, with_value(field, value), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customer", "x" * 256), ("region", "x" * 65), ("id", "x" * 256), ("image", "x" * 1025), ("queue", "x" * 65),
        ("cloud", "x" * 1_000_000), ("priority", "x" * 1_000_000),
        ("command", ["x" * 131_072]), ("command", ["x" * 100_000] * 6), ("command", ["ä" * 65_537]),
        ("env", {"A": "x" * 2**20}), ("env", {"A": "x" * 131_071}), ("env", {"x" * 131_070: ""}),
        ("env", {f"V{n}": "x" * 100_000 for n in range(3)}),
        ("tags", {"a": "x" * 65_536}), ("tags", {"x" * 65_536: 1}), ("tags", {str(n): n for n in range(8_000)}),
        ("tags", {"a": "ä" * 33_000}),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)  # fmt: skip
def test_what_is_too_long_is_400(field: str, value: Any, operator: Person) -> None:
    assert_field_refused(operator, with_value(field, value), field)


HOLES: Final = ("\0", "\ud800", "\udfff", "a\0b")


@pytest.mark.parametrize("hole", HOLES, ids=ascii)
@pytest.mark.parametrize(
    ("field", "make"),
    [
        *((name, str) for name in ("customer", "region", "id", "image")),
        ("command", lambda hole: ["true", hole]),
        ("env", lambda hole: {"A": hole}),
        ("env", lambda hole: {hole: "a"}),
        ("tags", lambda hole: {"a": [hole]}),
        ("tags", lambda hole: {hole: 1}),
    ],
)
def test_what_no_database_keeps_is_400(field: str, make: Any, hole: str, operator: Person) -> None:
    assert_field_refused(operator, with_value(field, make(hole)), field)


@pytest.mark.parametrize("field", ["cloud", "queue", "priority"])
@pytest.mark.parametrize("hole", ["\0", "\ud800"], ids=ascii)
def test_a_choice_with_a_hole_is_400(field: str, hole: str, operator: Person) -> None:
    assert_field_refused(operator, with_value(field, hole), field)


def nested(depth: int, inner: str = "1") -> str:
    return "[" * depth + inner + "]" * depth


@pytest.mark.parametrize("depth", [33, 200, 900])
def test_tags_that_are_too_deep_are_400(depth: int, operator: Person) -> None:
    assert_field_refused(
        operator, json.dumps({**VALID, "tags": {"a": 0}}).replace('"a": 0', f'"a": {nested(depth)}').encode(), "tags"
    )


@pytest.mark.parametrize("field", ["env", "command", "resources", "timeout", "customer", "secret_env"])
def test_any_other_field_that_is_deep_is_400(field: str, operator: Person) -> None:
    body = json.dumps({**VALID, field: "HERE"}).replace('"HERE"', nested(500)).encode()
    assert_field_refused(operator, body, field)


# --- One of two ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image/ami", "command/user_data", "priority/queue"])
@pytest.mark.parametrize("value", ["x", None, ["x"]])
def test_the_seeds_double_names_are_no_fields(name: str, value: Any, operator: Person) -> None:
    assert_field_refused(operator, {**VALID, name: value}, name)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**VALID, "ami": "ami-1"}, "ami"),
        ({**without("image"), "ami": "ami-1"}, "command"),
        ({**without("image", "command"), "ami": "ami-1"}, "ami"),
        ({**without("image", "command"), "ami": "ami-1", "user_data": "x"}, "ami"),
        ({**without("image", "command"), "ami": "ami-1", "queue": "default"}, "queue"),
        ({**VALID, "user_data": "x"}, "user_data"),
        ({**without("image"), "user_data": "x"}, "image"),
        ({**VALID, "priority": "LOW", "queue": "default"}, "queue"),
        ({**without("image", "command"), "ami": 1, "cloud": "aws"}, "ami"),
        ({**without("image", "command"), "ami": "a", "user_data": 1, "cloud": "aws"}, "user_data"),
        ({**without("image", "command"), "ami": "a", "user_data": "x" * 16_385, "cloud": "aws"}, "user_data"),
        ({**without("image", "command"), "ami": "ami-1", "cloud": "azure"}, "ami"),
    ],
)
def test_two_that_do_not_go_together_are_400(body: dict[str, Any], field: str, operator: Person) -> None:
    assert_field_refused(operator, body, field)


# --- Clouds, regions, queues -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cloud", "names"),
    [("aws", ["AWS_REGIONS", "AWS_BATCH_QUEUES"]), ("azure", ["AZURE_BATCH_ENDPOINT", "AZURE_BATCH_POOLS"])],
)
def test_a_cloud_that_is_not_configured_is_400_and_names_the_settings(
    cloud: str, names: list[str], operator: Person
) -> None:
    body = {**VALID, "cloud": cloud, "region": "anywhere"}
    assert_refused(operator.post("/submit", body), 400, "PROVIDER_NOT_CONFIGURED", "cloud: ", *names)


def test_the_queues_of_local_are_a_setting(operator: Person, settings: Settings) -> None:
    settings.LOCAL_QUEUES = ["default", "night"]
    assert submitted(operator, {**VALID, "queue": "night"}).queue == "night"


def test_a_region_that_another_machine_serves_is_known(operator: Person) -> None:
    assert_field_refused(operator, {**VALID, "region": "other"}, "region")
    Place.objects.create(cloud="local", region="other")
    OrmQ.objects.all().delete()
    assert submitted(operator, {**VALID, "region": "other"}).place.region == "other"
    assert [row.key for row in OrmQ.objects.all()] == ["pulse-other"]


# --- Bodies that are no jobs -------------------------------------------------------------------------

_TEXT: Final = json.dumps(VALID)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"}", b"nul", b"'", b"\xff\xfe\xfd", b"\x80", b'{"customer": "\xff"}', b"\0",
        _TEXT[:-1].encode(), _TEXT.encode() + b"x", _TEXT.encode()[:50],
        _TEXT.replace("3600", "NaN").encode(), _TEXT.replace("3600", "Infinity").encode(),
        _TEXT.replace("0.5", "-Infinity").encode(), _TEXT.replace("3600", "9" * 5000).encode(),
        _TEXT.replace("3600", "-" + "9" * 5000).encode(), _TEXT.replace("0.5", "NaN").encode(),
        b"[" * 100_000, b'{"a":' * 100_000, nested(100_000).encode(), b"customer=acme&cloud=local",
    ],
    ids=lambda body: ascii(body[:12]) + str(len(body)),
)  # fmt: skip
def test_what_is_no_json_is_400(body: bytes, operator: Person) -> None:
    assert_refused(operator.post("/submit", body), 400, "INVALID_REQUEST", "JSON")
    assert not Job.objects.exists()


@pytest.mark.parametrize("body", ["null", "true", "1", '"text"', "[]", f"[{_TEXT}]"])
def test_json_that_is_no_object_is_400(body: str, operator: Person) -> None:
    assert_refused(operator.post("/submit", body.encode()), 400, "INVALID_REQUEST", "object")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("0.5", "1e400", "resources.memory"), ("0.5", "-1e400", "resources.memory"), ("3600", "1e400", "timeout"),
        ("3600", "3.6e3", "timeout"), ("0.5", "9" * 4000, "resources.memory"), ("3600", "9" * 4000, "timeout"),
        ('"RIALT_203"', "1e400", "tags"), ('"RIALT_203"', "9" * 4000, "tags"),
    ],
)  # fmt: skip
def test_a_number_that_python_reads_but_nobody_means_is_400(old: str, new: str, field: str, operator: Person) -> None:
    assert_field_refused(operator, _TEXT.replace(old, new, 1).encode(), field)


def test_a_name_given_twice_counts_as_its_last(operator: Person) -> None:
    assert submitted(operator, (_TEXT[:-1] + ', "id": "last"}').encode()).classification == "last"


def test_a_body_over_16_mib_is_413(operator: Person) -> None:
    body = (_TEXT[:-1] + ', "x": "' + "x" * 16 * 2**20 + '"}').encode()
    assert_refused(operator.post("/submit", body), 413, "TOO_LARGE")
    assert not Job.objects.exists()


ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS: Final = st.sampled_from([*VALID, "secret_env", "ami", "user_data", "priority", "queue", "image/ami"])


@hypothesis(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(change=st.dictionaries(FIELDS, ANYTHING, max_size=4), missing=st.sets(FIELDS, max_size=2))
def test_a_mangled_body_is_accepted_or_refused_and_never_breaks_anything(
    change: dict[str, Any], missing: set[str], operator: Person
) -> None:
    body = {name: value for name, value in {**VALID, **change}.items() if name not in missing}
    before = Job.objects.count()
    answer = operator.post("/submit", json.dumps(body).encode())
    if answer.status_code == 200:
        assert Job.objects.count() == before + 1
    else:
        error = json.loads(text_of(answer))["error"]
        assert answer.status_code == error["status"] == 400
        assert ": " in error["message"]
        assert Job.objects.count() == before


@hypothesis(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_body_with_broken_bytes_is_accepted_or_refused(data: st.DataObject, operator: Person) -> None:
    text = bytearray(_TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    answer = operator.post("/submit", bytes(text))
    assert answer.status_code in (200, 400), text_of(answer)


# --- Who -----------------------------------------------------------------------------------------


def test_an_admin_and_an_operator_submit_for_any_customer() -> None:
    for person in (make_admin(), make_operator()):
        job = submitted(person, {**VALID, "customer": "a new one"})
        assert (job.owner, job.customer.name) == (person.user, "a new one")


def test_a_monitor_is_403() -> None:
    assert_refused(make_monitor().post("/submit", VALID), 403, "FORBIDDEN", "operator", "monitor")


def test_a_customer_user_submits_for_their_own_customer_only() -> None:
    person = make_customer_user(customer="acme")
    assert submitted(person).customer.name == "acme"
    assert_refused(person.post("/submit", {**VALID, "customer": "other"}), 403, "FORBIDDEN", "customer: ")
    assert not Customer.objects.filter(name="other").exists()


def test_somebody_without_a_token_is_401_whatever_the_body() -> None:
    for body in (_TEXT, "{"):
        assert_refused(Client().post("/submit", body, content_type="application/json"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_there_is_no_other_method(method: str, operator: Person) -> None:
    answer = getattr(operator.client, method)("/submit")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    if method != "head":
        assert_refused(answer, 405, "METHOD_NOT_ALLOWED", method.upper())


def test_an_answer_is_kept_by_nobody(operator: Person) -> None:
    answer = operator.post("/submit", VALID)
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert "Set-Cookie" not in answer.headers


def test_a_store_that_fails_is_500_in_shape_and_says_nothing_of_itself(
    operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OperationalError("password=hunter2")

    monkeypatch.setattr("jobs.sql.submit", fail)
    answer = operator.post("/submit", VALID)
    assert_refused(answer, 500, "INTERNAL")
    assert "hunter2" not in text_of(answer)


# --- Idempotency-Key ------------------------------------------------------------------------------


def with_key(person: Person, key: str, body: Any = None) -> Any:
    return person.post("/submit", VALID if body is None else body, headers={"Idempotency-Key": key})


def test_a_key_twice_is_one_job_and_the_same_answer(operator: Person) -> None:
    first, second = with_key(operator, "k"), with_key(operator, "k")
    assert json_of(first) == json_of(second)
    assert Job.objects.count() == 1


def test_a_key_with_another_body_is_422(operator: Person) -> None:
    json_of(with_key(operator, "k"))
    assert_refused(with_key(operator, "k", {**VALID, "id": "other"}), 422, "IDEMPOTENCY_KEY_REUSED")
    assert Job.objects.count() == 1


def test_a_key_in_flight_is_409_and_says_when_to_come_again(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*args: object) -> None:
        raise idempotency.InFlight

    monkeypatch.setattr(idempotency, "_lock", busy)
    answer = with_key(operator, "k")
    assert_refused(answer, 409, "IN_FLIGHT")
    assert answer.headers["Retry-After"] == "1"


def test_a_refused_submit_keeps_no_key(operator: Person) -> None:
    assert_refused(with_key(operator, "k", {**VALID, "region": "none"}), 400, "INVALID_REQUEST", "region: ")
    assert not IdempotencyKey.objects.exists()
    json_of(with_key(operator, "k"))


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
def test_a_key_that_cannot_be_kept_is_400(key: str, operator: Person) -> None:
    assert_refused(with_key(operator, key), 400, "INVALID_REQUEST", "Idempotency-Key: ")
    assert not Job.objects.exists()


# --- What it costs --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_submit_stays_within_its_budget() -> None:
    person = make_operator()
    submitted(person)
    with within_budget("POST /submit"):
        assert person.post("/submit", VALID).status_code == 200
    with within_budget("POST /submit, Idempotency-Key"):
        assert with_key(person, "k").status_code == 200
    with within_budget("POST /submit, Idempotency-Key again"):
        assert with_key(person, "k").status_code == 200
