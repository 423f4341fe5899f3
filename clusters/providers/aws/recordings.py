"""May we write recordings into a customer's bucket? Asked as it will be done: in their role, into their bucket."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from clusters.providers.aws.failures import translated
from clusters.providers.aws.session import CONNECT_SECONDS, SESSION_NAME, known_models
from clusters.providers.errors import Refused

READ_SECONDS: Final = 5
# Always the same object: the role need not let us delete it.
OBJECT: Final = "controlplane-may-write"
# Where each partition has what it has everywhere: roles of all accounts, and where buckets are.
_HOMES: Final = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
_NO_ROLE: Final = {"AccessDenied", "AccessDeniedException", "NoSuchEntity", "ValidationError"}
_NOT_TRUSTED: Final = {"AccessDenied", "AccessDeniedException"}
_NO_BUCKET: Final = {"InvalidBucketName", "NoSuchBucket"}
_ELSEWHERE: Final = {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
_DENIED: Final = {"AccessDenied", "AllAccessDisabled", "Forbidden", "403"}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where recordings are to go: under `path`, without outer slashes, of a bucket, by a role and its external id."""

    role_arn: str
    external_id: str
    region: str
    name: str
    path: str

    @property
    def home(self) -> str:
        return _HOMES[self.role_arn.split(":")[1]]

    @property
    def key(self) -> str:
        return f"{self.path}/{OBJECT}" if self.path else OBJECT


class Unusable(Exception):
    """We may not write there: `field` of the settings (role_arn, bucket_region …) is at fault, for `words`."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field, self.words = field, words


def try_bucket(bucket: Bucket, endpoint_url: str | None = None) -> None:
    """Write an empty object there, in a role that is given for its external id only.

    Raises Unusable; ProviderError when AWS cannot be asked, or our own credentials are refused. Takes no longer than
    its few calls may, which are not repeated.
    """
    calls = _Calls(endpoint_url)
    keys = calls.assumed(bucket)
    calls.demand_external_id(bucket)
    calls.compare_region(bucket, keys)
    calls.put(bucket, keys)


class _Calls:
    def __init__(self, endpoint_url: str | None) -> None:
        self._endpoint_url = endpoint_url
        self._session = botocore.session.Session()
        self._session.register_component("data_loader", known_models())

    def _client(self, service: str, region: str, **keys: str) -> Any:
        config = Config(
            region_name=region,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1},
        )
        return self._session.create_client(service, endpoint_url=self._endpoint_url, config=config, **keys)

    def assumed(self, bucket: Bucket) -> dict[str, str]:
        """The keys of the customer's role."""
        try:
            found = self._assume(bucket.role_arn, bucket.home, ExternalId=bucket.external_id)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            if _code(error) not in _NO_ROLE:
                raise translated("sts:AssumeRole", error) from None
            words = f"We may not take this role: it has to trust our account with the external id {bucket.external_id}."
            raise Unusable("role_arn", words) from None
        names = {
            "aws_access_key_id": "AccessKeyId",
            "aws_secret_access_key": "SecretAccessKey",
            "aws_session_token": "SessionToken",
        }
        return {ours: found[theirs] for ours, theirs in names.items()}

    def demand_external_id(self, bucket: Bucket) -> None:
        """A role that is given without an external id, or with any, could be named by every other customer of ours:
        https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
        """
        others: dict[str, dict[str, str]] = {
            "without an external id": {},
            "with any external id": {"ExternalId": str(uuid.uuid4())},
        }
        for how, other in others.items():
            try:
                self._assume(bucket.role_arn, bucket.home, **other)
            except (BotoCoreError, ClientError, ResponseParserError) as error:
                if _code(error) not in _NOT_TRUSTED:
                    raise translated("sts:AssumeRole", error) from None
            else:
                demand = f"its trust policy has to demand that sts:ExternalId equals {bucket.external_id}"
                raise Unusable("role_arn", f"This role can be taken {how}: {demand}.")

    def _assume(self, role_arn: str, region: str, **external_id: str) -> Any:
        client = self._client("sts", region)
        return client.assume_role(RoleArn=role_arn, RoleSessionName=SESSION_NAME, **external_id)["Credentials"]

    def compare_region(self, bucket: Bucket, keys: dict[str, str]) -> None:
        try:
            told = self._client("s3", bucket.home, **keys).get_bucket_location(Bucket=bucket.name)
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            code = _code(error)
            if code in _NO_BUCKET:
                raise Unusable("bucket_name", "There is no bucket of this name.") from None
            if code in _DENIED:
                words = "The role may not see this bucket: it needs s3:GetBucketLocation on it."
                raise Unusable("bucket_name", words) from None
            raise translated("s3:GetBucketLocation", error) from None
        # It says nothing for its oldest region, and has another word for the second.
        said = told.get("LocationConstraint") or "us-east-1"
        region = "eu-west-1" if said == "EU" else said
        if region != bucket.region:
            raise Unusable("bucket_region", f"The bucket is in {region}.")

    def put(self, bucket: Bucket, keys: dict[str, str]) -> None:
        try:
            self._client("s3", bucket.region, **keys).put_object(Bucket=bucket.name, Key=bucket.key, Body=b"")
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            code, failure = _code(error), translated("s3:PutObject", error)
            if code in _NO_BUCKET:
                raise Unusable("bucket_name", "There is no bucket of this name.") from None
            if code in _ELSEWHERE:
                raise Unusable("bucket_region", "The bucket is in another region.") from None
            if code in _DENIED or isinstance(failure, Refused):
                words = f"The role may not write {bucket.key}: it needs s3:PutObject on it. S3 says {code}."
                raise Unusable("base_path", words) from None
            raise failure from None


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
