"""Calls: how they fail in our words, who makes them, and that nothing is shown of credentials."""

from __future__ import annotations

import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig, CustomerRole
from clusters.providers.aws.session import Session
from clusters.providers.errors import AuthFailed, NoCapacity, NotFound, ProviderError, Refused, Throttled
from tests.clusters.aws.account import EXTERNAL_ID, QUEUES, REGION
from tests.clusters.aws.script import Fault, Script

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ROLE = CustomerRole("arn:aws:iam::210987654321:role/controlplane", EXTERNAL_ID)
SECRETS = ("an-access-key", "a-very-secret-key", "a-session-token", "a-passing-secret", "a-passing-key", EXTERNAL_ID)


def config(endpoint: str, **wishes: Any) -> AwsConfig:
    return AwsConfig(**{"region": REGION, "queues": QUEUES, "endpoint_url": endpoint, **wishes})


def session(script: Script, **rates: float) -> Session:
    return Session(config(script.endpoint, customer_roles={"acme": ROLE}), rates={"batch": 1000.0, **rates})


def credentials(seconds: float = 3600, number: int = 1) -> dict[str, Any]:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "Credentials": {
            "AccessKeyId": f"a-passing-key-number-{number}",
            "SecretAccessKey": "a-passing-secret",
            "SessionToken": f"a-session-token-{number}",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    }


def describe(session: Session, account: str = "") -> object:
    return session.call(account, "batch", "DescribeJobs", jobs=["1"])


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (429, "TooManyRequestsException", Throttled),
        (400, "ThrottlingException", Throttled),
        (503, "Throttling", Throttled),
        (400, "RequestLimitExceeded", Throttled),
        (429, "", Throttled),
        (403, "AccessDeniedException", AuthFailed),
        (403, "ExpiredTokenException", AuthFailed),
        (400, "UnrecognizedClientException", AuthFailed),
        (403, "InvalidSignatureException", AuthFailed),
        (403, "MissingAuthenticationTokenException", AuthFailed),
        (403, "a new name", AuthFailed),
        (400, "ClientException", Refused),
        (400, "ValidationException", Refused),
        (400, "ServiceQuotaExceededException", NoCapacity),
        (400, "LimitExceededException", NoCapacity),
        (400, "ResourceNotFoundException", NotFound),
    ],
)
def test_errors_are_told_by_the_next_step(script: Script, status: int, code: str, error: type[ProviderError]) -> None:
    script.say("DescribeJobs", Fault(status, code))
    with pytest.raises(error) as told:
        describe(session(script))
    assert type(told.value) is error
    assert str(told.value).startswith(f"batch:DescribeJobs: {code}")
    assert len(script.calls) == 1, "boto must not try again by itself"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, "ServerException"),
        Fault(503, "ServiceUnavailable"),
        Fault(502, page="<html>a proxy is sorry</html>"),
        Fault(200, page="<html>please sign in</html>"),
        Fault(0),
    ],
)
def test_what_may_have_been_done_has_no_better_name(script: Script, fault: Fault) -> None:
    script.say("DescribeJobs", fault)
    with pytest.raises(ProviderError) as told:
        describe(session(script))
    assert type(told.value) is ProviderError
    assert len(script.calls) == 1


def test_silence_is_waited_for_a_bounded_time(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.providers.aws.session.READ_SECONDS", 0.3)

    def late(body: dict[str, Any]) -> dict[str, Any]:
        time.sleep(1)
        return {"jobs": []}

    script.say("DescribeJobs", late)
    with pytest.raises(ProviderError, match=r"batch:DescribeJobs: .*[Tt]imeout") as told:
        describe(session(script))
    assert type(told.value) is ProviderError


def test_nobody_there_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = Session(config(f"http://127.0.0.1:{closed.getsockname()[1]}"))
        with pytest.raises(ProviderError, match="batch:DescribeJobs: Could not connect") as told:
            describe(nowhere)
    assert type(told.value) is ProviderError


def test_retry_after_is_honoured(script: Script) -> None:
    script.say("DescribeJobs", Fault(429, "TooManyRequestsException", headers={"Retry-After": "7"}))
    slowed = session(script)
    with pytest.raises(Throttled) as told:
        describe(slowed)
    assert told.value.retry_after_seconds == 7.0
    with pytest.raises(Throttled) as told:
        describe(slowed)
    assert 6.0 < told.value.retry_after_seconds < 8.0
    assert len(script.calls) == 1, "we must not have asked meanwhile"
    script.say("ListJobs", {"jobSummaryList": []})
    with pytest.raises(Throttled):
        slowed.call("", "batch", "ListJobs", jobQueue="low")


def test_a_date_to_retry_after_is_a_little_while(script: Script) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    script.say("DescribeJobs", Fault(429, "TooManyRequestsException", headers=headers))
    with pytest.raises(Throttled) as told:
        describe(session(script))
    assert told.value.retry_after_seconds == 2.0


def test_our_own_bound_holds_before_aws_s(script: Script) -> None:
    script.say("DescribeJobs", {"jobs": []})
    bound = session(script, batch=0.25)
    describe(bound)
    with pytest.raises(Throttled, match="our own bound"):
        describe(bound)
    assert len(script.calls) == 1


# Each action that we need, as AWS words that it is not allowed.
NEEDED = {
    "batch": [
        "DescribeComputeEnvironments",
        "DescribeJobDefinitions",
        "DescribeJobQueues",
        "DescribeJobs",
        "GetJobQueueSnapshot",
        "ListJobs",
        "RegisterJobDefinition",
        "SubmitJob",
        "TerminateJob",
    ],
    "logs": ["GetLogEvents"],
}
ASKED: dict[str, dict[str, Any]] = {
    "DescribeJobs": {"jobs": ["1"]},
    "GetJobQueueSnapshot": {"jobQueue": "low"},
    "GetLogEvents": {"logGroupName": "g", "logStreamName": "s"},
    "ListJobs": {"jobQueue": "low"},
    "RegisterJobDefinition": {"jobDefinitionName": "one", "type": "container"},
    "SubmitJob": {"jobName": "one", "jobQueue": "low", "jobDefinition": "one"},
    "TerminateJob": {"jobId": "1", "reason": "because"},
}


@pytest.mark.parametrize(("service", "action"), [(name, one) for name, rows in NEEDED.items() for one in rows])
def test_a_permission_that_is_missing_is_named(script: Script, service: str, action: str) -> None:
    message = f"User: arn:aws:iam::123456789012:user/cp is not authorized to perform: {service}:{action}"
    script.say(action, Fault(403, "AccessDeniedException", message))
    with pytest.raises(AuthFailed) as told:
        session(script).call("", service, action, **ASKED.get(action, {}))
    assert str(told.value) == f"{service}:{action}: AccessDeniedException: {message}"


# Roles of customers


def test_a_customer_s_role_is_assumed_with_its_external_id(script: Script) -> None:
    script.say("AssumeRole", credentials())
    script.say("DescribeJobs", {"jobs": []})
    ours = session(script)
    for _ in range(3):
        describe(ours, "acme")
    describe(ours)
    (asked,) = script.asked("AssumeRole")
    assert asked["RoleArn"] == ROLE.role_arn
    assert asked["ExternalId"] == EXTERNAL_ID
    assert asked["RoleSessionName"] == "controlplane"
    by = [(call.action, call.key) for call in script.calls]
    theirs = ("DescribeJobs", "a-passing-key-number-1")
    assert by == [("AssumeRole", "an-access-key"), theirs, theirs, theirs, ("DescribeJobs", "an-access-key")]
    assert script.calls[1].token == "a-session-token-1"


def test_threads_that_begin_at_once_assume_a_role_once(script: Script) -> None:
    script.say("AssumeRole", credentials())
    script.say("DescribeJobs", {"jobs": []})
    ours = session(script)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: describe(ours, "acme"), range(16)))
    assert len(script.asked("AssumeRole")) == 1
    assert {call.key for call in script.calls if call.action == "DescribeJobs"} == {"a-passing-key-number-1"}


def test_a_role_is_assumed_again_before_its_credentials_expire(script: Script) -> None:
    # Boto wants new ones ten minutes ahead.
    script.say("AssumeRole", credentials(300, 1), credentials(3600, 2))
    script.say("DescribeJobs", {"jobs": []})
    ours = session(script)
    for _ in range(3):
        describe(ours, "acme")
    assert [call.key for call in script.calls if call.action == "DescribeJobs"][1:] == ["a-passing-key-number-2"] * 2
    assert len(script.asked("AssumeRole")) == 2


def test_a_role_that_we_may_not_assume_is_named(script: Script) -> None:
    message = f"User: arn:aws:iam::123456789012:user/cp is not authorized to perform: sts:AssumeRole on {ROLE.role_arn}"
    script.say("AssumeRole", Fault(403, "AccessDenied", message))
    with pytest.raises(AuthFailed, match=r"^sts:AssumeRole: AccessDenied: .*role/controlplane"):
        describe(session(script), "acme")
    assert script.asked("DescribeJobs") == []


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxy_s_word_on_a_role_is_no_refusal(script: Script, status: int) -> None:
    script.say("AssumeRole", Fault(status, page="<html>a proxy is sorry<br></html>"))
    with pytest.raises(ProviderError) as told:
        describe(session(script), "acme")
    assert type(told.value) is ProviderError


def test_a_role_that_is_configured_no_more_is_told(script: Script) -> None:
    with pytest.raises(AuthFailed, match="gone"):
        describe(session(script), "gone")


def test_customers_do_not_share_a_bound(script: Script) -> None:
    script.say("AssumeRole", credentials())
    script.say("DescribeJobs", {"jobs": []})
    bound = session(script, batch=0.25)
    describe(bound)
    describe(bound, "acme")
    with pytest.raises(Throttled):
        describe(bound, "acme")


# Credentials


def test_no_credentials_at_all_is_told(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for account in ("", "acme"):
        with pytest.raises(AuthFailed, match="no credentials"):
            describe(session(script), account)
    assert script.calls == []


LEAKY = "The Canonical String should have been 'x-amz-security-token:a-session-token-1' for an-access-key"


@pytest.mark.parametrize("fault", [Fault(403, "SignatureDoesNotMatch", LEAKY), Fault(0), Fault(500, "ServerException")])
def test_no_error_shows_credentials(script: Script, caplog: pytest.LogCaptureFixture, fault: Fault) -> None:
    script.say("AssumeRole", credentials())
    script.say("DescribeJobs", fault)
    with caplog.at_level(logging.INFO), pytest.raises(ProviderError) as told:
        describe(session(script), "acme")
    # As a log shows it with its causes.
    text = "".join(_chain(told.value)) + caplog.text
    assert not [secret for secret in SECRETS if secret in text]


def _chain(error: BaseException | None) -> list[str]:
    if error is None:
        return []
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [repr(error), *_chain(shown)]
