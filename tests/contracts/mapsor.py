"""Mapsor: where we differ from the contract on purpose, and how each of its statuses is provoked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import OperationalError
from django.test import Client

from clusters.providers.errors import ProviderError
from jobs import states
from tests import factories
from tests.clouds import REGION, CloudStage
from tests.factories import Person
from tests.providers import ScriptedProvider

BODY: Final[dict[str, Any]] = {
    "customer": "acme",
    "cloud": "local",
    "region": "local",
    "id": "nightly",
    "image": "busybox",
    "command": ["true"],
}
WINDOW: Final[dict[str, str | int]] = {"customer": "acme", "start_time": 0, "end_time": 4_102_444_800_000}
METRICS: Final[dict[str, str | int]] = {
    "start_date": 0,
    "end_date": 4_102_444_800_000,
    "cloud_provider": "local",
    "region": "local",
    "price": 100,
}
UNKNOWN: Final = "01890000-0000-7000-8000-000000000000"

_NEVER_EMPTY: Final = "nothing runs an empty one: a field that is not wanted is left out"
# operation -> what differs -> why
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    "mapsor_submit_job": {
        "body.secret_env: is ours": "decision 4: names of env whose values nobody gets to see",
        "header Idempotency-Key: is ours": "decision 12",
        "status 409: is ours": "decision 12: a request with the same key is in flight",
        "status 422: is ours": "decision 12: the key came with another body",
        "body.ami: minLength None is 1 here": _NEVER_EMPTY,
        "body.image: minLength None is 1 here": _NEVER_EMPTY,
        "body.queue: minLength None is 1 here": _NEVER_EMPTY,
        "body.user_data: minLength None is 1 here": _NEVER_EMPTY,
        "body: oneOf is not compared": "serializers cannot say it; tests/jobs/api/test_mapsor_submit.py tries it",
        "body: not is not compared": "serializers cannot say it; tests/jobs/api/test_mapsor_submit.py tries it",
    },
}
# operation -> fields of its answers that the contract does not know
EXTRA_FIELDS: Final[dict[str, frozenset[str]]] = {"mapsor_get_job_status": frozenset({"reason"})}
EXTRA_IN_REFUSALS: Final[frozenset[str]] = frozenset()
SECURITY: Final = None  # as the contract says
# Methods of ours on the contract's paths: GETs that change something have a twin (mapsor.md, security).
TWINS: Final = {
    f"{operation}_by_post": operation
    for operation in ("mapsor_cancel_job", "mapsor_retry_job", "mapsor_get_instance_info", "mapsor_destroy_instance")
}


class Scene:
    """A database with somebody of each kind in it, and a way to break what lies below."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.admin = factories.make_admin()
        self.operator = factories.make_operator("present-user")
        self.monitor = factories.make_monitor()
        self.customer = factories.make_customer_user(customer="acme")
        self.nobody = Client()

    def broken(self, path: str, error: Exception | None = None) -> None:
        """Let what stands at `path` fail, as a store or a provider does that is out of reach."""

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise error or OperationalError("the store is out of reach")

        self.monkeypatch.setattr(path, fail)

    def job(self, status: str) -> str:
        return str(factories.make_job_in(status, self.operator).uuid)

    def machine(self) -> str:
        """The id of the machine of a job that runs at a cloud."""
        stage = CloudStage(self.monkeypatch)
        self.clouds = stage.cloud
        stage.submit(owner=self.operator, image="", machine_image="ami-1")
        stage.turn()
        return stage.cloud.handles[0].replace("handle-", "i-")

    def stopped_with_output(self) -> str:
        job = factories.make_job_in(states.COMPLETED, self.operator)
        factories.keep_output(job, stdout="a line\n")
        return str(job.uuid)


Provoke = Callable[[Scene], Any]
Table = dict[tuple[str, int], Provoke]


def _users(operation: str, path: str, success: dict[str, Any], conflict: Provoke, lower: str) -> Table:
    def failing(scene: Scene) -> Any:
        if operation == "mapsor_enable_user":
            scene.admin.post("/disable-user", {"user": "present-user"})
        scene.broken(lower)
        return scene.admin.post(path, success)

    def succeeding(scene: Scene) -> Any:
        if operation == "mapsor_enable_user":
            scene.admin.post("/disable-user", {"user": "present-user"})
        return scene.admin.post(path, success)

    return {
        (operation, 201): succeeding,
        (operation, 400): lambda scene: scene.admin.post(path, {"user": 7}),
        (operation, 401): lambda scene: scene.nobody.post(path, success, content_type="application/json"),
        (operation, 403): lambda scene: scene.operator.post(path, success),
        (operation, 409): conflict,
        (operation, 500): failing,
    }


def _disabled_token(scene: Scene) -> Any:
    scene.admin.post("/disable-user", {"user": "present-user"})
    return scene.admin.post("/regenerate-token", {"user": "present-user"})


def _disabled_twice(scene: Scene) -> Any:
    scene.admin.post("/disable-user", {"user": "present-user"})
    return scene.admin.post("/disable-user", {"user": "present-user"})


def _job(operation: str, path: str, given: Callable[[Scene], str], lower: str, error: Exception | None = None) -> Table:
    """The statuses that all calls for one job have."""

    def failing(scene: Scene) -> Any:
        job = given(scene)
        scene.broken(lower, error)
        return scene.operator.get(path + job)

    return {
        (operation, 200): lambda scene: scene.operator.get(path + given(scene)),
        (operation, 401): lambda scene: scene.nobody.get(path + given(scene)),
        (operation, 403): lambda scene: scene.monitor.get(path + given(scene)),
        (operation, 404): lambda scene: scene.operator.get(path + UNKNOWN),
        (operation, 500): failing,
    }


def _submitting(scene: Scene, person: Person | None = None, **wishes: Any) -> Any:
    return (person or scene.operator).post("/submit", {**BODY, **wishes})


def _submit_broken(scene: Scene) -> Any:
    scene.broken("jobs.sql.submit")
    return _submitting(scene)


def _list_broken(scene: Scene) -> Any:
    scene.broken("django.db.models.query.QuerySet.count")
    return scene.operator.get("/list", **WINDOW)


def _listed(scene: Scene) -> Any:
    factories.make_job(scene.operator, tags={"a": 1}, env={"A": "b"}, timeout_seconds=60)
    factories.make_job(scene.operator, queue="default", image="")
    scene.operator.get(f"/retry/{scene.job(states.FAILED)}")
    return scene.operator.get("/list", **WINDOW)


def _measured(scene: Scene) -> Any:
    factories.make_job_in(states.RUNNING, scene.operator)
    return scene.admin.get("/get-metrics", **METRICS)


def _metrics_broken(scene: Scene) -> Any:
    scene.broken("billing.queries.metrics._rows")
    return _measured(scene)


def _unreachable_provider(*args: Any) -> ScriptedProvider:
    provider = ScriptedProvider()
    provider.failure = ProviderError("the provider is out of reach")
    return provider


def _logs_broken(scene: Scene) -> Any:
    job = scene.stopped_with_output()
    scene.monkeypatch.setattr("jobs.following.outputs.local_provider", _unreachable_provider)
    return scene.operator.get(f"/logs/{job}")


def _machine(operation: str, path: str) -> Table:
    """The statuses that the calls about a job's machine have."""

    def calling(person: str) -> Provoke:
        def call(scene: Scene) -> Any:
            return getattr(scene, person).get(f"{path}/{REGION}/{scene.machine()}")

        return call

    def failing(scene: Scene) -> Any:
        machine = scene.machine()
        scene.clouds.failures["machine"] = [ProviderError("the cloud is out of reach")]
        return scene.operator.get(f"{path}/{REGION}/{machine}")

    return {
        (operation, 201): calling("operator"),
        (operation, 400): lambda scene: scene.machine() and scene.operator.get(f"{path}/{REGION}/i-none"),
        (operation, 401): calling("nobody"),
        (operation, 403): calling("monitor"),
        (operation, 500): failing,
    }


PROVOCATIONS: Final[Table] = {
    **_users(
        "mapsor_add_user", "/add-user", {"user": "new-user"},
        lambda scene: scene.admin.post("/add-user", {"user": "present-user"}), "accounts.events.record",
    ),
    **_users(
        "mapsor_regenerate_token", "/regenerate-token", {"user": "present-user"},
        _disabled_token, "accounts.queries.digest",
    ),
    **_users(
        "mapsor_enable_user", "/enable-user", {"user": "present-user"},
        lambda scene: scene.admin.post("/enable-user", {"user": "present-user"}), "accounts.events.record",
    ),
    **_users(
        "mapsor_disable_user", "/disable-user", {"user": "present-user"}, _disabled_twice, "accounts.events.record",
    ),
    ("mapsor_submit_job", 200): _submitting,
    ("mapsor_submit_job", 400): lambda scene: _submitting(scene, image=None),
    ("mapsor_submit_job", 401): lambda scene: scene.nobody.post("/submit", BODY, content_type="application/json"),
    ("mapsor_submit_job", 403): lambda scene: _submitting(scene, scene.monitor),
    ("mapsor_submit_job", 500): _submit_broken,
    **_job("mapsor_get_job_status", "/status/", lambda scene: scene.job(states.QUEUED), "jobs.sql.lanes"),
    **_job("mapsor_cancel_job", "/cancel/", lambda scene: scene.job(states.QUEUED), "accounts.events.record"),
    ("mapsor_cancel_job", 400): lambda scene: scene.operator.get(f"/cancel/{scene.job(states.COMPLETED)}"),
    **_job("mapsor_retry_job", "/retry/", lambda scene: scene.job(states.FAILED), "jobs.sql.submit"),
    ("mapsor_retry_job", 400): lambda scene: scene.operator.get(f"/retry/{scene.job(states.RUNNING)}"),
    **_job("mapsor_get_job_logs", "/logs/", Scene.stopped_with_output, "jobs.following.outputs.local_provider"),
    ("mapsor_get_job_logs", 400): lambda scene: scene.operator.get(f"/logs/{scene.job(states.QUEUED)}"),
    ("mapsor_get_job_logs", 500): _logs_broken,
    ("mapsor_list_jobs", 200): _listed,
    ("mapsor_list_jobs", 400): lambda scene: scene.monitor.get("/list", customer="acme", start_time=2, end_time=1),
    ("mapsor_list_jobs", 401): lambda scene: scene.nobody.get("/list", WINDOW),
    ("mapsor_list_jobs", 403): lambda scene: scene.customer.get("/list", **{**WINDOW, "customer": "other"}),
    ("mapsor_list_jobs", 500): _list_broken,
    ("mapsor_get_metrics", 200): _measured,
    ("mapsor_get_metrics", 400): lambda scene: scene.admin.get("/get-metrics", **{**METRICS, "price": -1}),
    ("mapsor_get_metrics", 401): lambda scene: scene.nobody.get("/get-metrics", METRICS),
    ("mapsor_get_metrics", 403): lambda scene: scene.operator.get("/get-metrics", **METRICS),
    ("mapsor_get_metrics", 500): _metrics_broken,
    **_machine("mapsor_get_instance_info", "/get-info"),
    **_machine("mapsor_destroy_instance", "/destroy"),
}  # fmt: skip
