"""May we write recordings there: against moto, whose roles trust whom they say, and an AWS that refuses as told."""

from __future__ import annotations

import fnmatch
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from clusters.providers.aws import recordings
from clusters.providers.aws.recordings import OBJECT, Bucket, Unusable, try_bucket
from clusters.providers.errors import AuthFailed, ProviderError, Refused, Throttled
from tests.clusters.aws import account
from tests.clusters.aws.account import CUSTOMERS, OWN, Aws
from tests.clusters.aws.script import Fault, Script
from tests.environment import CHECKOUT

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
TRUST: Final = (CHECKOUT / "deploy/aws/customer-trust.json").read_text().replace("ACCOUNT", OWN)


def trusting(external_id: str) -> dict[str, Any]:
    """The trust policy that customers are told to give their roles."""
    found: dict[str, Any] = json.loads(TRUST.replace("EXTERNAL_ID", external_id))
    return found


def on_condition(condition: dict[str, Any]) -> dict[str, Any]:
    """One with another condition."""
    policy = trusting("")
    policy["Statement"][0]["Condition"] = condition
    return policy


def demanding(external_id: str) -> Callable[[dict[str, Any]], dict[str, Any] | Fault]:
    """The keys of a role, for its external id only."""
    return lambda asked: TAKEN if asked.get("ExternalId") == external_id else Fault(403, "AccessDenied")


@pytest.fixture
def willing(script: Script) -> Script:
    """One that lets us."""
    script.say("AssumeRole", demanding(BUCKET.external_id))
    script.say("GetBucketLocation", HERE)
    script.say("PutObject", {})
    return script


# --- What moto has ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[Aws]:
    with account.running(demand_trust=True) as aws:
        aws.make_role("recordings", trusting(BUCKET.external_id), CUSTOMERS)
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


@pytest.mark.parametrize(
    ("condition", "how"),
    [
        ({}, "without an external id"),
        ({"StringEqualsIfExists": {"sts:ExternalId": BUCKET.external_id}}, "without an external id"),
        ({"StringLike": {"sts:ExternalId": "*"}}, "with any external id"),
    ],
    ids=["none", "if-exists", "any"],
)
def test_a_role_that_any_other_customer_could_name_is_refused(
    condition: dict[str, Any], how: str, moto: Aws, request: pytest.FixtureRequest
) -> None:
    role = moto.make_role(f"lax-{request.node.callspec.id}", on_condition(condition), CUSTOMERS)
    with pytest.raises(Unusable, match=f"taken {how}.* sts:ExternalId equals {BUCKET.external_id}") as caught:
        try_bucket(replace(BUCKET, role_arn=role, path="lax"), moto.endpoint)
    assert caught.value.field == "role_arn"
    assert moto.client("s3", CUSTOMERS).list_objects_v2(Bucket=BUCKET.name, Prefix="lax")["KeyCount"] == 0


@pytest.mark.parametrize(
    "wishes",
    [{"external_id": "the-uuid-of-another"}, {"role_arn": f"arn:aws:iam::{CUSTOMERS}:role/of-nobody"}],
    ids=["another's", "none"],
)
def test_a_role_that_does_not_trust_this_user_is_refused(wishes: dict[str, Any], moto: Aws) -> None:
    with pytest.raises(Unusable, match="has to trust our account with the external id") as caught:
        try_bucket(replace(BUCKET, **wishes), moto.endpoint)
    assert caught.value.field == "role_arn"


def test_a_role_that_trusts_another_account_alone_is_refused(moto: Aws) -> None:
    policy = trusting(BUCKET.external_id)
    policy["Statement"][0]["Principal"]["AWS"] = "arn:aws:iam::111122223333:root"
    role = moto.make_role("of-others", policy, CUSTOMERS)
    with pytest.raises(Unusable, match="has to trust our account"):
        try_bucket(replace(BUCKET, role_arn=role), moto.endpoint)


# --- What AWS refuses ------------------------------------------------------------------------------


def test_the_role_is_taken_by_its_external_id_and_the_bucket_seen_with_its_keys(willing: Script) -> None:
    try_bucket(BUCKET, willing.endpoint)
    taken, without, with_another = willing.asked("AssumeRole")
    assert {asked["RoleArn"] for asked in (taken, without, with_another)} == {BUCKET.role_arn}
    assert taken["ExternalId"] == BUCKET.external_id
    assert "ExternalId" not in without
    assert uuid.UUID(with_another["ExternalId"]).version == 4
    assert willing.asked("GetBucketLocation") == [{"Bucket": BUCKET.name}]
    assert willing.asked("PutObject") == [{"Bucket": BUCKET.name, "Key": f"calls/{OBJECT}"}]
    assert [call.key for call in willing.calls] == ["an-access-key"] * 3 + ["a-passing-key-number-1"] * 2
    assert [call.token for call in willing.calls] == [""] * 3 + ["a-session-token"] * 2


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


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(403, "InvalidClientTokenId"), AuthFailed),
        (Fault(400, "ValidationError"), Refused),
        (Fault(400, "Throttling"), Throttled),
        (Fault(500, "InternalFailure"), ProviderError),
        (Fault(0), ProviderError),
    ],
)
@pytest.mark.parametrize("refused", [0, 1])
def test_only_a_denial_tells_that_the_role_demands_its_external_id(
    refused: int, fault: Fault, error: type[ProviderError], willing: Script
) -> None:
    willing.say("AssumeRole", TAKEN, *[Fault(403, "AccessDenied")] * refused, fault)
    with pytest.raises(error, match=r"^sts:AssumeRole: "):
        try_bucket(BUCKET, willing.endpoint)
    assert {call.action for call in willing.calls} == {"AssumeRole"}
    assert len(willing.calls) == refused + 2


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


# --- What is handed out -----------------------------------------------------------------------------


def test_users_are_told_the_trust_policy_that_is_tried_here() -> None:
    page = (CHECKOUT / "docs/clusters.md").read_text()
    [told] = re.findall(r"```json\n(.*?)```", page.partition("## Recordings")[2], re.DOTALL)
    assert json.loads(told.replace("ACCOUNT", OWN).replace("EXTERNAL_ID", "theirs")) == trusting("theirs")


def test_our_policy_lets_us_take_roles_of_other_accounts_alone_and_leaves_the_external_id_to_them() -> None:
    policy = json.loads((CHECKOUT / "deploy/aws/policy.json").read_text().replace("ACCOUNT", OWN))
    rows = [row for row in policy["Statement"] if row["Action"] == "sts:AssumeRole"]
    assert all(row["Effect"] == "Allow" and "Condition" not in row for row in rows)

    def permitted(role_arn: str) -> bool:
        return any(
            fnmatch.fnmatchcase(role_arn, row["Resource"])
            if "Resource" in row
            else not fnmatch.fnmatchcase(role_arn, row["NotResource"])
            for row in rows
        )

    assert permitted(BUCKET.role_arn)
    assert permitted(f"arn:aws:iam::{CUSTOMERS}:role/media/anything")
    assert not permitted(f"arn:aws:iam::{OWN}:role/recordings")
    assert not permitted(f"arn:aws:iam::{OWN}:role/controlplane-job-default")
