"""What Azure Batch's REST interface takes: headers, queries, bodies. All else is refused, as the service would.

From the public reference, https://learn.microsoft.com/rest/api/batchservice (api-version 2025-06-01).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

API_VERSION: Final = "2025-06-01"
CONTENT_TYPE: Final = "application/json; odata=minimalmetadata"
COLLECTION_TASKS: Final = 100
BODY_BYTES: Final = 1 << 20
ADDRESS_BYTES: Final = 16_384
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)


class Refusal(Exception):
    """An answer of the service that is an error."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **values: str):
        super().__init__(message)
        self.status, self.code, self.message, self.values = status, code, message, values
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        said = {
            "lang": "en-US",
            "value": f"{self.message}\nRequestId:{uuid.uuid4()}\nTime:2026-01-01T00:00:00.0000000Z",
        }
        values = [{"key": key, "value": value} for key, value in self.values.items()]
        return {"code": self.code, "message": said, **({"values": values} if values else {})}


# --- Bodies --------------------------------------------------------------------------------------


def _property(name: str, value: object, reason: str) -> Refusal:
    message = "The value provided for one of the properties in the request body is invalid."
    return Refusal(400, "InvalidPropertyValue", message, PropertyName=name, PropertyValue=str(value), Reason=reason)


def an_id(name: str, value: Any) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _property(name, value, "letters, digits, - and _, 64 at most")


def text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _property(name, value, "text")


def filled(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise _property(name, value, "text that is not empty")


def flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _property(name, value, "true or false")


def whole(least: int, most: int) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _property(name, value, f"a whole number from {least} to {most}")

    return check


def seconds(value: str) -> float:
    """An ISO 8601 duration, in seconds."""
    match = _DURATION.fullmatch(value)
    if match is None or value in ("P", "PT"):
        raise ValueError(value)
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=rest).total_seconds()


def duration(name: str, value: Any) -> None:
    try:
        seconds(value)
    except (TypeError, ValueError):
        raise _property(name, value, "an ISO 8601 duration") from None


def one_of(*words: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if value not in words:
            raise _property(name, value, f"one of {', '.join(words)}")

    return check


Shape = Mapping[str, Any]  # members; "!" at a name's end: it must be there. A list: of such


NAMED_VALUES = [{"name!": filled, "value": text}]
TASK: Shape = {
    "id!": an_id,
    "displayName": text,
    "commandLine!": text,
    "containerSettings": {
        "imageName!": filled,
        "containerRunOptions": text,
        "workingDirectory": one_of("taskWorkingDirectory", "containerImageDefault"),
    },
    "environmentSettings": NAMED_VALUES,
    "constraints": {
        "maxWallClockTime": duration,
        "retentionTime": duration,
        "maxTaskRetryCount": whole(-1, 2**31 - 1),
    },
    "requiredSlots": whole(1, 256),
}
COLLECTION: Shape = {"value!": [TASK]}
JOB: Shape = {
    "id!": an_id,
    "displayName": text,
    "priority": whole(-1000, 1000),
    "poolInfo!": {"poolId!": an_id},
    "onAllTasksComplete": one_of("noaction", "terminatejob"),
    "onTaskFailure": one_of("noaction", "performexitoptionsjobaction"),
    "metadata": NAMED_VALUES,
}
JOB_UPDATE: Shape = {
    "priority": whole(-1000, 1000),
    "onAllTasksComplete": one_of("noaction", "terminatejob"),
    "poolInfo": {"poolId!": an_id},
    "metadata": NAMED_VALUES,
}
POOL: Shape = {
    "id!": an_id,
    "displayName": text,
    "vmSize!": filled,
    "virtualMachineConfiguration!": {
        "imageReference!": {"publisher": filled, "offer": filled, "sku": filled, "version": filled},
        "nodeAgentSKUId!": filled,
        "containerConfiguration": {"type!": one_of("dockerCompatible", "criCompatible")},
    },
    "targetDedicatedNodes": whole(0, 10_000),
    "targetLowPriorityNodes": whole(0, 10_000),
    "enableAutoScale": flag,
    "autoScaleFormula": filled,
    "autoScaleEvaluationInterval": duration,
    "taskSlotsPerNode": whole(1, 256),
    "metadata": NAMED_VALUES,
}


def check_body(body: Any, shape: Shape, at: str = "") -> None:
    """Raises a Refusal for what `body` has not, or has too much, or wrong."""
    if not isinstance(body, dict):
        raise Refusal(400, "InvalidRequestBody", "The specified Request Body is not syntactically valid.")
    members = {name.rstrip("!"): rule for name, rule in shape.items()}
    for name in body.keys() - members.keys():
        message = "One of the properties specified in the request body is not supported."
        raise Refusal(400, "UnsupportedProperty", message, PropertyName=f"{at}{name}")
    for name in shape:
        if name.endswith("!") and body.get(name[:-1]) is None:
            message = "A required property was not specified in the request body."
            raise Refusal(400, "MissingRequiredProperty", message, PropertyName=f"{at}{name[:-1]}")
    for name, value in body.items():
        _check_value(f"{at}{name}", value, members[name])


def _check_value(name: str, value: Any, rule: Any) -> None:
    if isinstance(rule, list):
        if not isinstance(value, list):
            raise _property(name, value, "a list")
        for one in value:
            check_body(one, rule[0], f"{name}/")
    elif isinstance(rule, dict):
        check_body(value, rule, f"{name}/")
    else:
        rule(name, value)


# --- Headers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Credentials:
    """What the account takes."""

    account: str
    key: str
    tokens: frozenset[str] = field(default_factory=frozenset)


def check_headers(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, known: Credentials
) -> None:
    """`headers` by small names."""
    said = headers.get("authorization", "")
    scheme, _, value = said.partition(" ")
    if not said:
        raise Refusal(
            401,
            "AuthenticationFailed",
            "Server failed to authenticate the request.",
            {"WWW-Authenticate": 'Bearer authorization_uri="https://login.example/"'},
        )
    if scheme not in ("Bearer", "SharedKey") or not value:
        raise Refusal(400, "InvalidAuthenticationInfo", "The authentication information is not in the correct format.")
    right = value in known.tokens if scheme == "Bearer" else _is_signed(method, path, query, headers, value, known)
    if not right:
        raise Refusal(403, "AuthenticationFailed", "Server failed to authenticate the request.")
    _check_version(query)
    given = headers.get("client-request-id")
    if given is not None and not _is_guid(given):
        raise _header("client-request-id", given)
    if body:
        if "content-type" not in headers:
            raise Refusal(400, "MissingRequiredHeader", "A required HTTP header was not specified.")
        if headers["content-type"].replace(" ", "") != CONTENT_TYPE.replace(" ", ""):
            raise _header("Content-Type", headers["content-type"])
    if len(body) > BODY_BYTES:
        raise Refusal(413, "RequestBodyTooLarge", "The size of the request body exceeds the maximum size permitted.")


def _header(name: str, value: str) -> Refusal:
    message = "The value provided for one of the HTTP headers was not in the correct format."
    return Refusal(400, "InvalidHeaderValue", message, HeaderName=name, HeaderValue=value)


def _is_guid(value: str) -> bool:
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def _check_version(query: Mapping[str, str]) -> None:
    if "api-version" not in query:
        message = "A required query parameter was not specified for this request."
        raise Refusal(400, "MissingRequiredQueryParameter", message, QueryParameterName="api-version")
    if query["api-version"] != API_VERSION:
        raise Refusal(400, "UnsupportedRequestVersion", "The specified request version is not supported.")


_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def _is_signed(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], value: str, known: Credentials
) -> bool:
    """https://learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service."""
    account, _, signature = value.partition(":")
    lines = [method]
    for name in _SIGNED:
        present = headers.get(name, "")
        if name == "content-length" and method not in ("GET", "HEAD"):
            present = present or "0"
        lines.append(present)
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("ocp-")]
    resource = f"/{known.account}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
    wanted = hmac.new(base64.b64decode(known.key), ("\n".join(lines) + "\n" + resource).encode(), hashlib.sha256)
    return account == known.account and hmac.compare_digest(base64.b64encode(wanted.digest()).decode(), signature)


# --- Queries -------------------------------------------------------------------------------------


def check_query(query: Mapping[str, str], allowed: tuple[str, ...]) -> None:
    for name, value in query.items():
        if name not in (*allowed, "api-version", "timeOut"):
            message = "One of the query parameters specified in the request URI is not supported."
            raise Refusal(400, "UnsupportedQueryParameter", message, QueryParameterName=name)
        if name in ("maxresults", "timeOut"):
            if not value.isdigit():
                raise _query(name, value, "a whole number")
            if name == "maxresults" and not 1 <= int(value) <= 1000:
                message = "A query parameter specified in the request URI is outside the permissible range."
                raise Refusal(400, "OutOfRangeQueryParameterValue", message, QueryParameterName=name)


def _query(name: str, value: str, reason: str) -> Refusal:
    message = "An invalid value was specified for one of the query parameters in the request URI."
    values = {"QueryParameterName": name, "QueryParameterValue": value, "Reason": reason}
    return Refusal(400, "InvalidQueryParameterValue", message, None, **values)


def selected(row: Mapping[str, Any], query: Mapping[str, str], known: tuple[str, ...]) -> dict[str, Any]:
    """The members of `row` that $select names; all without it."""
    if "$select" not in query:
        return dict(row)
    names = query["$select"].split(",")
    if unknown := [name for name in names if name not in known]:
        raise _query("$select", query["$select"], f"unknown: {unknown[0]}")
    return {name: row[name] for name in names if name in row}


_CLAUSE = re.compile(
    r"\s*(?:startswith\((?P<begins>[A-Za-z/]+),\s*'(?P<prefix>[^']*)'\)"
    r"|(?P<name>[A-Za-z/]+) (?P<operator>eq|ne|gt|ge|lt|le) '(?P<value>[^']*)')\s*",
    re.ASCII,
)
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
}
_EVERY = ("startswith", *_OPERATORS)
# https://learn.microsoft.com/rest/api/batchservice/odata-filters-in-batch, of it what is text
TASK_FILTERS = {"id": _EVERY, "state": ("eq", "ne")}
JOB_FILTERS = {"id": _EVERY, "state": ("eq", "ne")}
COUNT_FILTERS = {"poolId": ("eq",)}


Filters = Mapping[str, tuple[str, ...]]


def condition(query: Mapping[str, str], allowed: Filters) -> Callable[[Mapping[str, Any]], bool]:
    """$filter: clauses with "and" and "or", the former binding closer. No brackets."""
    if "$filter" not in query:
        return lambda row: True
    said = query["$filter"]
    choices = [[_clause(part, said, allowed) for part in re.split(r" and ", one)] for one in re.split(r" or ", said)]
    return lambda row: any(all(clause(row) for clause in clauses) for clauses in choices)


def _clause(part: str, said: str, allowed: Filters) -> Callable[[Mapping[str, Any]], bool]:
    match = _CLAUSE.fullmatch(part)
    if match is None:
        raise _query("$filter", said, "not understood")
    name, operator = (match["begins"], "startswith") if match["begins"] else (match["name"], match["operator"])
    if operator not in allowed.get(name, ()):
        raise _query("$filter", said, f"{operator} on {name} is not supported")
    if operator == "startswith":
        prefix = match["prefix"].lower()
        return lambda row: str(row[name]).lower().startswith(prefix)
    value, compare = match["value"].lower(), _OPERATORS[operator]
    return lambda row: compare(str(row[name]).lower(), value)
