"""GET /metrics: who may read it, what it says, and what it costs."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from accounts import services as accounts
from clusters import states as container_states
from clusters.models import Container, HostingPlace, Placement
from clusters.providers.errors import Throttled
from controlplane import metrics
from controlplane.core import instruments, metric_files
from jobs import scheduling, services, states
from jobs.models import Job, Place
from jobs.tasks import CANARY_BEAT
from tests.answers import text_of
from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT
from tests.factories import (
    Person,
    Stage,
    make_admin,
    make_customer_user,
    make_job,
    make_job_in,
    make_jobs,
    make_monitor,
    make_operator,
    make_place,
)
from tests.fleet import make_cluster, make_container
from tests.postgresql import free_port
from tests.query_budget import counted

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(page: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def page_of(person: Person) -> Samples:
    """The page as it is now, not as it was kept."""
    metrics.GAUGES.forget()
    answer = person.get("/metrics")
    assert answer.status_code == 200, text_of(answer)
    return parsed(text_of(answer))


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"controlplane_{name}", tuple(sorted(labels.items()))), 0.0)


def named(samples: Samples, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {labels: number for (each, labels), number in samples.items() if each == f"controlplane_{name}"}


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    metrics.GAUGES.forget()


# --- Who may read it -----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("make", [make_admin, make_operator, make_monitor])
def test_who_may_read_everybody_s_jobs_may_read_it(make: Callable[[], Person]) -> None:
    answer = make().get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "# TYPE controlplane_jobs_waiting gauge\n" in text_of(answer)


@pytest.mark.django_db
def test_a_customer_s_user_may_not() -> None:
    answer = make_customer_user().get("/metrics")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/plain; charset=utf-8")
    assert "controlplane_" not in text_of(answer)


@pytest.mark.django_db
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer nobody's", "Basic YTpi"])
def test_without_a_token_it_is_401(header: str | None) -> None:
    answer = Client().get("/metrics", headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="metrics"'
    assert text_of(answer) == "A token is needed, as `Authorization: Bearer …`.\n"


@pytest.mark.django_db
def test_a_disabled_user_s_token_is_none() -> None:
    monitor = make_monitor()
    assert monitor.get("/metrics").status_code == 200
    accounts.disable_user(username=monitor.user.username, actor=None)
    assert monitor.get("/metrics").status_code == 401


@pytest.mark.django_db
def test_a_token_in_the_address_does_not_count() -> None:
    assert Client().get(f"/metrics?token={make_monitor().token}").status_code == 401


@pytest.mark.django_db
def test_a_session_does_not_count() -> None:
    browser = Client()
    browser.force_login(make_admin().user)
    assert browser.get("/metrics").status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_there_is_no_other_method(method: str) -> None:
    assert getattr(Client(), method)("/metrics").status_code == 405


@pytest.mark.django_db
def test_without_the_database_it_is_503_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise DatabaseError("password=hunter2")

    monkeypatch.setattr(metrics, "user_of_token", fail)
    answer = make_monitor().get("/metrics")
    assert (answer.status_code, text_of(answer)) == (503, "The database does not answer: see DATABASE_URL.\n")


# --- Gauges --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_with_nothing_there_it_still_is_a_page() -> None:
    samples = page_of(make_monitor())
    assert named(samples, "jobs_waiting") == {}
    assert named(samples, "jobs_active") == {}


@pytest.mark.django_db
def test_waiting_jobs_are_counted_by_what_keeps_them() -> None:
    monitor, alice, bob = make_monitor(), make_operator(), make_operator()
    make_place(vcpus_milli=4000)
    make_jobs(3, alice)
    make_jobs(2, bob, vcpus_milli=8000)
    [held] = make_jobs(1, bob)
    services.hold_jobs([held.pk], actor=bob.user)
    samples = page_of(monitor)
    assert named(samples, "jobs_waiting") == {
        (("reason", "HELD"),): 1,
        (("reason", "NEXT"),): 3,
        (("reason", "TOO_LARGE_VCPUS"),): 2,
    }
    services.place_hold(scope="all", code="MAINTENANCE", actor=None)
    assert value(page_of(monitor), "jobs_waiting", reason="MAINTENANCE") == 5


@pytest.mark.django_db
def test_a_job_that_pauses_before_its_next_try_waits_for_that() -> None:
    make_job_in(states.DELAYED)
    assert named(page_of(make_monitor()), "jobs_waiting") == {(("reason", "RETRY"),): 1}


@pytest.mark.django_db
def test_active_jobs_are_counted_by_place_and_status() -> None:
    stage = Stage()
    for status in (states.RUNNING, states.CANCELING, states.COMPLETED, states.STARTING):
        make_job_in(status, stage=stage)
    samples = page_of(make_monitor())
    here = {"cloud": "local", "region": stage.place.region}
    for status in states.ACTIVE:
        assert value(samples, "jobs_active", status=status, **here) == 1
    assert len(named(samples, "jobs_active")) == len(states.ACTIVE)


@pytest.mark.django_db
def test_it_tells_how_long_the_oldest_waits_and_the_worker_was_silent() -> None:
    place, now = make_place(), timezone.now()
    old, _ = make_jobs(2)
    Job.objects.filter(pk=old.pk).update(queued_at=now - timedelta(seconds=500))
    Place.objects.filter(pk=place.pk).update(seen_at=now - timedelta(seconds=70))
    samples = page_of(make_monitor())
    here = {"cloud": "local", "region": place.region}
    assert 500 <= value(samples, "oldest_waiting_job_age_seconds", **here) < 520
    assert 70 <= value(samples, "worker_seen_age_seconds", **here) < 90
    assert value(samples, "jobs_waiting", reason="NO_WORKER") == 2


@pytest.mark.django_db
def test_containers_are_counted_by_place_and_status() -> None:
    cluster = make_cluster(make_operator().user)
    place = HostingPlace.objects.create(cloud="aws", region="eu-west-1")
    placed, moved, dropped, alone = (make_container(cluster, name=f"c{number}") for number in range(4))
    Placement.objects.all().delete()
    for container in (placed, moved, dropped):
        Placement.objects.create(container=container, place=place)
    Placement.objects.create(container=moved, place=place, status=container_states.GONE, ended_at=timezone.now())
    Container.objects.filter(pk__in=[placed.pk, moved.pk]).update(status=container_states.RUNNING)
    Container.objects.filter(pk=dropped.pk).update(desired=container_states.GONE_WANTED, archived_at=timezone.now())
    Container.objects.filter(pk=alone.pk).update(status=container_states.STOPPED)
    assert named(page_of(make_monitor()), "containers") == {
        (("place", "aws/eu-west-1"), ("status", "RUNNING")): 2,
        (("place", ""), ("status", "STOPPED")): 1,
    }


@pytest.mark.django_db
def test_it_tells_how_long_a_place_of_containers_has_failed() -> None:
    since = timezone.now() - timedelta(seconds=300)
    HostingPlace.objects.create(cloud="aws", region="us-east-1", failing_since=since)
    HostingPlace.objects.create(cloud="aws", region="eu-west-1")
    samples = page_of(make_monitor())
    assert 300 <= value(samples, "hosting_place_failing_seconds", place="aws/us-east-1") < 320
    assert named(samples, "hosting_place_failing_seconds")[("place", "aws/eu-west-1"),] == 0


@pytest.mark.django_db
def test_the_canary_is_told_of_where_there_is_one(settings: Any, tmp_path: Path) -> None:
    settings.RUN_DIR, monitor = tmp_path, make_monitor()
    assert named(page_of(monitor), "work_canary_age_seconds") == {}
    (tmp_path / CANARY_BEAT).touch()
    os.utime(tmp_path / CANARY_BEAT, (time.time() - 40, time.time() - 40))
    assert 40 <= value(page_of(monitor), "work_canary_age_seconds") < 60


@pytest.mark.django_db
def test_the_statements_are_few_and_no_more_for_more_jobs() -> None:
    monitor, found = make_monitor(), []
    make_place()
    page_of(monitor)
    for _ in range(2):
        make_jobs(20)
        make_job_in(states.RUNNING)
        metrics.GAUGES.forget()
        with counted() as statements:
            monitor.get("/metrics")
        found.append(len(statements))
        # Never all jobs: only those of a status that has an index of its own.
        assert all("status" in text for text in statements.texts if "jobs_job" in text), str(statements)
    assert found[0] == found[1] <= 10


@pytest.mark.django_db
def test_what_the_database_said_is_kept_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = make_monitor()
    page_of(monitor)
    make_place()
    make_job()
    with counted() as statements:
        assert named(parsed(text_of(monitor.get("/metrics"))), "jobs_waiting") == {}
    assert len(statements) == 1  # whose token it is
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0)
    page_of(monitor)
    assert len(named(parsed(text_of(monitor.get("/metrics"))), "jobs_waiting")) == 1


# --- What is counted as it happens ---------------------------------------------------------------


@pytest.mark.django_db
def test_requests_are_timed_by_surface_and_status() -> None:
    monitor, name = make_monitor(), "http_request_duration_seconds_count"
    before = page_of(monitor)
    monitor.get("/status/nothing")
    monitor.post("/submit", {})
    Client().get("/admin/")
    monitor.get("/v6/jobs/")
    after = page_of(monitor)
    for surface, status, times in (
        ("mapsor", "4xx", 2), ("admin", "3xx", 1), ("native", "2xx", 1), ("site", "2xx", 1), ("site", "4xx", 0),
    ):  # fmt: skip
        labels = {"surface": surface, "status": status}
        assert value(after, name, **labels) - value(before, name, **labels) == times, labels


@pytest.mark.django_db
def test_each_execution_that_starts_is_timed_once_from_when_it_was_queued() -> None:
    monitor, stage, name = make_monitor(), Stage(), "scheduling_latency_seconds"
    before = page_of(monitor)
    slow, quick = make_jobs(2)
    Job.objects.filter(pk=slow.pk).update(queued_at=timezone.now() - timedelta(seconds=100))
    stage.claim()
    scheduling.hand_over(stage.place.pk, stage.provider)
    for job in (slow, quick):
        stage.provider.start(str(stage.execution(job).uuid))
    # The end of one is seen before its start was; of the other both are seen, the start twice.
    stage.provider.end(str(stage.execution(quick).uuid))
    both = [str(stage.execution(job).uuid) for job in (slow, quick)]
    scheduling.apply(stage.provider.observe(both))
    scheduling.apply(stage.provider.observe(both))
    stage.end(slow)
    after = page_of(monitor)
    assert value(after, f"{name}_count") - value(before, f"{name}_count") == 2
    assert 100 <= value(after, f"{name}_sum") - value(before, f"{name}_sum") < 110
    for limit, number in (("60.0", 1), ("180.0", 2)):
        assert value(after, f"{name}_bucket", le=limit) - value(before, f"{name}_bucket", le=limit) == number


@pytest.mark.django_db
def test_a_job_canceled_before_it_started_is_not_timed() -> None:
    monitor, name = make_monitor(), "scheduling_latency_seconds_count"
    before = value(page_of(monitor), name)
    make_job_in(states.REJECTED)
    make_job_in(states.CANCELED)
    assert value(page_of(monitor), name) == before


@pytest.mark.django_db
def test_calls_of_a_provider_are_counted_by_how_they_ended() -> None:
    monitor, stage = make_monitor(), Stage()
    before = page_of(monitor)
    job = make_job()
    stage.claim()
    stage.provider.failure = Throttled()
    with pytest.raises(Throttled):
        scheduling.hand_over(stage.place.pk, stage.provider)
    stage.provider.failure = None
    scheduling.hand_over(stage.place.pk, stage.provider)
    services.cancel_jobs([job.pk], actor=None)
    scheduling.pass_on_cancels(stage.place.pk, stage.provider)
    after = page_of(monitor)
    for verb, outcome in (("run", "Throttled"), ("run", "ok"), ("cancel", "ok")):
        labels = {"provider": "scripted", "verb": verb, "outcome": outcome}
        for name in ("provider_calls_total", "provider_call_duration_seconds_count"):
            assert value(after, name, **labels) - value(before, name, **labels) == 1, (name, labels)


# --- The files -----------------------------------------------------------------------------------

COUNTS = """
import os, sys
from controlplane.core import instruments
with instruments.provider_call("local", sys.argv[1]):
    pass
instruments.note_waits([0.2])
"""


def counts_in(folder: Path, verb: str = "run") -> subprocess.CompletedProcess[str]:
    """A process that counts a call and a wait in `folder`, and ends."""
    return subprocess.run(
        [sys.executable, "-c", COUNTS, verb], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": os.environ["PATH"], "PROMETHEUS_MULTIPROC_DIR": str(folder)},
    )  # fmt: skip


def totals() -> dict[str, float]:
    return {
        f"{sample.name} {sample.labels.get('verb', '')}": sample.value
        for family in metric_files.collect()
        for sample in family.samples
        if sample.name.endswith(("_total", "_count"))
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    return tmp_path / "metrics"


def test_without_a_folder_there_is_nothing(folder: Path) -> None:
    assert metric_files.collect() == []


def test_what_dead_processes_counted_is_kept_in_one_file(folder: Path) -> None:
    for _ in range(3):
        counts_in(folder)
    expected = {
        "controlplane_provider_calls_total run": 3,
        "controlplane_provider_call_duration_seconds_count run": 3,
        "controlplane_scheduling_latency_seconds_count ": 3,
    }
    assert totals() == expected
    metric_files.prepare()
    assert totals() == expected
    own = os.getpid()
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(
        [f"counter_{own}.db", "counter_ended.db", f"histogram_{own}.db", "histogram_ended.db", "lock"]
    )


def test_a_broken_file_of_a_dead_process_is_dropped(folder: Path) -> None:
    counts_in(folder)
    (folder / "counter_999999999.db").write_bytes(b"\xff" * 200)
    (folder / "histogram_999999999.db").write_bytes(b"")
    metric_files.prepare()
    assert totals()["controlplane_provider_calls_total run"] == 1


def test_the_bytes_of_its_files_are_there_before_they_are_needed(folder: Path) -> None:
    metric_files.prepare()
    for kind in metric_files.KINDS:
        status = (folder / f"{kind}_{os.getpid()}.db").stat()
        assert status.st_blocks * 512 >= status.st_size == metric_files.FIRST_BYTES
    # prometheus-client takes such a file for a new one.
    mapped: Any = MmapedDict
    file = mapped(str(folder / f"counter_{os.getpid()}.db"))
    file.write_value("k", 1.0, 0.0)
    assert list(file.read_all_values()) == [("k", 1.0, 0.0)]
    file.close()


def test_counting_never_fails_the_work(folder: Path) -> None:
    folder.write_text("not a folder")
    assert "keeps no metrics" in counts_in(folder).stderr


def test_a_failed_call_keeps_its_own_error() -> None:
    with pytest.raises(KeyError), instruments.provider_call("local", "run"):
        raise KeyError


# --- A deployment, and Prometheus itself ---------------------------------------------------------


def ask(url: str, token: str, body: dict[str, Any] | None = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


def until(happened: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture
def running(deployment: Factory) -> tuple[Deployment, str]:
    """A deployment that has run a job; the token of its admin."""
    place = deployment(LOCAL_ISOLATION="0", LOCAL_UNISOLATED="1")
    token = place.bootstrap("root")
    place.start_manage("work")
    base = place.start_web()
    body = {"customer": "a", "cloud": "local", "region": "local", "id": "x", "image": "x", "command": ["true"]}
    job = json.loads(ask(f"{base}/submit", token, body))["job_id"]
    until(lambda: "SUCCEEDED" in ask(f"{base}/status/{job}", token), 60, "that the job has run")
    return place, token


@pytest.mark.runs_once("sqlite", "counts go by files; what the database says is read on both in other tests")
def test_the_web_server_tells_what_the_workers_have_counted(running: tuple[Deployment, str]) -> None:
    place, token = running

    def complete() -> Samples | None:
        samples = parsed(ask(f"{place.base_url}/metrics", token))
        return samples if named(samples, "work_canary_age_seconds") else None

    samples = until(complete, 40, "that the canary has answered")
    assert value(samples, "scheduling_latency_seconds_count") == 1
    assert value(samples, "provider_calls_total", provider="local", verb="run", outcome="ok") == 1
    assert value(samples, "http_request_duration_seconds_count", surface="mapsor", status="2xx") >= 2
    assert value(samples, "worker_seen_age_seconds", cloud="local", region="local") < 15
    assert value(samples, "work_canary_age_seconds") < 60


CONFIG = """
global: {{scrape_interval: 500ms}}
scrape_configs:
  - job_name: controlplane
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.mark.needs("prometheus")
@pytest.mark.runs_once("postgresql", "Prometheus sees the page only")
def test_prometheus_scrapes_it(running: tuple[Deployment, str]) -> None:
    place, token = running
    (place.folder / "token").write_text(token)
    config = CONFIG.format(token=place.folder / "token", target=place.base_url.removeprefix("http://"))
    (place.folder / "prometheus.yml").write_text(config)
    port = free_port()
    with (place.folder / "prometheus.log").open("wb") as log:
        prometheus = subprocess.Popen(
            [
                "prometheus", f"--config.file={place.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={place.folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
            ],
            env=place.env, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        [up] = until(lambda: _query(port, 'up{job="controlplane"} == 1'), 40, "that it is up")
        assert up["metric"]["instance"] == place.base_url.removeprefix("http://")
        [count] = _query(port, "controlplane_scheduling_latency_seconds_count")
        assert count["value"][1] == "1"
        assert _query(port, "histogram_quantile(0.9, controlplane_scheduling_latency_seconds_bucket)")
    finally:
        prometheus.terminate()
        prometheus.wait(20)


def _query(port: int, expression: str) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/api/v1/query?query={urllib.parse.quote(expression)}")
        found: list[dict[str, Any]] = json.loads(connection.getresponse().read())["data"]["result"]
    except (OSError, ValueError):
        return []
    finally:
        connection.close()
    return found
