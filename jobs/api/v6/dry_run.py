"""POST /v6/jobs/?dry_run=true: the same body, read the same way, and what it would come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts.models import User
from clusters.queries import CURRENCY
from controlplane.core.errors import InvalidRequest
from jobs import queries, services
from jobs.api.v6 import rows
from jobs.api.v6.decode import decode
from jobs.api.v6.mapreduce_decode import decode_mapreduce, is_mapreduce
from jobs.api.v6.policy_rows import policy
from jobs.services import Forecast

_WORDS = {None: False, "false": False, "true": True}


def is_dry_run(parameters: Mapping[str, str]) -> bool:
    """Is nothing to be submitted? Raises InvalidRequest for what is neither true nor false."""
    given = parameters.get("dry_run")
    if given not in _WORDS:
        raise InvalidRequest("This is true or false.", field="dry_run")
    return _WORDS[given]


def forecasts(body: Any, user: User) -> Any:
    """The forecast of the job that a body asks for, or of each of a list. Raises as the submit does."""
    if isinstance(body, dict) and is_mapreduce(body):
        requests = [services.mapreduce_request(user, decode_mapreduce(body, user))]
    else:
        requests = decode(body, user)
    found = [forecast(each, user) for each in services.dry_run(user, requests)]
    return found if isinstance(body, list) else found[0]


def forecast(row: Forecast, reader: User) -> dict[str, Any]:
    """In the native surface's words."""
    rate, history = row.rate, row.history
    return {
        "place": {"cloud": row.cloud, "region": row.region},
        "policy": None if row.policy is None else {**policy(row.policy), "why": queries.why_here(row.policy, 0)},
        "vcpus": row.vcpus_milli / 1000,
        "memory_mib": row.memory_mib,
        "offer": None if rate is None else {"name": rate.offer, "capacity": rate.capacity},
        "waits_for": [rows.reason(each, reader) for each in row.waits_for],
        "cost": {
            "currency": CURRENCY,
            "rate_per_hour": rows.money(rate.per_hour if rate else None),
            "p50": rows.money(row.p50),
            "p90": rows.money(row.p90),
            "jobs": history.jobs if history else 0,
            "source": rate.source if rate else None,
            "is_example": rate is not None and rate.is_example,
        },
    }
