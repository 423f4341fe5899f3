"""Made-up requests for every operation of the schema, and what their answers must hold to.

schemathesis makes the requests: the schema's examples, each bound of each field and just past it, and
random ones, valid and not. A request that is meant to be valid gets names of things that exist in most
places where such a name stands, so that it comes further than a 404.
"""

from __future__ import annotations

import functools
import itertools
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

import hypothesis
import schemathesis
from django.core.wsgi import get_wsgi_application
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.generation.meta import TestPhase

from accounts import event_log
from jobs import following
from tests.schema.scenery import NAMED_BY, Scenery

# What every answer is held to.
CHECKED: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
)
# Fields of bodies and of queries that name what exists.
FIELDS: Final = {"customer": "customer", "job": "job", "owner": "username", "user": "username", "username": "username",
                 "job_id": "job", "cluster": "cluster", "image_version": "image_version",
         "error_id": "error", "failure_cluster": "failure_cluster", "created_by": "username", "workspace": "workspace",
                 "job_type_id": "job_type", "recipe_type_id": "recipe_type_id", "recipe_id": "recipe",
                 "parent": "job", "record": "usage", "offer_id": "offer", "cluster_uuid_hex": "cluster"}  # fmt: skip
FOLLOWED_SECONDS: Final = 0.1
# A trial has no Prometheus: what is asked of one is answered with a 503, which the schema has.
WITHOUT_STORE: Final = frozenset({"fishjam_get_instant_query", "fishjam_get_range_query"})
WITHOUT_CALLER: Final = frozenset(
    {
        *("obtain_token", "fishjam_sign_in", "fishjam_sign_out", "fishjam_sign_up", "fishjam_verify_user"),
        *("fishjam_resend_verification", "fishjam_get_csrf", "fishjam_reset_password"),
        *("fishjam_confirm_reset_password", "fishjam_google_register", "fishjam_google_login"),
        *("fishjam_get_notification_schema", "fishjam_healthcheck"),
    }
)


@contextmanager
def short_streams() -> Iterator[None]:
    """What is followed would be told for as long as a job runs, or for minutes."""
    with ExitStack() as patches:
        for module in (following, event_log):
            short = functools.partial(module.follow, max_seconds=FOLLOWED_SECONDS)
            patches.enter_context(mock.patch.object(module, "follow", short))
        yield


@dataclass(frozen=True)
class Fault:
    """An answer that broke a rule, with the request that had it."""

    operation: str
    who: str
    check: str
    message: str
    request: str

    def __str__(self) -> str:
        return f"{self.operation} as {self.who}: {self.check}: {self.message}\n    {self.request}"


@dataclass
class Outcome:
    """What a trial came to: how many calls, by status, and each fault once."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: dict[tuple[str, str, str], Fault] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return sum(self.statuses.values())

    def add(self, fault: Fault) -> None:
        self.faults.setdefault((fault.operation, fault.check, fault.message[:80]), fault)

    def __str__(self) -> str:
        by_status = Counter[int]()
        for (_, status), count in self.statuses.items():
            by_status[status] += count
        told = ", ".join(f"{count} x {status}" for status, count in sorted(by_status.items()))
        return "\n".join([f"{self.calls} calls: {told}; {len(self.faults)} faults", *map(str, self.faults.values())])


@dataclass
class Trial:
    """One caller's requests to every operation."""

    scenery: Scenery
    who: str
    seed: int
    random_requests: int
    # Of the requests at the fields' bounds, which are the most by far: one in so many, 0 for none.
    one_bound_in: int = 1
    most_calls: int | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def run(self, only: Callable[[str], bool] = lambda operation_id: True) -> Outcome:
        """Try each operation whose id `only` lets through."""
        schema = schemathesis.openapi.from_wsgi("/schema/?format=json", get_wsgi_application())
        schema.config.generation.update(with_security_parameters=False)
        with short_streams():
            for found in schema.get_all_operations():
                assert isinstance(found, Ok), found
                operation = found.ok()
                if only(str(operation.definition.raw["operationId"])) and not self._enough():
                    self._try(schema, operation)
        return self.outcome

    def _enough(self) -> bool:
        return self.most_calls is not None and self.outcome.calls >= self.most_calls

    def _try(self, schema: Any, operation: Any) -> None:
        person = self.scenery.revive(self.who)
        self._headers = {"Authorization": f"Bearer {person.token}"} if person else {}
        self._names = self.scenery.names()
        modes = [HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING]
        if self.one_bound_in:
            modes.insert(1, HypothesisTestMode.COVERAGE)
        settings = hypothesis.settings(
            max_examples=self.random_requests,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        config = HypothesisTestConfig(project=schema.config, modes=modes, settings=settings, seed=self.seed)
        create_test(operation=operation, test_func=self._call, config=config)()

    def _call(self, case: Any) -> None:
        """One request. A fault is noted and the trial goes on: there may be others behind it."""
        if self._enough() or not self._is_wanted(case):
            return
        operation_id = str(case.operation.definition.raw["operationId"])
        _name_what_exists(case, self._names)
        self._own_key(case)
        secured = operation_id not in WITHOUT_CALLER
        headers = self._headers if secured else {}
        response = case.call(headers=headers)
        if response.status_code == 401 and self._headers and secured:
            # The caller may have archived their token, or disabled themselves.
            person = self.scenery.revive(self.who)
            self._headers = {"Authorization": f"Bearer {person.token}"} if person else {}
            response = case.call(headers=self._headers)
        self.outcome.statuses[operation_id, response.status_code] += 1
        for check, message in self._wrong(operation_id, case, response, secured):
            self.outcome.add(Fault(operation_id, self.who, check, message, case.as_curl_command(headers)))

    def _is_wanted(self, case: Any) -> bool:
        if self.one_bound_in < 2 or case.meta.phase.name != TestPhase.COVERAGE:
            return True
        told = repr((self.who, case.method, case.path_parameters, case.query, case.headers, case.body))
        return zlib.crc32(told.encode(errors="replace")) % self.one_bound_in == self.seed % self.one_bound_in

    def _own_key(self, case: Any) -> None:
        """A valid Idempotency-Key is another one most times, as programs have it: else all answers were 422."""
        if case.headers and "Idempotency-Key" in case.headers and _is_valid(case, "header"):
            calls = self.outcome.calls
            if calls % 8:
                case.headers["Idempotency-Key"] = f"{self.who}-{calls}"

    def _wrong(self, operation_id: str, case: Any, response: Any, secured: bool) -> Iterator[tuple[str, str]]:
        unfit = set()
        if case.media_type == "multipart/form-data":
            # Of a form's file one cannot tell that it was to be a number: all of them are bytes.
            unfit.add("negative_data_rejection")
        if operation_id in WITHOUT_STORE and response.status_code == 503:
            unfit.add("not_a_server_error")
        checks = CHECKS.get_by_names([each for each in CHECKED if each not in unfit])
        try:
            case.validate_response(response, checks=checks)
        except FailureGroup as group:
            yield from ((type(each).__name__, str(each)) for each in group.exceptions)
        if secured and not self._headers and response.status_code < 400:
            yield "anonymous", f"answered {response.status_code} to nobody"


# --- Names of what exists --------------------------------------------------------------------------


def _is_valid(case: Any, place: str) -> bool:
    """Whether what the case has there (path, query, header, body) is meant to be valid."""
    modes = {str(location.value): info.mode for location, info in case.meta.components.items()}
    return bool(modes.get(place, GenerationMode.POSITIVE) == GenerationMode.POSITIVE)


def _name_what_exists(case: Any, names: dict[str, Sequence[Any]]) -> None:
    """Put existing names where a valid request has made-up ones: 3 times in 4 in paths, else every other time."""
    if _is_valid(case, "path"):
        parts = case.operation.path.strip("/").split("/")
        for before, part in itertools.pairwise(parts):
            name = part.strip("{}")
            fits = part.startswith("{") and name in (case.path_parameters or {}) and name != "stream"
            if fits and before in NAMED_BY:
                case.path_parameters[name] = _picked(case.path_parameters[name], names[NAMED_BY[before]], 4)
    if case.query and _is_valid(case, "query"):
        _replace(case.query, names)
    if isinstance(case.body, (dict, list)) and _is_valid(case, "body"):
        for body in case.body if isinstance(case.body, list) else [case.body]:
            if isinstance(body, dict):
                _replace(body, names)


def _replace(values: dict[str, Any], names: dict[str, Sequence[Any]]) -> None:
    for name, value in list(values.items()):
        if name not in FIELDS:
            continue
        existing = names[FIELDS[name]]
        if isinstance(value, list):
            values[name] = [_picked(each, existing, 2) for each in value]
        elif isinstance(value, str | int) and not isinstance(value, bool):
            values[name] = _picked(value, existing, 2)


def _picked(made_up: Any, existing: Sequence[Any], times: int) -> Any:
    """One of `existing` of the made-up value's type, `times` - 1 times in `times`; chosen by the value itself."""
    fitting = [each for each in existing if isinstance(made_up, str) or type(each) is type(made_up)]
    number = zlib.crc32(repr(made_up).encode())
    if not fitting or number % times == 0:
        return made_up
    chosen = fitting[number // times % len(fitting)]
    return str(chosen) if isinstance(made_up, str) else chosen
