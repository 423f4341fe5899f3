"""What boto raises, as errors of ours. The names of AWS's errors are sorted by what the caller has to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from clusters.providers.errors import AuthFailed, NoCapacity, NotFound, ProviderError, Refused, Throttled

THROTTLED: Final = {
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TooManyUpdates",
}
DENIED: Final = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    "BlockedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "PendingVerification",
    "RequestExpired",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
# AWS's words on these repeat what was signed, and a session's token is part of that.
BADLY_SIGNED: Final = {"IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"}
FULL: Final = {
    "AddressLimitExceeded",
    "HostLimitExceeded",
    "InstanceLimitExceeded",
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientCapacityException",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientVolumeCapacity",
    "LimitExceededException",
    "MaxFleetCountExceeded",
    "MaxSpotInstanceCountExceeded",
    "NetworkInterfaceLimitExceeded",
    "ParameterLimitExceeded",
    "ReservationCapacityExceeded",
    "ServiceQuotaExceededException",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
    "VcpuLimitExceeded",
    "VolumeLimitExceeded",
}
UNKNOWN: Final = {
    "InvalidInstanceID.Malformed",
    "InvalidInstanceID.NotFound",
    "NoSuchEntity",
    "ResourceNotFoundException",
    "ServiceNotActiveException",
    "ServiceNotFoundException",
}
MISMATCH: Final = "IdempotentParameterMismatch"
# They leave open what was done, whatever the status they come with.
OPEN: Final = {MISMATCH, "InternalError", "InternalFailure", "ServerException", "ServiceUnavailable", "Unavailable"}
# ECS has two codes for all that it does not do; its words tell what is to be done. So they do in events of services.
NO_ROOM: Final = re.compile(r"Capacity is unavailable|RESOURCE:|[Rr]eached the limit|[Ll]imit (?:on|exceeded)")
_PLAIN: Final = {"ClientException", "InvalidParameterException"}
_DENIED_IN_WORDS: Final = re.compile(r"not authorized to perform|service.linked role")
_THROTTLED_IN_WORDS: Final = re.compile(r"Too many concurrent attempts|Rate exceeded")
RETRY_AFTER_SECONDS: Final = 2.0
_NO_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
_LONGEST: Final = 1000


def translated(action: str, error: Exception) -> ProviderError:
    """The error of ours for what boto raised when it was to do `action` ("batch:SubmitJob"). It shows no credentials.

    A plain ProviderError leaves open whether it was done.
    """
    if isinstance(error, ClientError):
        # Those of a role are fetched on the way, by a call of its own.
        if error.operation_name == "AssumeRole":
            action = "sts:AssumeRole"
        return _answered(action, error.response)
    if isinstance(error, _NO_CREDENTIALS):
        return AuthFailed(f"{action}: no credentials to be had ({type(error).__name__})")
    if isinstance(error, ParamValidationError):
        return Refused(f"{action}: {error}")
    if isinstance(error, BotoCoreError):
        return ProviderError(f"{action}: {error}")
    return ProviderError(f"{action}: {type(error).__name__}")


def told(action: str, code: str, words: str) -> ProviderError:
    """The error of ours for one that AWS tells of inside an answer."""
    error = {"Code": code, "Message": words}
    return _answered(action, {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}})


def _answered(action: str, response: Mapping[str, Any]) -> ProviderError:
    code = str(response.get("Error", {}).get("Code", ""))
    words = str(response.get("Error", {}).get("Message", ""))[:_LONGEST]
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    said = f"{action}: {code}: {words}" if words else f"{action}: {code}"
    if code in THROTTLED or status == 429:
        return Throttled(said, _retry_after(metadata.get("HTTPHeaders", {})))
    if action.startswith("ecs:") and code in _PLAIN and (failure := _by_words(said, words)):
        return failure
    if code in BADLY_SIGNED:
        return AuthFailed(f"{action}: {code}")
    if code in DENIED:
        return AuthFailed(said)
    if code in FULL:
        return NoCapacity(said)
    if code in UNKNOWN:
        return NotFound(said)
    if status >= 500 or code in OPEN:
        return ProviderError(said)
    if status in (401, 403):
        return AuthFailed(said)
    return Refused(said) if 400 <= status < 500 else ProviderError(said)


def _by_words(said: str, words: str) -> ProviderError | None:
    if _THROTTLED_IN_WORDS.search(words):
        return Throttled(said, RETRY_AFTER_SECONDS)
    if _DENIED_IN_WORDS.search(words):
        return AuthFailed(said)
    return NoCapacity(said) if NO_ROOM.search(words) else None


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return max(float(headers.get("retry-after", RETRY_AFTER_SECONDS)), 0.0)
    except ValueError:  # a date
        return RETRY_AFTER_SECONDS
