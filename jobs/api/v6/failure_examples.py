"""Examples of clusters of failures, for the OpenAPI schema and the browsable API's forms; a test holds them to it."""

from __future__ import annotations

from typing import Any, Final

from jobtypes.api.v6.examples import ERROR

CLUSTER: Final[dict[str, Any]] = {
    "id": 5,
    "title": "ValueError: the lens of camera # is dirty",
    "category": "ALGORITHM",
    "exit_code": 1,
    "error": ERROR,
    "named": None,
    "named_by": None,
    "named_since": None,
    "first_seen": "2026-03-01T12:00:00.250000Z",
    "last_seen": "2026-03-02T08:30:00.500000Z",
    "total": 1204,
    "last_24_hours": 310,
    "failed_now": 288,
    "failed_now_is_exact": True,
    "customers": 2,
    "job_types": 1,
}
CLUSTER_DETAIL: Final[dict[str, Any]] = {
    **CLUSTER,
    "of_customers": [{"customer": "acme", "failures": 1200}, {"customer": "zeta", "failures": 4}],
    "of_job_types": [{"job_type": None, "failures": 1204}],
    "by_day": [{"day": "2026-03-01", "failures": 894}, {"day": "2026-03-02", "failures": 310}],
    "sample": {
        "job": {"id": 23},
        "exe_num": 1,
        "at": "2026-03-02T08:30:00.500000Z",
        "log": "Traceback (most recent call last):\n…\nValueError: the lens of camera 7 is dirty\n",
    },
}
NAME: Final[dict[str, Any]] = {
    "name": "dirty-lens",
    "title": "The lens is dirty",
    "category": "DATA",
    "should_be_retried": False,
}
