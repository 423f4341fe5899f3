"""MapReduce: where we differ from the contract on purpose, and how each of its statuses is provoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client
from django.test.client import encode_multipart

from tests import factories, mapreduce
from tests.factories import Person

ARTIFACTS: Final = "/api/v1/artifacts"
ONE: Final = f"{ARTIFACTS}/mapper"
JOBS: Final = "/api/v1/jobs"
NONE: Final = f"{JOBS}/01957e0c-8d10-7aa4-9f27-d0a1c58f6b11"
BOUNDARY: Final = "program-boundary"
MULTIPART: Final = f"multipart/form-data; boundary={BOUNDARY}"
CONTENT: Final = b"#!/bin/sh\nexit 0\n"

# As the contract says; our name of the scheme is the native surface's.
SECURITY: Final[list[dict[str, list[str]]]] = [{}, {"TokenHeader": []}]
EXTRA_IN_REFUSALS: Final[frozenset[str]] = frozenset()
EXTRA_FIELDS: Final[dict[str, frozenset[str]]] = {}
TWINS: Final[dict[str, str]] = {}
_STRICT: Final = "unknown fields are refused at every level"
_OWN: Final = "whoever has a token may read their own"
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    **{
        f"mapreduce_{operation}": {"status 403: is missing": _OWN}
        for operation in ("list_artifacts", "get_artifact", "list_jobs", "get_job", "list_job_tasks")
    },
    "mapreduce_schedule_job": {
        f"body.{side}StorageCredentials: additionalProperties None is False here": _STRICT
        for side in ("input", "output")
    },
}


class Scene:
    """A database with somebody of each kind, and a way to break what lies below."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.owner = factories.make_customer_user()
        self.monitor = factories.make_monitor()
        self.nobody = Client()

    def put(self, person: Person | None = None, name: str = "mapper", content: bytes = CONTENT) -> Any:
        return put((person or self.owner).client, name, content)

    def there(self) -> Scene:
        """With an artifact of the owner, and one of the staff."""
        assert self.put().status_code == 200
        assert self.put(factories.make_operator()).status_code == 200
        return self

    def scheduled(self) -> str:
        """The path of a job of the owner whose tasks are queued."""
        return f"{JOBS}/{mapreduce.make_mapreduce(self.owner).uuid}"

    def ended(self) -> str:
        return f"{JOBS}/{mapreduce.complete(mapreduce.make_mapreduce(self.owner)).uuid}"

    def broken(self, path: str) -> Scene:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise OperationalError("the store is out of reach")

        self.monkeypatch.setattr(path, fail)
        return self


def put(client: Client, name: str = "mapper", content: bytes = CONTENT, field: str = "program") -> Any:
    """PUT a program as Apollo's clients do. Django's client makes multipart bodies for POST only."""
    file = SimpleUploadedFile(name, content)
    body = encode_multipart(BOUNDARY, {field: file})
    return client.put(ARTIFACTS, body, content_type=MULTIPART)


def _too_large(scene: Scene) -> Any:
    scene.monkeypatch.setattr(settings, "MAX_ARTIFACT_MIB", 0)
    return scene.put()


def _disabled(scene: Scene, method: str, path: str) -> Any:
    return _sent(Client(headers={"Authorization": "Bearer wrong"}), method, path)


def _sent(client: Client, method: str, path: str) -> Any:
    bodies: dict[str, Callable[[Client], Any]] = {"put": put, "post": post}
    return bodies[method](client) if method in bodies else getattr(client, method)(path)


def wish(**more: Any) -> dict[str, Any]:
    """The seed's sample body, at a place that is open here."""
    secret = {"username": "username", "password": "password"}
    return {
        "nReducers": 1, "inputPath": "s3://test/test.txt", "inputType": "file/txt", "outputPath": "s3://reducers",
        "useSSL": False, "mapperName": "mapper", "reducerName": "mapper", "inputStorageCredentials": secret,
        "outputStorageCredentials": secret, **more,
    }  # fmt: skip


def post(client: Client, content_type: str = "application/json", **more: Any) -> Any:
    return client.post(JOBS, json.dumps(wish(**more)), content_type=content_type)


Provoke = Callable[[Scene], Any]
Table = dict[tuple[str, int], Provoke]


def _artifact(operation: str, method: str, path: str, query: str, **more: Provoke) -> Table:
    """What the operations have in common: nobody's token, and a store that fails."""

    def failing(scene: Scene) -> Any:
        scene.there().broken(query)
        return _sent(scene.owner.client, method, path)

    found: Table = {
        (operation, 401): lambda scene: _disabled(scene, method, path),
        (operation, 500): failing,
    }
    return found | {(operation, int(name.removeprefix("s"))): provoke for name, provoke in more.items()}


PROVOCATIONS: Final[Table] = {
    **_artifact(
        "mapreduce_list_artifacts", "get", ARTIFACTS, "jobs.api.mapreduce.views.own_artifacts",
        s200=lambda scene: scene.there().owner.get(ARTIFACTS),
    ),
    **_artifact(
        "mapreduce_put_artifact", "put", ARTIFACTS, "jobs.services.artifacts.own_artifacts",
        s200=lambda scene: scene.put(),
        s400=lambda scene: put(scene.owner.client, field="other"),
        s403=lambda scene: scene.put(scene.monitor),
        s413=_too_large,
        s415=lambda scene: scene.owner.client.put(ARTIFACTS, "{}", content_type="application/json"),
    ),
    **_artifact(
        "mapreduce_get_artifact", "get", ONE, "jobs.api.mapreduce.views.find_artifact",
        s200=lambda scene: scene.there().owner.get(ONE),
        s404=lambda scene: scene.owner.get(ONE),
    ),
    **_artifact(
        "mapreduce_delete_artifact", "delete", ONE, "jobs.api.mapreduce.views.find_artifact",
        s204=lambda scene: scene.there().owner.delete(ONE),
        s403=lambda scene: scene.there().monitor.delete(ONE),
        s404=lambda scene: scene.owner.delete(ONE),
    ),
    **_artifact(
        "mapreduce_list_jobs", "get", JOBS, "jobs.api.mapreduce.job_views.mapreduce_jobs",
        s200=lambda scene: scene.owner.get(scene.scheduled() and JOBS),
    ),
    **_artifact(
        "mapreduce_schedule_job", "post", JOBS, "jobs.api.mapreduce.job_views.find_artifact",
        s201=lambda scene: post(scene.there().owner.client),
        s400=lambda scene: post(scene.there().owner.client, nReducers=0),
        s403=lambda scene: post(scene.monitor.client),
        s404=lambda scene: post(scene.owner.client),
        s415=lambda scene: post(scene.owner.client, content_type="text/plain"),
    ),
    **_artifact(
        "mapreduce_get_job", "get", NONE, "jobs.api.mapreduce.job_views.find_mapreduce",
        s200=lambda scene: scene.owner.get(scene.scheduled()),
        s404=lambda scene: scene.owner.get(NONE),
    ),
    **_artifact(
        "mapreduce_stop_job", "delete", NONE, "jobs.api.mapreduce.job_views.find_mapreduce",
        s200=lambda scene: scene.owner.delete(scene.scheduled()),
        s403=lambda scene: scene.monitor.delete(scene.scheduled()),
        s404=lambda scene: scene.owner.delete(NONE),
        s406=lambda scene: scene.owner.delete(scene.ended()),
    ),
    **_artifact(
        "mapreduce_list_job_tasks", "get", f"{NONE}/tasks", "jobs.api.mapreduce.job_views.find_mapreduce",
        s200=lambda scene: scene.owner.get(f"{scene.scheduled()}/tasks"),
        s404=lambda scene: scene.owner.get(f"{NONE}/tasks"),
    ),
}  # fmt: skip
