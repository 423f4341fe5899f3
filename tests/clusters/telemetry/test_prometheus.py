"""A real Prometheus, asked for what it scraped and for an hour long ago; and servers that are none."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from clusters.errors import MetricsUnavailable, MetricsUnreadable
from clusters.telemetry import metrics, prometheus
from clusters.telemetry.promql import MetricLabel, MetricName, Question, Scope
from controlplane.core import stores
from controlplane.core.errors import InvalidRequest
from tests.clusters.telemetry import history
from tests.clusters.telemetry.history import ANN, BEGIN, BOB, CARL, CLUSTERS, COUNTERS, END, FLEET, INSTANCES, RATIOS
from tests.postgresql import free_port
from tests.waiting import until

pytestmark = pytest.mark.runs_once("sqlite", "no database is asked")

ANNS, BOBS = FLEET[:3], FLEET[3:]
GAUGES_OF_ROOMS = {MetricName.ROOMS: 2, MetricName.ROOM_PEERS: 2}
RATES = [name for name in MetricName if "_per_second_" in name]


class Rooms(Collector):
    """What a container tells. prometheus-client's own counters would write into files, as ours do."""

    rooms = 0
    crashes = 0

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("fishjam_rooms", "Rooms.", value=self.rooms)
        crashes = CounterMetricFamily("fishjam_room_peer_crashes", "Crashes.", labels=["room_id"])
        crashes.add_metric(["r"], self.crashes)
        yield crashes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Rooms]]:
    rooms, registry = Rooms(), CollectorRegistry()
    registry.register(rooms)
    target, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        with history.prometheus(tmp_path_factory.mktemp("prometheus"), target.server_port) as url:
            yield url, rooms
    finally:
        target.shutdown()
        target.server_close()
        thread.join()


@pytest.fixture
def real(server: tuple[str, Rooms], settings: Any) -> Rooms:
    settings.PROMETHEUS_URL = server[0]
    return server[1]


def numbers(question: Question, at: int = END) -> dict[str, Any]:
    """The value for each value of the label it is grouped by."""
    found = metrics.instant(question, at)
    assert all(len(row["metric"]) == (1 if question.group_by else 0) for row in found)
    assert all(row["value"][0] == at for row in found)
    return {"".join(row["metric"].values()): pytest.approx(float(row["value"][1])) for row in found}


def by_hand(metric: MetricName, window: int | None) -> float:
    """What Ann's three instances come to at the end of the hour, of which the last half is looked at."""
    if metric in RATIOS:
        return sum(each.ratio for each in ANNS) / len(ANNS)
    if metric in GAUGES_OF_ROOMS:
        return sum(each.rooms * GAUGES_OF_ROOMS[metric] for each in ANNS)
    grown = sum(each.per_second for each in ANNS)
    if metric in RATES:
        return grown
    assert metric in COUNTERS
    if window is not None:
        return grown * window
    # One of them began anew in the middle.
    return sum(each.per_second * (1800 if each.uuid == history.RESTARTED else 3600) for each in ANNS)


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("metric", MetricName)
@pytest.mark.parametrize(("interval", "resolution"), [(None, None), (1200, None), (1200, 30)])
def test_each_metric_is_told(real: Rooms, metric: MetricName, interval: int | None, resolution: int | None) -> None:
    question = Question(metric, Scope.of_user(ANN), None, interval, resolution)
    assert numbers(question) == {"": by_hand(metric, interval)}


@pytest.mark.needs("prometheus")
def test_over_an_interval_a_gauge_is_averaged(real: Rooms) -> None:
    [average] = metrics.instant(Question(MetricName.ROOMS, Scope.of_instances([INSTANCES[0]]), None, 3600, 15), END)
    assert float(average["value"][1]) == pytest.approx(1.5, abs=0.01)


@pytest.mark.needs("prometheus")
def test_an_increase_goes_on_over_a_restart(real: Rooms) -> None:
    [(_, grown)] = numbers(Question(MetricName.PEER_TIME, Scope.of_instances([history.RESTARTED]), None, 3600)).items()
    # Between the last sample before and the first after it nothing is seen.
    assert grown == pytest.approx(3 * 3600, abs=3 * 15)


@pytest.mark.needs("prometheus")
def test_it_is_grouped_by_a_label(real: Rooms) -> None:
    scope = Scope.of_user(ANN)
    by_cluster = numbers(Question(MetricName.ROOMS, scope, MetricLabel.CLUSTER))
    assert by_cluster == {str(CLUSTERS[0]): 6, str(CLUSTERS[1]): 8}
    by_instance = numbers(Question(MetricName.CPU, scope, MetricLabel.INSTANCE))
    assert by_instance == {str(each.uuid): each.ratio for each in ANNS}
    assert numbers(Question(MetricName.ROOMS, scope, MetricLabel.USER)) == {ANN: 14}


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope.of_user(ANN), {ANN: 14}),
        (Scope.of_user(BOB), {BOB: 200}),
        (Scope.of_user(ANN.upper()), {}),
        (Scope.of_user("ann.media@example.com"), {}),
        (Scope.of_user(".*"), {}),
        (Scope.of_user('x"} or fishjam_rooms{user_email!="'), {}),
        (Scope.of_user(""), {}),
        (Scope.of_instances([INSTANCES[0], INSTANCES[2]]), {ANN: 10}),
        (Scope.of_instances([INSTANCES[3]]), {BOB: 200}),
        (Scope.of_instances([]), {}),
        (Scope.of_clusters([CLUSTERS[0], CLUSTERS[1]]), {ANN: 14}),
        (Scope.of_clusters([]), {}),
        (Scope(MetricLabel.INSTANCE, (".*", ".+")), {}),
    ],
)
def test_a_scope_shows_what_it_names_and_no_more(real: Rooms, scope: Scope, expected: dict[str, float]) -> None:
    assert numbers(Question(MetricName.ROOMS, scope, MetricLabel.USER)) == expected


@pytest.mark.needs("prometheus")
def test_thousands_of_instances_are_one_question(real: Rooms) -> None:
    scope = Scope.of_instances([*INSTANCES, *(UUID(int=number) for number in range(5000))])
    assert numbers(Question(MetricName.ROOMS, scope)) == {"": 214}


@pytest.mark.needs("prometheus")
def test_a_range_has_a_value_for_each_step(real: Rooms) -> None:
    question = Question(MetricName.ROOMS, Scope.of_user(ANN), MetricLabel.CLUSTER)
    found = metrics.over_time(question, BEGIN, END, 900)
    half = [(BEGIN + step * 900, step < 2) for step in range(5)]
    assert {row["metric"]["cluster_uuid"]: row["values"] for row in found} == {
        str(cluster): [(at, str(rooms * (1 if early else 2))) for at, early in half]
        for cluster, rooms in ((CLUSTERS[0], 3), (CLUSTERS[1], 4))
    }
    [grown] = metrics.over_time(Question(MetricName.PEER_TIME, Scope.of_user(BOB), None, 300), BEGIN + 600, END, 0.5e3)
    assert {float(value) for _, value in grown["values"]} == {700 * 300}
    assert metrics.over_time(question, BEGIN - 90_000, BEGIN - 80_000, 900) == [], "before there was anything"


@pytest.mark.needs("prometheus")
def test_a_range_may_be_one_moment_and_its_step_anything(real: Rooms) -> None:
    for step in (0.001, 1, 1e300, float("inf")):
        [row] = metrics.over_time(Question(MetricName.ROOMS, Scope.of_user(ANN)), END, END, step)
        assert row["values"] == [(END, "14")]


@pytest.mark.needs("prometheus")
def test_as_many_points_as_may_be_are_told_and_not_one_more(real: Rooms) -> None:
    question = Question(MetricName.ROOMS, Scope.of_user(ANN))
    [row] = metrics.over_time(question, END - 10_999, END, 1)
    assert [float(number) for _, number in row["values"]][-1:] == [14]
    with pytest.raises(InvalidRequest, match="11000 at most") as refused:
        metrics.over_time(question, END - 11_000, END, 1)
    assert refused.value.field == "step"


@pytest.mark.needs("prometheus")
def test_what_would_take_too_much_is_the_asker_s_to_change(real: Rooms) -> None:
    question = Question(MetricName.ROOM_PEERS, Scope.of_user(BOB), None, 3600, 1)
    with pytest.raises(InvalidRequest, match="too much to look at") as refused:
        metrics.instant(question, END)
    assert refused.value.field == "interval"


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("at", [-5, 0, prometheus.LAST_MOMENT])
def test_a_moment_without_data_has_none(real: Rooms, at: int) -> None:
    assert metrics.instant(Question(MetricName.ROOMS, Scope.of_user(ANN)), at) == []


@pytest.mark.needs("prometheus")
def test_what_is_scraped_now_is_told_now(real: Rooms) -> None:
    scope = Scope.of_instances([history.LIVE])
    real.rooms = 7
    now = Question(MetricName.ROOMS, scope, MetricLabel.USER)
    until(lambda: [row["value"][1] for row in metrics.instant(now)] == ["7"], "the rooms are seen")
    assert metrics.instant(now)[0]["metric"] == {"user_email": CARL}
    crashed = Question(MetricName.PEER_CRASHES, scope, None, 60)
    until(lambda: [row["value"][1] for row in metrics.instant(crashed)] == ["0"], "there was no crash")
    real.crashes = 3
    until(lambda: float(metrics.instant(crashed)[0]["value"][1]) > 0, "the crashes are seen")


# --- Servers that are no Prometheus -----------------------------------------------------------------------------------

VECTOR = {"status": "success", "data": {"resultType": "vector", "result": []}}
ROOMS = Question(MetricName.ROOMS, Scope.of_user("a@example.com"))
Reply = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, body: bytes, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


class Pretender:
    """Answers as it is told to, and keeps what it was asked: path, headers, form."""

    def __init__(self) -> None:
        self.reply: Reply = says(200, json.dumps(VECTOR).encode())
        self.asked: list[tuple[str, dict[str, str], dict[str, list[str]]]] = []

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        form = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append((handler.path, headers, parse_qs(form)))
        self.reply(handler)


@pytest.fixture
def pretender(settings: Any) -> Iterator[Pretender]:
    told = Pretender()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and content are two writes

        def do_POST(self) -> None:
            told.handle(self)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{server.server_port}/below"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_says_who_asks(pretender: Pretender, settings: Any) -> None:
    assert metrics.instant(ROOMS) == []
    settings.PROMETHEUS_TOKEN = "s3cret"
    metrics.instant(ROOMS, 12)
    settings.PROMETHEUS_USER = "reader"
    metrics.instant(ROOMS)
    assert {path for path, _, _ in pretender.asked} == {"/below/api/v1/query"}
    basic = base64.b64encode(b"reader:s3cret").decode()
    sent = [headers.get("authorization") for _, headers, _ in pretender.asked]
    assert sent == [None, "Bearer s3cret", f"Basic {basic}"]
    assert [form.get("time") for _, _, form in pretender.asked] == [None, ["12"], None]


@pytest.mark.parametrize(
    "reply",
    [
        says(500, b"oops"), says(502, b"<html>"), says(503, b'{"status":"error","errorType":"timeout","error":"t"}'),
        says(401, b"no"), says(403, b"no"), says(429, b"later"),
    ],
)  # fmt: skip
def test_a_server_that_cannot_answer_is_not_available(pretender: Pretender, reply: Reply) -> None:
    pretender.reply = reply
    with pytest.raises(MetricsUnavailable) as refused:
        metrics.instant(ROOMS)
    assert (refused.value.http_status, refused.value.message) == (503, "Prometheus is not available.")


def result(*rows: Any, kind: str = "vector") -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": list(rows)}}).encode()


@pytest.mark.parametrize(
    "reply",
    [
        says(400, b'{"status":"error","errorType":"bad_data","error":"1:1: parse error"}'),
        says(404, b"404 page not found"), says(302, b"", Location="/login"), says(204, b""),
        says(422, b'{"status":"error","errorType":"execution","error":"found duplicate series"}'),
        says(200, b"<html>welcome</html>"), says(200, b"[]"), says(200, b"\xff\xfe"), says(200, b"[" * 100_000),
        says(200, b'{"status":"error"}'), says(200, b'{"status":"success","data":[]}'),
        says(200, result(kind="matrix")), says(200, result("row")), says(200, result({"value": [1, "2"]})),
        says(200, result({"metric": {}})), says(200, result({"metric": {"a": 1}, "value": [1, "2"]})),
        says(200, result({"metric": {}, "value": [1, 2]})), says(200, result({"metric": {}, "value": ["1", "2"]})),
        says(200, result({"metric": {}, "value": [1, "x"]})), says(200, result({"metric": {}, "value": [True, "2"]})),
        says(200, result({"metric": {}, "value": [float("nan"), "2"]})),
        says(200, result({"metric": {}, "value": [1]})),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_cannot_be_read(pretender: Pretender, reply: Reply) -> None:
    pretender.reply = reply
    with pytest.raises(MetricsUnreadable) as refused:
        metrics.instant(ROOMS)
    assert refused.value.http_status == 500


def test_a_range_that_is_a_vector_cannot_be_read(pretender: Pretender) -> None:
    with pytest.raises(MetricsUnreadable):
        metrics.over_time(ROOMS, 1, 2, 1)
    pretender.reply = says(200, result({"metric": {}, "value": [1, "2"]}, kind="matrix"))
    with pytest.raises(MetricsUnreadable):
        metrics.over_time(ROOMS, 1, 2, 1)


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-Inf", "1e-09"])
def test_numbers_are_passed_on_as_they_are(pretender: Pretender, number: str) -> None:
    pretender.reply = says(200, result({"metric": {"instance_uuid": "i"}, "value": [1.5, number]}))
    assert metrics.instant(ROOMS) == [{"metric": {"instance_uuid": "i"}, "value": (1.5, number)}]


def test_a_huge_answer_is_not_read(pretender: Pretender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAX_ANSWER_BYTES", 1000)
    pretender.reply = says(200, result(*[{"metric": {}, "value": [1, "2"]}] * 100))
    with pytest.raises(MetricsUnreadable, match="too large"):
        metrics.instant(ROOMS)
    pretender.reply = says(200, result(*[{"metric": {}, "values": [[1, "2"]]}] * 100, kind="matrix"))
    with pytest.raises(InvalidRequest) as refused:
        metrics.over_time(ROOMS, 1, 2, 1)
    assert refused.value.field == "step"
    pretender.reply = says(200, json.dumps(VECTOR).encode())
    assert metrics.instant(ROOMS) == [], "and what follows is another answer"


def test_a_kept_connection_that_was_closed_is_made_again(pretender: Pretender) -> None:
    good = pretender.reply

    def close_then_answer(handler: BaseHTTPRequestHandler) -> None:
        if len(pretender.asked) == 2:
            handler.close_connection = True
            return
        good(handler)

    pretender.reply = close_then_answer
    assert metrics.instant(ROOMS) == metrics.instant(ROOMS) == []
    assert len(pretender.asked) == 3


@pytest.mark.parametrize("words", [False, True])
def test_waiting_has_an_end(pretender: Pretender, monkeypatch: pytest.MonkeyPatch, words: bool) -> None:
    monkeypatch.setattr(prometheus, "SECONDS", 0.3)
    over = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        if words:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        while not over.wait(0.02):
            if words:
                handler.wfile.write(b" ")

    pretender.reply = hang
    try:
        with pytest.raises(MetricsUnavailable):
            metrics.instant(ROOMS)
    finally:
        over.set()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://nowhere.invalid", "http://[", "ftp://127.0.0.1"])
def test_nobody_there_is_not_available(url: str, settings: Any) -> None:
    settings.PROMETHEUS_URL = url if url != "http://127.0.0.1:1" else f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MetricsUnavailable) as refused:
        metrics.instant(ROOMS)
    assert "127.0.0.1" not in refused.value.message, "where it is is nobody's business"


def test_without_an_address_it_names_the_setting(settings: Any) -> None:
    settings.PROMETHEUS_URL = ""
    with pytest.raises(MetricsUnavailable, match="PROMETHEUS_URL"):
        metrics.instant(ROOMS)


@pytest.mark.parametrize(
    ("start", "end", "step", "field"),
    [
        (10, 9, 1, "end"), (1, 11_001, 1, "step"), (1, 2, 0, "step"), (1, 2, -1, "step"), (1, 1, 1e-9, "step"),
        (1, 2, float("nan"), "step"), (1, 10**30, 1, "end"), (10**30, 1, 1, "start"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scope", [ROOMS.scope, Scope.of_instances([])])
def test_times_that_cannot_be_are_refused_by_name(
    scope: Scope, start: int, end: int, step: float, field: str, settings: Any
) -> None:
    settings.PROMETHEUS_URL = ""
    with pytest.raises(InvalidRequest) as refused:
        metrics.over_time(Question(MetricName.ROOMS, scope), start, end, step)
    assert refused.value.field == field


def test_secrets_of_a_store_are_in_no_words_of_a_failure(settings: Any) -> None:
    store = stores.Store(f"http://127.0.0.1:{free_port()}", "reader", "s3cret")
    with pytest.raises(stores.CallFailed) as failed:
        stores.get(store, "/x", {"query": "q"}, seconds=1, max_bytes=10)
    assert "s3cret" not in str(failed.value)
