"""May we write recordings there: against moto, and against an AWS that refuses as a test says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from clusters.providers.aws import recordings
from clusters.providers.aws.recordings import OBJECT, Bucket, Unusable, try_bucket
from clusters.providers.errors import AuthFailed, ProviderError, Throttled
from tests.clusters.aws import account
from tests.clusters.aws.account import CUSTOMERS, Aws
from tests.clusters.aws.script import Fault, Script

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")
BUCKET: Final = Bucket(
    f"arn:aws:iam::{CUSTOMERS}:role/recordings", "the-uuid-of-the-user", "eu-central-1", "our-recordings", "calls"
)
TAKEN: Final = {
    "Credentials": {
        "AccessKeyId": "a-passing-key-number-1",
        "SecretAccessKey": "a-passing-secret",
        "SessionToken": "a-session-token",
        "Expiration": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
}
HERE: Final = {"LocationConstraint": BUCKET.region}


@pytest.fixture
def willing(script: Script) -> Script:
    """One that lets us."""
    script.say("AssumeRole", TAKEN)
    script.say("GetBucketLocation", HERE)
    script.say("PutObject", {})
    return script


# --- What moto has ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[Aws]:
    with account.running() as aws:
        s3 = aws.client("s3", CUSTOMERS)
        s3.create_bucket(Bucket=BUCKET.name, CreateBucketConfiguration=HERE)
        s3.create_bucket(Bucket="oldest")  # whose region S3 says nothing of
        yield aws


@pytest.mark.parametrize(
    ("path", "key"), [("calls", f"calls/{OBJECT}"), ("", OBJECT), ("a/b c/ü", f"a/b c/ü/{OBJECT}")]
)
def test_an_empty_object_is_written_each_time_the_same(path: str, key: str, moto: Aws) -> None:
    for _ in range(2):
        try_bucket(replace(BUCKET, path=path), moto.endpoint)
    assert moto.client("s3", CUSTOMERS).get_object(Bucket=BUCKET.name, Key=key)["ContentLength"] == 0


def test_it_says_where_a_bucket_is_that_is_elsewhere(moto: Aws) -> None:
    with pytest.raises(Unusable, match="in eu-central-1") as caught:
        try_bucket(replace(BUCKET, region="eu-west-1"), moto.endpoint)
    assert caught.value.field == "bucket_region"
    try_bucket(replace(BUCKET, name="oldest", region="us-east-1"), moto.endpoint)


def test_it_says_that_there_is_no_such_bucket(moto: Aws) -> None:
    with pytest.raises(Unusable, match="no bucket") as caught:
        try_bucket(replace(BUCKET, name="of-nobody"), moto.endpoint)
    assert caught.value.field == "bucket_name"


# --- What AWS refuses ------------------------------------------------------------------------------


def test_the_role_is_taken_by_its_external_id_and_the_bucket_seen_with_its_keys(willing: Script) -> None:
    try_bucket(BUCKET, willing.endpoint)
    [asked] = willing.asked("AssumeRole")
    assert (asked["RoleArn"], asked["ExternalId"]) == (BUCKET.role_arn, BUCKET.external_id)
    assert willing.asked("GetBucketLocation") == [{"Bucket": BUCKET.name}]
    assert willing.asked("PutObject") == [{"Bucket": BUCKET.name, "Key": f"calls/{OBJECT}"}]
    assert [call.key for call in willing.calls] == ["an-access-key", "a-passing-key-number-1", "a-passing-key-number-1"]
    assert [call.token for call in willing.calls] == ["", "a-session-token", "a-session-token"]


@pytest.mark.parametrize(
    ("action", "fault", "field", "words"),
    [
        ("AssumeRole", Fault(403, "AccessDenied"), "role_arn", "the-uuid-of-the-user"),
        ("AssumeRole", Fault(400, "ValidationError"), "role_arn", "external id"),
        ("GetBucketLocation", Fault(404, "NoSuchBucket"), "bucket_name", "no bucket"),
        ("GetBucketLocation", Fault(403, "AccessDenied"), "bucket_name", "s3:GetBucketLocation"),
        ("PutObject", Fault(403, "AccessDenied"), "base_path", "s3:PutObject"),
        ("PutObject", Fault(400, "KMS.DisabledException"), "base_path", "KMS.DisabledException"),
        ("PutObject", Fault(404, "NoSuchBucket"), "bucket_name", "no bucket"),
        ("PutObject", Fault(301, "PermanentRedirect"), "bucket_region", "another region"),
    ],
)
def test_each_refusal_is_told_of_the_field_that_is_at_fault(
    action: str, fault: Fault, field: str, words: str, willing: Script
) -> None:
    willing.say(action, fault)
    with pytest.raises(Unusable, match=words) as caught:
        try_bucket(BUCKET, willing.endpoint)
    assert caught.value.field == field
    assert "a-session-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("action", "fault", "error"),
    [
        ("AssumeRole", Fault(403, "InvalidClientTokenId"), AuthFailed),
        ("AssumeRole", Fault(400, "Throttling"), Throttled),
        ("AssumeRole", Fault(500, "InternalFailure"), ProviderError),
        ("AssumeRole", Fault(0), ProviderError),
        ("GetBucketLocation", Fault(503, "SlowDown"), Throttled),
        ("GetBucketLocation", Fault(0), ProviderError),
        ("PutObject", Fault(503, "SlowDown"), Throttled),
        ("PutObject", Fault(500, "InternalError"), ProviderError),
        ("PutObject", Fault(0), ProviderError),
    ],
)
def test_what_is_nobody_s_fault_is_no_verdict_and_is_not_tried_again(
    action: str, fault: Fault, error: type[ProviderError], willing: Script
) -> None:
    willing.say(action, fault)
    with pytest.raises(error):
        try_bucket(BUCKET, willing.endpoint)
    assert len(willing.asked(action)) == 1


def test_without_credentials_of_our_own_there_is_no_verdict(willing: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AuthFailed):
        try_bucket(BUCKET, willing.endpoint)


def test_one_who_does_not_answer_is_not_waited_for_long(willing: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(asked: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.6)
        return {}

    monkeypatch.setattr(recordings, "READ_SECONDS", 0.2)
    willing.say("PutObject", slow)
    begun = time.monotonic()
    with pytest.raises(ProviderError):
        try_bucket(BUCKET, willing.endpoint)
    assert time.monotonic() - begun < 5
    time.sleep(0.5)  # until the script has ended its answer


def test_each_partition_is_asked_at_home() -> None:
    found = [
        replace(BUCKET, role_arn=BUCKET.role_arn.replace("aws", name)).home for name in ("aws", "aws-cn", "aws-us-gov")
    ]
    assert found == ["us-east-1", "cn-north-1", "us-gov-west-1"]
