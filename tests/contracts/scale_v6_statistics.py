"""Scale v6, statistics of job types: part of the tables in scale_v6.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jobs import states
from jobtypes.models import Error
from tests.jobs.counted import finish, make_type, move, submit

PATHS: Final = {
    "scale_list_job_type_status": "/v6/job-types/status/",
    "scale_list_job_types_pending": "/v6/job-types/pending/",
    "scale_list_job_types_running": "/v6/job-types/running/",
    "scale_list_job_type_system_failures": "/v6/job-types/system-failures/",
}
_SAID: Final = "said in its description, not in its schema: a value outside is never refused"
_EVERYWHERE: Final = "every native operation may answer so"
_BY_KEY: Final = "every native list that is read from a table goes on by key"
_LIST: Final = {
    "query page: default 1 is None here": _SAID,
    "query page: minimum 1 is None here": "said in its description: a page that is not there is 404, not 400",
    "query page_size: default 100 is None here": _SAID,
    "query page_size: maximum 1000 is None here": _SAID,
    "query page_size: minimum 1 is None here": _SAID,
    "query page_size: type integer is ['integer', 'string'] here": _SAID,
    "status 406: is ours": _EVERYWHERE,
    "status 500: is ours": _EVERYWHERE,
    "status 503: is ours": _EVERYWHERE,
}
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    **{operation: dict(_LIST) for operation in PATHS},
    "scale_list_job_type_status": {
        **_LIST,
        "query after: is ours": _BY_KEY,
        "query before: is ours": _BY_KEY,
        "query order: is ours": _BY_KEY,
        "query started: default PT3H0M0S is None here": "said in its description",
    },
}
# What the summary of a job type has besides (scale_v6.md, section 3: a superset is harmless).
EXTRA_FIELDS: Final[dict[str, frozenset[str]]] = {
    operation: frozenset({"results.job_type.is_system"}) for operation in PATHS
}


def _listed(path: str) -> Callable[[Any], Any]:
    def provoke(scene: Any) -> Any:
        job_type = make_type()
        submit(job_type, status=states.PENDING)
        move(submit(job_type), states.STARTING, states.RUNNING)
        finish(submit(job_type), states.FAILED, error=Error.objects.get(name="lost"))
        answer = scene.monitor.get(path)
        assert answer.json()["results"], "there is something to compare"
        return answer

    return provoke


def _of(operation: str, path: str) -> dict[tuple[str, int], Callable[[Any], Any]]:
    return {
        (operation, 200): _listed(path),
        (operation, 400): lambda scene: scene.monitor.get(path, nonsense="1"),
        (operation, 401): lambda scene: scene.nobody.get(path),
        (operation, 403): lambda scene: scene.customer.get(path),
        (operation, 404): lambda scene: scene.monitor.get(path, page="9"),
    }


# By somebody of each kind: the attributes monitor, customer and nobody of a Scene.
PROVOCATIONS: Final = {key: provoke for each in PATHS.items() for key, provoke in _of(*each).items()}
