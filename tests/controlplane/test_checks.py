from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as settings_of_django
from django.core.checks import CheckMessage
from django.core.checks import registry as django_checks
from pytest_django import Settings

from clusters.providers.local import isolation
from controlplane import checks
from controlplane.core.env import Fault


def ids(messages: list[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_a_missing_secret_key_is_an_error(settings: Settings) -> None:
    assert checks.check_secret_key(None) == []
    settings.SECRET_KEY = ""
    assert ids(checks.check_secret_key(None)) == ["controlplane.E001"]


def test_missing_encryption_keys_are_an_error(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = []
    assert ids(checks.check_encryption_keys(None)) == ["controlplane.E002"]


@pytest.mark.parametrize("wrong", ["short", "x" * 44, "ä" * 44, "A" * 39 + "="])
def test_a_key_that_is_no_fernet_key_is_named_by_its_place_and_not_shown(settings: Settings, wrong: str) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), wrong]
    [message] = checks.check_encryption_keys(None)
    assert ids([message]) == ["controlplane.E003"]
    assert "Number 2" in message.msg
    assert wrong not in f"{message.msg} {message.hint}"


def test_good_keys_are_fine(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode() for _ in range(2)]
    assert checks.check_encryption_keys(None) == []


def test_each_variable_that_could_not_be_read_is_named(settings: Settings) -> None:
    settings.SETTING_FAULTS = [Fault("DAYS", "a whole number"), Fault("DEBUG", "1 or 0")]
    messages = checks.check_readable(None)
    assert ids(messages) == ["controlplane.E004"] * 2
    assert [message.msg for message in messages] == ["DAYS is not a whole number.", "DEBUG is not 1 or 0."]


def test_an_old_sqlite_is_an_error_only_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = settings_of_django.DATABASES["default"]
    monkeypatch.setitem(database, "ENGINE", "django.db.backends.sqlite3")
    assert checks.check_sqlite_version(None) == []
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert ids(checks.check_sqlite_version(None)) == ["controlplane.E005"]
    monkeypatch.setitem(database, "ENGINE", "django.db.backends.postgresql")
    assert checks.check_sqlite_version(None) == []


def test_a_connection_pool_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_no_pool(None) == []
    monkeypatch.setitem(settings_of_django.DATABASES["default"], "OPTIONS", {"pool": True})
    assert ids(checks.check_no_pool(None)) == ["controlplane.E006"]


def test_our_own_queue_times_are_fine() -> None:
    assert checks.check_queue_times(None) == []


@pytest.mark.parametrize("wrong", [{"retry": 60}, {"timeout": None}])
def test_a_queue_that_repeats_a_task_before_its_timeout_is_an_error(
    settings: Settings, wrong: dict[str, int | None]
) -> None:
    queue = {"name": "work", "timeout": 60, "retry": 90, "ALT_CLUSTERS": {"other": {}}}
    settings.Q_CLUSTER = queue | wrong
    assert ids(checks.check_queue_times(None)) == ["controlplane.E007"] * 2
    settings.Q_CLUSTER = queue | {"ALT_CLUSTERS": {"other": wrong}}
    [message] = checks.check_queue_times(None)
    assert "other" in message.msg


@pytest.mark.parametrize(
    ("wanted", "possible", "debug", "allowed", "expected"),
    [
        (True, True, False, False, []),
        (True, False, False, False, ["controlplane.W001"]),
        (True, False, False, True, ["controlplane.W002"]),
        (True, False, True, False, ["controlplane.W002"]),
        (False, True, False, False, ["controlplane.W001"]),
        (False, True, False, True, ["controlplane.W002"]),
    ],
)
def test_a_machine_that_cannot_isolate_jobs_is_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch,
    wanted: bool, possible: bool, debug: bool, allowed: bool, expected: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(isolation, "probe", lambda: isolation.Probe(possible, "" if possible else "no bubblewrap"))
    settings.LOCAL_ISOLATION, settings.DEBUG, settings.LOCAL_UNISOLATED = wanted, debug, allowed
    assert ids(checks.check_isolation(None)) == expected


def test_nobody_s_programs_do_not_run_unisolated(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAPREDUCE_ANONYMOUS_USER = "apollo"
    settings.LOCAL_ISOLATION = settings.DEBUG = True
    monkeypatch.setattr(isolation, "probe", lambda: isolation.Probe(True, ""))
    assert checks.check_isolation(None) == []
    monkeypatch.setattr(isolation, "probe", lambda: isolation.Probe(False, "no bubblewrap"))
    assert ids(checks.check_isolation(None)) == ["controlplane.E008"]


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ({"type": "host", "host_path": "/srv/artifacts"}, []),
        ({"type": "s3", "bucket_name": "programs"}, []),
        ({"type": "host"}, ["controlplane.E009"]),
        ({"type": "tape"}, ["controlplane.E009"]),
        ({}, ["controlplane.E009"]),
    ],
)
def test_a_storage_of_artifacts_that_is_none_is_named(settings: Settings, broker: object, expected: list[str]) -> None:
    settings.ARTIFACT_STORAGE = broker
    assert ids(checks.check_artifact_storage(None)) == expected


KEYS = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "secret"}


@pytest.mark.parametrize(
    ("broker", "image", "expected"),
    [
        ({}, "python:3.11-slim", []),
        ({"type": "s3", "bucket_name": "between", "credentials": KEYS}, "worker", []),
        ({"type": "s3", "bucket_name": "between", "credentials": KEYS}, "python:3.11-slim", ["controlplane.W005"]),
        ({"type": "host", "host_path": "/srv/between"}, "worker", ["controlplane.E012"]),
        ({"type": "s3"}, "worker", ["controlplane.E012"]),
        (
            {"type": "azure", "account_url": "https://acme.blob.core.windows.net", "container_name": "between"},
            "worker",
            ["controlplane.E012"],
        ),
    ],
)
def test_storage_between_tasks_that_cannot_be_used_is_named(
    settings: Settings, broker: object, image: str, expected: list[str]
) -> None:
    settings.MAPREDUCE_CLOUD_STORAGE, settings.MAPREDUCE_IMAGE = broker, image
    found = checks.check_mapreduce_cloud_storage(None)
    assert ids(found) == expected
    assert "secret" not in "".join(each.msg for each in found)


def test_who_may_sign_up_gets_links_that_lead_somewhere(settings: Settings) -> None:
    for sign_up, url, expected in (
        ("closed", "", []),
        ("open", "https://a.example.com", []),
        ("open", "", ["controlplane.E014"]),
        ("invite", "https://a.example.com", []),
        ("invite", "", ["controlplane.E014"]),
    ):
        settings.SIGN_UP, settings.ACCOUNT_URL = sign_up, url
        assert ids(checks.check_account_url(None)) == expected


@pytest.mark.parametrize(
    ("url", "networks", "expected"),
    [
        ("", [], []),
        ("https://hooks.slack.com/services/T/B/secret", [], []),
        ("http://hooks.slack.com/services/T/B/secret", [], ["controlplane.E020"]),
        ("http://127.0.0.1:8080/secret", [], ["controlplane.E020"]),
        ("http://127.0.0.1:8080/secret", ["127.0.0.0/8"], []),
        ("secret", [], ["controlplane.E020"]),
    ],
)
def test_slack_is_called_over_tls_and_its_address_is_not_told(
    url: str, networks: list[str], expected: list[str], settings: Settings
) -> None:
    settings.SLACK_WEBHOOK_URL, settings.CALLABLE_NETWORKS = url, networks
    found = checks.check_slack(None)
    assert ids(found) == expected
    assert "secret" not in " ".join(each.msg for each in found)


@pytest.mark.parametrize(
    ("key", "secrets", "base", "expected"),
    [
        ("", [], "", []),
        ("sk_live_51Abc", ["whsec_a", "whsec_b"], "", []),
        ("rk_test_51Abc", ["whsec_a"], "http://127.0.0.1:8420", []),
        ("pk_live_51Abc", ["whsec_a"], "", ["controlplane.E023"]),
        ("sk_live_51 Abc", ["whsec_a"], "", ["controlplane.E023"]),
        ("sk_live_51Abc", ["whsec_a"], "127.0.0.1:8420", ["controlplane.E024"]),
        ("sk_live_51Abc", ["whsec_a", "b"], "", ["controlplane.E025"]),
        ("sk_live_51Abc", [], "", ["controlplane.W007"]),
        ("", ["whsec_a"], "", ["controlplane.W007"]),
    ],
)
def test_what_is_set_of_stripe_goes_together_and_is_not_told(
    key: str, secrets: list[str], base: str, expected: list[str], settings: Settings
) -> None:
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_API_BASE = key, secrets, base
    found = checks.check_stripe(None)
    assert ids(found) == expected
    assert not key or key not in str(found)


@pytest.mark.parametrize(
    ("way", "event", "expected"),
    [
        ("invoice-items", "compute_cents", []), ("meters", "x" * 100, []), ("", "cents", ["controlplane.E026"]),
        ("invoices", "cents", ["controlplane.E026"]), ("meters", "", ["controlplane.E027"]),
        ("meters", "x" * 101, ["controlplane.E027"]),
    ],
)  # fmt: skip
def test_bills_are_sent_in_one_of_two_ways(way: str, event: str, expected: list[str], settings: Settings) -> None:
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRETS = "", []
    settings.STRIPE_BILLING, settings.STRIPE_METER_EVENT = way, event
    assert ids(checks.check_stripe(None)) == expected


@pytest.mark.parametrize("name", ["PROMETHEUS_URL", "LOKI_URL"])
@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("", True), ("http://127.0.0.1:9090", True), ("https://metrics.example.com/below", True),
        ("metrics.example.com:9090", False), ("http://", False), ("http://[", False), ("http://a:port", False),
        ("http://reader:secret@a", False), ("http://a/?tenant=secret", False), ("http://a/#b", False),
    ],
)  # fmt: skip
def test_a_store_of_telemetry_has_an_address_that_paths_can_be_hung_on(
    name: str, url: str, is_one: bool, settings: Settings
) -> None:
    setattr(settings, name, url)
    found = checks.check_stores_of_telemetry(None)
    assert ids(found) == ([] if is_one else ["controlplane.E022"])
    assert all(name in each.msg and "secret" not in each.msg for each in found)


def test_cookies_for_other_sites_are_sent_over_tls_only(settings: Settings) -> None:
    for same_site, secure, expected in (
        ("Lax", False, []),
        ("None", True, []),
        ("None", False, ["controlplane.E021"]),
    ):
        settings.SESSION_COOKIE_SAMESITE, settings.SESSION_COOKIE_SECURE = same_site, secure
        assert ids(checks.check_cookies(None)) == expected


def test_an_origin_that_may_only_read_is_worth_a_word(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://a.example.com", "https://b.example.com"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://b.example.com"]
    found = checks.check_origins(None)
    assert ids(found) == ["controlplane.W006"]
    assert "https://a.example.com" in found[0].msg


def test_networks_that_are_none_are_named(settings: Settings) -> None:
    settings.CALLABLE_NETWORKS = ["10.0.0.0/8", "10.1.2.3/8", "here", "fd00::/64"]
    found = checks.check_callable_networks(None)
    assert ids(found) == ["controlplane.E015"] * 2
    assert "10.1.2.3/8" in found[0].msg
    assert "here" in found[1].msg


def test_a_place_of_mapreduce_jobs_that_is_none_is_named(settings: Settings) -> None:
    settings.MAPREDUCE_PLACE = "local"
    assert checks.check_mapreduce_place(None) == []
    settings.AWS_REGIONS, settings.AWS_BATCH_QUEUES = ["north-1"], {"north-1": {}}
    for place, storage, expected in (
        ("aws/north-1", {"type": "s3"}, []),
        ("aws/north-1", {}, ["controlplane.E013"]),
        ("aws/south-1", {"type": "s3"}, ["controlplane.E013"]),
        ("aws", {"type": "s3"}, ["controlplane.E013"]),
        ("", {"type": "s3"}, ["controlplane.E013"]),
    ):
        settings.MAPREDUCE_PLACE, settings.MAPREDUCE_CLOUD_STORAGE = place, storage
        assert ids(checks.check_mapreduce_place(None)) == expected


@pytest.mark.parametrize(
    ("debug", "hosts", "expected"),
    [
        (True, ["localhost", "127.0.0.1", "[::1]", "app.localhost"], []),
        (True, ["127.0.0.1", "example.org"], ["controlplane.W003"]),
        (True, ["*"], ["controlplane.W003"]),
        (True, ["10.0.0.5"], ["controlplane.W003"]),
        (False, ["example.org"], []),
    ],
)
def test_debug_for_others_to_see_is_a_warning(
    settings: Settings, debug: bool, hosts: list[str], expected: list[str]
) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, hosts
    assert ids(checks.check_debug_is_private(None)) == expected


def test_every_check_is_registered() -> None:
    ours = {check for check in django_checks.registry.get_checks() if check.__module__ == "controlplane.checks"}
    written = {value for name, value in vars(checks).items() if name.startswith("check_")}
    assert ours == written


def test_a_container_engine_that_does_not_answer_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    settings.LOCAL_DOCKER_HOST = f"unix://{tmp_path}/nobody.sock"
    assert checks.check_container_engine(None) == []
    settings.LOCAL_RUNTIME = "docker"
    assert ids(checks.check_container_engine(None)) == ["controlplane.W004"]
    settings.LOCAL_ISOLATION = False
    assert checks.check_isolation(None) == []  # containers isolate
