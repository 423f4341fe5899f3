"""What moto does not do: a role is given only to those whom its trust policy lets take it, as STS does."""

from __future__ import annotations

import fnmatch
import io
import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

# By which the tests' own operators get into an account; nobody made it.
OPERATOR: Final = "operator"
EXTERNAL_ID: Final = "sts:ExternalId"
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# An absent key fails each of them, but those that say IfExists.
_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "StringEquals": lambda given, wanted: given == wanted,
    "StringLike": fnmatch.fnmatchcase,
}


class Trust:
    """Moto's application, where AssumeRole is refused unless the role's policy lets `caller`, an account."""

    def __init__(self, inner: Application, caller: str) -> None:
        self.inner = inner
        self.caller = caller

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        asked = form_of(environ)
        arn = asked.get("RoleArn", "")
        if asked.get("Action") != "AssumeRole" or arn.endswith(f":role/{OPERATOR}"):
            return self.inner(environ, start)
        if lets(policy_of(arn), self.caller, asked.get("ExternalId")):
            return self.inner(environ, start)
        words = f"User: arn:aws:iam::{self.caller}:user/us is not authorized to perform: sts:AssumeRole on {arn}"
        error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{words}</Message></Error>"
        space = "https://sts.amazonaws.com/doc/2011-06-15/"
        told = f'<ErrorResponse xmlns="{space}">{error}<RequestId>refused</RequestId></ErrorResponse>'.encode()
        start("403 Forbidden", [("Content-Type", "text/xml"), ("Content-Length", str(len(told)))])
        return [told]


def form_of(environ: dict[str, Any]) -> dict[str, str]:
    """What a form in the body says; the body is put back."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return {}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))


def policy_of(arn: str) -> dict[str, Any]:
    """The trust policy of a role; of one that nobody made it lets nobody."""
    _, partition, _, _, account, _ = arn.split(":")
    try:
        role = iam_backends[account][partition].get_role_by_arn(arn)
    except NotFoundException:
        return {}
    found: dict[str, Any] = json.loads(role.assume_role_policy_document)
    return found


def lets(policy: dict[str, Any], caller: str, external_id: str | None) -> bool:
    """Whether it lets somebody of the account `caller` take the role. What is not understood here is an error."""
    rows = _listed(policy.get("Statement", []))
    effects = {row["Effect"] for row in rows if _applies(row, caller, external_id)}
    return "Allow" in effects and "Deny" not in effects


def _applies(row: dict[str, Any], caller: str, external_id: str | None) -> bool:
    if "sts:AssumeRole" not in _listed(row["Action"]):
        return False
    principal = row["Principal"]
    trusted = _listed(principal if principal == "*" else principal.get("AWS", []))
    if not any(name in ("*", caller) or name.startswith(f"arn:aws:iam::{caller}:") for name in trusted):
        return False
    return all(
        _holds(operator, _listed(keys[EXTERNAL_ID]), external_id) for operator, keys in row.get("Condition", {}).items()
    )


def _holds(operator: str, wanted: list[str], external_id: str | None) -> bool:
    matches = _OPERATORS[operator.removesuffix("IfExists")]
    if external_id is None:
        return operator.endswith("IfExists")
    return any(matches(external_id, each) for each in wanted)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
