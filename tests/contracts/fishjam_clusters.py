"""Fishjam's clusters, instances and recordings: where we differ on purpose, and how each status is provoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import User
from clusters import states
from clusters.errors import LogsUnavailable, MetricsUnreadable
from clusters.models import Cluster, Container
from clusters.providers.aws import recordings
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.logs import LogEntry
from tests import fleet

JELLYFISH: Final = "/api/v1/jellyfish"
CLUSTERS: Final = "/api/v1/clusters"
RECORDINGS: Final = "/api/v1/recordings/settings"
NOBODY: Final = "01957e0c-8d10-7aa4-9f27-d0a1c58f6b11"
SETTINGS: Final = {
    "role_arn": "arn:aws:iam::123456789012:role/recordings",
    "bucket_region": "eu-central-1",
    "bucket_name": "our-recordings",
    "base_path": "/calls/",
}

METRICS: Final = "/api/v1/metrics"
LOGS: Final = "/api/v1/logs"
_NULL: Final = "a parameter that is null is left out of a query"
_SAME: Final = "what would be left out is refused all the same, and of whole numbers a minimum says it"
_LIMIT: Final = "numbers and lists have an end"
_QUESTION: Final = {
    "query group_by: enum ['cluster_uuid', 'instance_uuid', 'user_email'] is "
    "[None, 'cluster_uuid', 'instance_uuid', 'user_email'] here": _NULL,
    **{f"query {name}: minLength None is 1 here": _SAME for name in ("metric", "scope_name", "scope_uuids[]")},
    **{f"query {name}: minimum None is 1 here": "decision 16: it is positive" for name in ("interval", "resolution")},
    **{f"query {name}: maximum None is {2**53} here": _LIMIT for name in ("interval", "resolution", "time")},
    "query time: minimum None is 0 here": _LIMIT,
    "query scope_uuids: maxItems None is 1000 here": _LIMIT,
}

_TOKEN: Final = {"body.token: maxLength None is 128 here": "decision 16: texts without a limit have ours"}
DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    "fishjam_create_cluster": _TOKEN,
    "fishjam_edit_cluster": _TOKEN | {"body: required True is False here": "without one nothing changes"},
    "fishjam_get_instant_query": _QUESTION | {"status 400: is ours": "decision 16: resolution goes with interval"},
    "fishjam_get_range_query": _QUESTION
    | {
        **{f"query {name}: exclusiveMinimum 0 is None here": _SAME for name in ("start", "end", "step")},
        **{f"query {name}: maximum None is {2**53} here": _LIMIT for name in ("start", "end", "step")},
        **{f"query {name}: minimum None is 1 here": _SAME for name in ("start", "end")},
    },
    "fishjam_query_logs": {
        "query end: type ['null', 'string'] is string here": _NULL,
        "query jellyfish_uuid_hex: maxLength None is 255 here": _LIMIT,
        **{f"query {name}: minLength None is 1 here": _SAME for name in ("jellyfish_uuid_hex", "start")},
        "query limit: exclusiveMinimum 0 is None here": _SAME,
        "query limit: minimum None is 1 here": _SAME,
        "query search_phrase: maxLength None is 1024 here": _LIMIT,
        "query severity: enum ['debug', 'error', 'info', 'warning'] is "
        "[None, 'debug', 'error', 'info', 'warning'] here": _NULL,
        f"query since_seconds: maximum None is {10**9} here": _LIMIT,
        "query since_seconds: minimum None is 1 here": "decision 16: it is positive",
    },
    "fishjam_get_recording_settings": {"status 422: is ours": "decision 16: without a cluster it is 422"},
    "fishjam_validate_recording_settings": {"status 503: is ours": "AWS may be out of reach"},
}


class Scene(Protocol):
    """What the contract's scene has for us."""

    monkeypatch: pytest.MonkeyPatch
    user: User
    nobody: Client

    @property
    def token(self) -> Client: ...

    @property
    def forged(self) -> Client: ...


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    data = "" if body is None else json.dumps(body)
    return client.generic(method, path, data, content_type="application/json")


def broken(scene: Scene, path: str) -> None:
    """Let what stands at `path` fail, as a store does that is out of reach."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("the store is out of reach")

    scene.monkeypatch.setattr(path, fail)


def metric(scene: Scene, what: str, client: Client | None = None, **question: Any) -> Any:
    """A question about the caller's own cluster, to a Prometheus that knows of nothing."""
    asked = {
        "metric": "fishjam_rooms",
        "scope_name": "cluster_uuid",
        "scope_uuids": cluster(scene).uuid.hex,
        **question,
    }
    if what == "range":
        asked = {"start": 1_700_000_000, "end": 1_700_000_600, "step": 60, **asked}
    return (client or scene.token).get(f"{METRICS}/{what}", asked)


def measured(scene: Scene, what: str, answer: Any = None, **question: Any) -> Any:
    """The same, of a Prometheus whose answer is `answer`, or an error."""

    def say(*args: Any, **kwargs: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    scene.monkeypatch.setattr(f"clusters.telemetry.prometheus.{'instant' if what == 'instant' else 'over_time'}", say)
    return metric(scene, what, **question)


def log(scene: Scene, client: Client | None = None, **question: Any) -> Any:
    asked = {"jellyfish_uuid_hex": container(scene).uuid.hex, "end": "", **question}
    return (client or scene.token).get(LOGS, asked)


def told_log(scene: Scene) -> Any:
    line = LogEntry(timezone.now(), Severity.INFO, "it runs")
    scene.monkeypatch.setattr("clusters.queries.observed.newest", lambda *args: [line])
    return log(scene)


def unread_log(scene: Scene) -> Any:
    def fail(*args: Any) -> Any:
        raise LogsUnavailable

    scene.monkeypatch.setattr("clusters.queries.observed.newest", fail)
    return log(scene)


def cluster(scene: Scene) -> Cluster:
    return Cluster.objects.filter(owner=scene.user).first() or fleet.make_cluster(scene.user)


def container(scene: Scene, status: str = states.RUNNING, **more: Any) -> Container:
    made = fleet.make_container(cluster(scene), **more)
    Container.objects.filter(pk=made.pk).update(status=status)
    return made


def create(scene: Scene, client: Client | None = None, **more: Any) -> Any:
    return send(client or scene.token, "POST", JELLYFISH, {"cluster_uuid_hex": cluster(scene).uuid.hex, **more})


def one(scene: Scene, method: str, client: Client | None = None, status: str = states.RUNNING, **more: Any) -> Any:
    """Ask for an instance of the user's by its path."""
    body = {"machine_type": "small", "location": "eu_central", "routing_key": "blue", **more}
    path = f"{JELLYFISH}/{container(scene, status).uuid}"
    return send(client or scene.token, method, path, body if method == "PUT" else None)


def make_cluster(scene: Scene, client: Client | None = None, **more: Any) -> Any:
    fleet.make_version()
    return send(client or scene.token, "POST", CLUSTERS, {"name": "media", "image_version": "1.0", **more})


def edit_cluster(scene: Scene, client: Client | None = None, **more: Any) -> Any:
    return send(client or scene.token, "PATCH", f"{CLUSTERS}/{cluster(scene).uuid}", more)


def delete_cluster(scene: Scene, client: Client | None = None) -> Any:
    return send(client or scene.token, "DELETE", f"{CLUSTERS}/{cluster(scene).uuid}")


def recording(scene: Scene, method: str, client: Client | None = None, *, feature: bool = True, **more: Any) -> Any:
    """Ask for the settings of a cluster of the user's."""
    User.objects.filter(pk=scene.user.pk).update(allowed_features=["recordings"] if feature else [])
    path = f"{RECORDINGS}?cluster_uuid_hex={cluster(scene).uuid}"
    return send(client or scene.token, method, path, {**SETTINGS, **more} if method == "PUT" else None)


def validate(scene: Scene, client: Client | None = None, *, feature: bool = True, **more: Any) -> Any:
    scene.monkeypatch.setattr(recordings, "try_bucket", lambda bucket: None)
    User.objects.filter(pk=scene.user.pk).update(allowed_features=["recordings"] if feature else [])
    return send(client or scene.token, "POST", f"{RECORDINGS}/validate", {**SETTINGS, **more})


def _limited(scene: Scene) -> Any:
    User.objects.filter(pk=scene.user.pk).update(instance_limit=0)
    return create(scene)


def _taken_key(scene: Scene) -> Any:
    container(scene, routing_key="blue")
    return one(scene, "PUT")


def _creation_broken(scene: Scene) -> Any:
    made = cluster(scene)
    broken(scene, "clusters.models.Container.objects.bulk_create")
    return send(scene.token, "POST", JELLYFISH, {"cluster_uuid_hex": str(made.uuid)})


def _drop_broken(scene: Scene) -> Any:
    broken(scene, "clusters.services.containers.drop")
    return one(scene, "DELETE")


def _making_broken(scene: Scene) -> Any:
    broken(scene, "clusters.models.Cluster.save")
    return make_cluster(scene)


def _deletion_broken(scene: Scene) -> Any:
    broken(scene, "clusters.services.clusters.archive_row")
    return delete_cluster(scene)


def _name_taken(scene: Scene) -> Any:
    fleet.make_cluster(scene.user, "first")
    return edit_cluster(scene, name=fleet.make_cluster(scene.user, "second").name)


def _changing(scene: Scene) -> Any:
    container(scene, states.CREATING)
    return edit_cluster(scene, token="another")


def _in_use(scene: Scene) -> Any:
    container(scene)
    return delete_cluster(scene)


def _kept(scene: Scene) -> Any:
    assert recording(scene, "PUT").status_code == 200
    return recording(scene, "GET")


Provoke = Callable[[Any], Any]
PROVOCATIONS: Final[dict[tuple[str, int], Provoke]] = {
    ("fishjam_healthcheck", 200): lambda scene: scene.nobody.get("/api/v1/healthcheck"),
    ("fishjam_list_jellyfish", 200): lambda scene: container(scene) and scene.token.get(JELLYFISH),
    ("fishjam_list_jellyfish", 401): lambda scene: scene.nobody.get(JELLYFISH),
    ("fishjam_list_jellyfish", 422): lambda scene: scene.token.get(JELLYFISH, {"include_archived": "perhaps"}),
    ("fishjam_create_jellyfish", 201): create,
    ("fishjam_create_jellyfish", 400): lambda scene: create(scene, routing_key="not a key"),
    ("fishjam_create_jellyfish", 401): lambda scene: create(scene, scene.nobody),
    ("fishjam_create_jellyfish", 403): _limited,
    ("fishjam_create_jellyfish", 404): lambda scene: create(scene, cluster_uuid_hex=NOBODY),
    ("fishjam_create_jellyfish", 409): lambda scene: create(
        scene, routing_key=container(scene, routing_key="blue").routing_key
    ),
    ("fishjam_create_jellyfish", 422): lambda scene: create(scene, machine_type="huge"),
    ("fishjam_create_jellyfish", 500): _creation_broken,
    ("fishjam_list_jellyfish_versions", 200): lambda scene: (
        fleet.make_version() and scene.token.get(f"{JELLYFISH}/versions")
    ),
    ("fishjam_list_jellyfish_versions", 401): lambda scene: scene.nobody.get(f"{JELLYFISH}/versions"),
    ("fishjam_count_jellyfish", 200): lambda scene: container(scene) and scene.token.get(f"{JELLYFISH}/count"),
    ("fishjam_count_jellyfish", 401): lambda scene: scene.nobody.get(f"{JELLYFISH}/count"),
    ("fishjam_count_jellyfish", 422): lambda scene: scene.token.get(f"{JELLYFISH}/count?include_archived=7"),
    ("fishjam_list_machine_locations", 200): lambda scene: scene.token.get("/api/v1/machines/locations"),
    ("fishjam_list_machine_locations", 401): lambda scene: scene.nobody.get("/api/v1/machines/locations"),
    ("fishjam_get_jellyfish", 200): lambda scene: one(scene, "GET"),
    ("fishjam_get_jellyfish", 401): lambda scene: one(scene, "GET", scene.nobody),
    ("fishjam_get_jellyfish", 404): lambda scene: scene.token.get(f"{JELLYFISH}/{NOBODY}"),
    ("fishjam_edit_jellyfish", 200): lambda scene: one(scene, "PUT"),
    ("fishjam_edit_jellyfish", 400): lambda scene: one(scene, "PUT", status=states.CREATING),
    ("fishjam_edit_jellyfish", 401): lambda scene: one(scene, "PUT", scene.nobody),
    ("fishjam_edit_jellyfish", 403): lambda scene: one(scene, "PUT", scene.forged),
    ("fishjam_edit_jellyfish", 404): lambda scene: send(scene.token, "PUT", f"{JELLYFISH}/{NOBODY}", {}),
    ("fishjam_edit_jellyfish", 409): _taken_key,
    ("fishjam_edit_jellyfish", 422): lambda scene: one(scene, "PUT", routing_key=None),
    ("fishjam_drop_jellyfish", 200): lambda scene: one(scene, "DELETE"),
    ("fishjam_drop_jellyfish", 400): lambda scene: one(scene, "DELETE", status=states.DELETING),
    ("fishjam_drop_jellyfish", 401): lambda scene: one(scene, "DELETE", scene.nobody),
    ("fishjam_drop_jellyfish", 403): lambda scene: one(scene, "DELETE", scene.forged),
    ("fishjam_drop_jellyfish", 404): lambda scene: send(scene.token, "DELETE", f"{JELLYFISH}/{NOBODY}"),
    ("fishjam_drop_jellyfish", 500): _drop_broken,
    ("fishjam_list_clusters", 200): lambda scene: container(scene) and scene.token.get(CLUSTERS),
    ("fishjam_list_clusters", 401): lambda scene: scene.nobody.get(CLUSTERS),
    ("fishjam_create_cluster", 201): make_cluster,
    ("fishjam_create_cluster", 400): lambda scene: make_cluster(scene, image_version="unheard of"),
    ("fishjam_create_cluster", 401): lambda scene: make_cluster(scene, scene.nobody),
    ("fishjam_create_cluster", 403): lambda scene: make_cluster(scene, scene.forged),
    ("fishjam_create_cluster", 409): lambda scene: make_cluster(scene, name=cluster(scene).name),
    ("fishjam_create_cluster", 422): lambda scene: make_cluster(scene, name=7),
    ("fishjam_create_cluster", 500): _making_broken,
    ("fishjam_get_cluster", 200): lambda scene: scene.token.get(f"{CLUSTERS}/{cluster(scene).uuid.hex}"),
    ("fishjam_get_cluster", 401): lambda scene: scene.nobody.get(f"{CLUSTERS}/{NOBODY}"),
    ("fishjam_get_cluster", 404): lambda scene: scene.token.get(f"{CLUSTERS}/{NOBODY}"),
    ("fishjam_edit_cluster", 200): lambda scene: edit_cluster(scene, name="other", token=None),
    ("fishjam_edit_cluster", 400): _changing,
    ("fishjam_edit_cluster", 401): lambda scene: edit_cluster(scene, scene.nobody),
    ("fishjam_edit_cluster", 403): lambda scene: edit_cluster(scene, scene.forged),
    ("fishjam_edit_cluster", 404): lambda scene: send(scene.token, "PATCH", f"{CLUSTERS}/{NOBODY}", {}),
    ("fishjam_edit_cluster", 409): _name_taken,
    ("fishjam_edit_cluster", 422): lambda scene: edit_cluster(scene, name=7),
    ("fishjam_delete_cluster", 200): delete_cluster,
    ("fishjam_delete_cluster", 400): _in_use,
    ("fishjam_delete_cluster", 401): lambda scene: delete_cluster(scene, scene.nobody),
    ("fishjam_delete_cluster", 403): lambda scene: delete_cluster(scene, scene.forged),
    ("fishjam_delete_cluster", 404): lambda scene: send(scene.token, "DELETE", f"{CLUSTERS}/{NOBODY}"),
    ("fishjam_delete_cluster", 500): _deletion_broken,
    ("fishjam_get_instant_query", 200): lambda scene: measured(
        scene, "instant", [{"metric": {"cluster_uuid": NOBODY}, "value": [1_700_000_000.5, "2"]}]
    ),
    ("fishjam_get_instant_query", 401): lambda scene: metric(scene, "instant", scene.nobody),
    ("fishjam_get_instant_query", 403): lambda scene: metric(scene, "instant", scope_uuids=NOBODY),
    ("fishjam_get_instant_query", 404): lambda scene: metric(scene, "instant", metric="unheard_of"),
    ("fishjam_get_instant_query", 422): lambda scene: metric(scene, "instant", interval="long"),
    ("fishjam_get_instant_query", 500): lambda scene: measured(scene, "instant", MetricsUnreadable()),
    ("fishjam_get_instant_query", 503): lambda scene: metric(scene, "instant"),
    ("fishjam_get_range_query", 200): lambda scene: measured(
        scene, "range", [{"metric": {}, "values": [[1_700_000_000, "2"]]}]
    ),
    ("fishjam_get_range_query", 400): lambda scene: metric(scene, "range", end=1),
    ("fishjam_get_range_query", 401): lambda scene: metric(scene, "range", scene.nobody),
    ("fishjam_get_range_query", 403): lambda scene: metric(scene, "range", scope_uuids=NOBODY),
    ("fishjam_get_range_query", 404): lambda scene: metric(scene, "range", metric="unheard_of"),
    ("fishjam_get_range_query", 422): lambda scene: metric(scene, "range", step="0"),
    ("fishjam_get_range_query", 500): lambda scene: measured(scene, "range", MetricsUnreadable()),
    ("fishjam_get_range_query", 503): lambda scene: metric(scene, "range"),
    ("fishjam_query_logs", 200): told_log,
    ("fishjam_query_logs", 401): lambda scene: log(scene, scene.nobody),
    ("fishjam_query_logs", 404): lambda scene: log(scene, jellyfish_uuid_hex=NOBODY),
    ("fishjam_query_logs", 422): lambda scene: log(scene, limit="0"),
    ("fishjam_query_logs", 503): unread_log,
    ("fishjam_get_recording_settings", 200): _kept,
    ("fishjam_get_recording_settings", 401): lambda scene: recording(scene, "GET", scene.nobody),
    ("fishjam_get_recording_settings", 403): lambda scene: recording(scene, "GET", feature=False),
    ("fishjam_get_recording_settings", 404): lambda scene: recording(scene, "GET"),
    ("fishjam_upsert_recording_settings", 200): lambda scene: recording(scene, "PUT"),
    ("fishjam_upsert_recording_settings", 401): lambda scene: recording(scene, "PUT", scene.nobody),
    ("fishjam_upsert_recording_settings", 403): lambda scene: recording(scene, "PUT", feature=False),
    ("fishjam_upsert_recording_settings", 404): lambda scene: (
        recording(scene, "GET") and send(scene.token, "PUT", f"{RECORDINGS}?cluster_uuid_hex={NOBODY}", SETTINGS)
    ),
    ("fishjam_upsert_recording_settings", 422): lambda scene: recording(scene, "PUT", role_arn="me"),
    ("fishjam_validate_recording_settings", 200): validate,
    ("fishjam_validate_recording_settings", 400): lambda scene: validate(scene, role_arn="me"),
    ("fishjam_validate_recording_settings", 401): lambda scene: validate(scene, scene.nobody),
    ("fishjam_validate_recording_settings", 403): lambda scene: validate(scene, feature=False),
    ("fishjam_validate_recording_settings", 422): lambda scene: validate(scene, role_arn=7),
}
