"""What Azure's errors come to, one by one, through the SDK as it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from azure.core.exceptions import ClientAuthenticationError

from clusters.providers.azure import account
from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.errors import AuthFailed, NoCapacity, NotFound, ProviderError, Refused, Throttled
from tests.clusters.azure.conftest import a_work
from tests.clusters.azure.stand_in import ACCOUNT, ACCOUNT_KEY, BatchServer, OurToken
from tests.clusters.provider_contract import new_id
from tests.postgresql import free_port

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")

UNKNOWN = "cp-cp-low-acme-00000000-20200101/7c6f6a5e-0d55-4c8e-9d1a-3f2b8f3e9a10"
LISTING = "GET /jobs/.*/tasks$"


def raised(do: Callable[[], object]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        do()
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "ServerBusy", Throttled),
        (429, "TooManyRequests", Throttled),
        (429, "Unheard", Throttled),
        (401, "AuthenticationFailed", AuthFailed),
        (403, "AuthenticationFailed", AuthFailed),
        (403, "InsufficientAccountPermissions", AuthFailed),
        (403, "AccountIsDisabled", AuthFailed),
        (403, "Unheard", AuthFailed),
        (403, "IOError", ProviderError),
        (409, "ActiveJobAndScheduleQuotaReached", NoCapacity),
        (409, "PoolQuotaReached", NoCapacity),
        (409, "AccountCoreQuotaReached", NoCapacity),
        (409, "AccountLowPriorityCoreQuotaReached", NoCapacity),
        (409, "JobCompleted", NoCapacity),
        (409, "JobDisabled", NoCapacity),
        (409, "OperationInvalidForCurrentState", ProviderError),
        (404, "NodeNotFound", NotFound),
        (400, "InvalidPropertyValue", Refused),
        (413, "RequestBodyTooLarge", Refused),
        (500, "InternalError", ProviderError),
        (500, "OperationTimedOut", ProviderError),
        (503, "Unheard", ProviderError),
        (502, "Unheard", ProviderError),
    ],
)
def test_each_error_has_its_kind(
    azure: AzureCloud, batch: BatchServer, status: int, code: str, kind: type[ProviderError]
) -> None:
    batch.fault(LISTING, status=status, code=code, message="In Azure's words.")
    error = raised(lambda: azure.observe([UNKNOWN]))
    assert type(error) is kind
    assert str(error).startswith(f"Azure Batch, list tasks: {code}: In Azure's words.")


def test_an_error_that_is_no_json_has_a_kind_too(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault(LISTING, status=502, raw="<html>Bad gateway</html>")
    error = raised(lambda: azure.observe([UNKNOWN]))
    assert type(error) is ProviderError
    assert "HTTP 502" in str(error)


def test_values_of_an_error_are_told(azure: AzureCloud, batch: BatchServer) -> None:
    error = raised(lambda: azure.submit(new_id(), [a_work(env={"": "no name"})]))
    assert type(error) is Refused
    assert "PropertyName: value/environmentSettings/name" in str(error)


# Too many calls


def test_it_is_told_how_long_to_wait_and_waits(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault(LISTING, status=503, code="ServerBusy", retry_after="30")
    error = raised(lambda: azure.observe([UNKNOWN]))
    assert isinstance(error, Throttled)
    assert error.retry_after_seconds == 30
    calls = len(batch.look()["seen"])
    held = raised(lambda: azure.cancel([UNKNOWN]))
    assert isinstance(held, Throttled)
    assert 28 < held.retry_after_seconds <= 30
    assert len(batch.look()["seen"]) == calls, "it must not call meanwhile"


def test_a_short_wait_is_waited(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault(LISTING, status=503, code="Unheard", retry_after="0.3")
    began = time.monotonic()
    assert isinstance(raised(lambda: azure.observe([UNKNOWN])), Throttled)
    assert azure.observe([UNKNOWN]) == []
    assert time.monotonic() - began >= 0.3


def test_the_sdk_tries_nothing_again(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault(LISTING, status=500, times=5)
    raised(lambda: azure.observe([UNKNOWN]))
    assert len(batch.look()["seen"]) == 1


# No answer


def test_nobody_there_is_told(batch: BatchServer) -> None:
    config = batch.config()
    members = {name: getattr(config, name) for name in ("region", "pools", "connection_verify")}
    cloud = AzureCloud(type(config)(f"https://localhost:{free_port()}", **members), OurToken())
    error = raised(lambda: cloud.observe([UNKNOWN]))
    assert type(error) is ProviderError
    assert "does not answer (list tasks)" in str(error)


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(batch: BatchServer) -> None:
    cloud = AzureCloud(batch.config(connection_verify=True), OurToken())
    error = raised(lambda: cloud.observe([UNKNOWN]))
    assert type(error) is ProviderError
    assert batch.look()["seen"] == []


def test_an_answer_that_does_not_come_is_not_waited_for(batch: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "READ_SECONDS", 0.3)
    cloud = AzureCloud(batch.config(), OurToken())
    batch.fault(LISTING, delay=2.0)
    began = time.monotonic()
    assert type(raised(lambda: cloud.observe([UNKNOWN]))) is ProviderError
    assert time.monotonic() - began < 1.5


def test_an_answer_that_is_lost_is_told(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault(LISTING, drop=True)
    assert type(raised(lambda: azure.observe([UNKNOWN]))) is ProviderError


# Credentials


@pytest.mark.parametrize(
    ("denied", "operation", "do"),
    [
        ("GET /pools/", "read the pool cp-low", lambda cloud, handle: cloud.submit(new_id(), [a_work()])),
        ("POST /jobs$", "make a job", lambda cloud, handle: cloud.submit(new_id(), [a_work(customer="other")])),
        ("POST .*/addtaskcollection", "add tasks", lambda cloud, handle: cloud.submit(new_id(), [a_work()])),
        ("GET /jobs$", "list jobs", lambda cloud, handle: cloud.find(new_id(), [a_work()])),
        (LISTING, "list tasks", lambda cloud, handle: cloud.observe([handle])),
        ("POST .*/terminate", "stop a task", lambda cloud, handle: cloud.cancel([handle])),
        ("GET .*/tasks/[^/]+$", "read a task", lambda cloud, handle: cloud.logs(handle, "stdout")),
        ("GET .*/files/", "read stdout", lambda cloud, handle: cloud.logs(handle, "stdout")),
        ("GET /jobs/[^/]+$", "read a job", lambda cloud, handle: cloud.explain(handle)),
        ("GET /nodecounts", "count nodes", lambda cloud, handle: cloud.explain(handle)),
        ("GET /pools/", "read the pool cp-high", lambda cloud, handle: cloud.capacity()),
        ("GET /jobs$", "list jobs", lambda cloud, handle: cloud.tidy()),
    ],
)
def test_what_is_denied_is_named(
    batch: BatchServer, denied: str, operation: str, do: Callable[[AzureCloud, str], Any]
) -> None:
    (handle,) = AzureCloud(batch.config(), OurToken()).submit(new_id(), [a_work()])
    job, task = handle.split("/")
    batch.control("set_task", job=job, task=task, members={
        "state": "running",
        "executionInfo": {"startTime": "2026-01-01T00:00:00Z", "retryCount": 0, "requeueCount": 0},
    })  # fmt: skip
    batch.fault(denied, status=403, code="InsufficientAccountPermissions", message="No.")
    error = raised(lambda: do(AzureCloud(batch.config(), OurToken()), handle))
    assert type(error) is AuthFailed
    assert str(error).startswith(f"Azure Batch, {operation}: InsufficientAccountPermissions: No.")


def test_a_token_that_is_not_taken_is_told(batch: BatchServer) -> None:
    error = raised(lambda: AzureCloud(batch.config(), OurToken("another")).observe([UNKNOWN]))
    assert type(error) is AuthFailed
    assert "another" not in str(error)


def test_a_token_that_is_not_to_be_had_is_told(batch: BatchServer) -> None:
    class NoToken(OurToken):
        def get_token(self, *scopes: str, **wishes: Any) -> Any:
            raise ClientAuthenticationError("no identity is assigned")

    error = raised(lambda: AzureCloud(batch.config(), NoToken()).observe([UNKNOWN]))
    assert type(error) is AuthFailed
    assert "list tasks: no identity is assigned" in str(error)


def test_an_answer_of_who_gives_tokens_is_not_taken_for_one_of_batch(batch: BatchServer) -> None:
    class Denied(OurToken):
        def get_token(self, *scopes: str, **wishes: Any) -> Any:
            response = Mock(status_code=400, reason="Bad Request", headers={}, content_type="application/json")
            response.text.return_value = '{"error": "invalid_client", "error_description": "No such secret"}'
            raise ClientAuthenticationError("invalid_client", response=response)

    error = raised(lambda: AzureCloud(batch.config(), Denied()).observe([UNKNOWN]))
    assert type(error) is AuthFailed
    assert "gives no token" in str(error)


def test_a_key_will_do(batch: BatchServer) -> None:
    cloud = AzureCloud(batch.config(account_name=ACCOUNT, account_key=ACCOUNT_KEY))
    (handle,) = cloud.submit(new_id(), [a_work()])
    assert [one.execution_id for one in cloud.observe([handle])] == [handle]
    cloud.cancel([handle])


def test_a_wrong_key_is_refused_and_never_told(batch: BatchServer) -> None:
    key = "d3Jvbmcga2V5IG9mIHRoZSB0ZXN0cw=="
    config = batch.config(account_name=ACCOUNT, account_key=key)
    error = raised(lambda: AzureCloud(config).observe([UNKNOWN]))
    assert type(error) is AuthFailed
    assert key not in f"{error}{config!r}"
