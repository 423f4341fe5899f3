"""What we are permitted, by IAM's simulator: for what cannot be tried without doing it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.session import Session
from clusters.providers.errors import AuthFailed, ProviderError

_SIMULATE: Final = "iam:SimulatePrincipalPolicy"
_ASSUMED: Final = re.compile(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.+")
_UNKNOWN: Final = f"cannot be told without doing it; with the permission {_SIMULATE} it could"


class Grants:
    """The permissions of the role or user that `identity` (as GetCallerIdentity tells it) is the address of."""

    def __init__(self, session: Session, account: str, config: AwsConfig, identity: str) -> None:
        self._session = session
        self._account = account
        self._region = config.region
        self._partition, self._number = identity.split(":")[1], identity.split(":")[4]
        assumed = _ASSUMED.fullmatch(identity)
        # The simulator knows roles, not their sessions.
        self._source = "arn:{}:iam::{}:role/{}".format(*assumed.groups()) if assumed else identity
        self._failure = ""

    def arn(self, service: str, rest: str) -> str:
        """The address of something in this account and region. IAM has no regions."""
        region = "" if service == "iam" else self._region
        return f"arn:{self._partition}:{service}:{region}:{self._number}:{rest}"

    def simulated(self, action: str, resources: Sequence[str], context: Mapping[str, str]) -> tuple[bool | None, str]:
        """Whether `action` ("batch:SubmitJob") is permitted on all `resources`, and it in words. None: not known."""
        if self._failure:
            return None, self._failure
        asked: dict[str, Any] = {"PolicySourceArn": self._source, "ActionNames": [action]}
        if resources:
            asked["ResourceArns"] = list(resources)
        if context:
            asked["ContextEntries"] = [
                {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for name, value in context.items()
            ]
        try:
            answer = self._session.call(self._account, "iam", "SimulatePrincipalPolicy", **asked)
        except AuthFailed:
            self._failure = _UNKNOWN
            return None, self._failure
        except ProviderError as error:
            self._failure = f"cannot be told without doing it; IAM's simulator does not tell: {error}"
            return None, self._failure
        denied = [row for row in answer.get("EvaluationResults", []) if row.get("EvalDecision") != "allowed"]
        if not answer.get("EvaluationResults"):
            return None, "cannot be told without doing it; IAM's simulator says nothing"
        if denied:
            return False, f"IAM's simulator says {denied[0]['EvalDecision']}"
        return True, "permitted, by IAM's simulator"
