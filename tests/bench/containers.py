"""Containers: what looking after many costs, how soon one runs, and a list beside many that are gone."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

from tests.bench.line import Line
from tests.bench.rig import Rig
from tests.environment import CHECKOUT
from tests.postgresql import free_port

MANY: Final = 2000
ONE_BY_ONE: Final = 40
ARCHIVED: Final = 100_000
LISTS: Final = 200
SERVER: Final = str(CHECKOUT / "deploy" / "media" / "server.py")
_OWN: Final = {"LOCAL_ISOLATION": "0", "LOCAL_UNISOLATED": "1", "LOCAL_MEMORY_MIB": "10000000"}
_MAKE: Final = """
import json, sys
from accounts.models import User
from accounts.queries import find_user
from clusters import services
command = json.loads(sys.argv[1])
probed = {"ports": [{"number": 5002}], "probe_port": 5002, "probe_path": "/health"} if len(command) > 2 else {}
services.add_image_version(actor=None, version="1.0", image="localhost/media", command=command, **probed)
User.objects.filter(username="bench").update(instance_limit=10**6)
print(services.make_cluster(owner=find_user("bench"), actor=None, name="bench", image_version="1.0").uuid)
"""
_LOOK: Final = """
import json, sys, time
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from clusters import services, states
from clusters.keeping import Keeper
from clusters.models import Cluster, Container, HostingPlace, Placement
from clusters.queries import hosting_at
from clusters.services.containers import MOST
wanted, first = int(sys.argv[1]), Cluster.objects.get()
for _ in range(wanted // MOST - 1):
    services.make_cluster(owner=first.owner, actor=None, name=f"more-{_}", image_version="1.0")
def scale(count):
    for cluster in Cluster.objects.all():
        services.scale_cluster(cluster=cluster, actor=None, count=count)
scale(MOST)
hosting = hosting_at("local", settings.LOCAL_REGION)
place = HostingPlace.objects.get()
keeper = Keeper(place, hosting)
end = time.monotonic() + 300
while Container.objects.filter(status="RUNNING").count() < wanted:
    keeper.turn()
    assert time.monotonic() < end, Container.objects.values_list("status", "reason", "detail").distinct()[:5]
def median(work):
    took = []
    for _ in range(7):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return sorted(took)[3]
def bare():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM clusters_placement p JOIN clusters_container c ON c.id = p.container_id"
                       " WHERE p.status IN ('WISHED', 'STANDING', 'LEAVING')")
        cursor.fetchall()
    hosting.observe(handles)
handles = list(Placement.objects.values_list("handle", flat=True))
found = {"turn": median(keeper.turn), "bare": median(bare)}
with CaptureQueriesContext(connection) as captured:
    keeper.turn()
found["queries"] = len(captured)
scale(0)
while Placement.objects.exclude(status="GONE").exists():
    keeper.turn()
hosting.leave()
print(json.dumps(found))
"""
_GONE: Final = """
import sys
from django.utils import timezone
from clusters.models import Cluster, Container
cluster, now = Cluster.objects.get(), timezone.now()
rows = [Container(cluster=cluster, owner_id=cluster.owner_id, customer_id=cluster.customer_id, name=f"old-{n}",
                  routing_key=f"k{n}", machine_type="xsmall", location="eu_central", desired="DELETED",
                  status="DELETED", image_version_id=cluster.image_version_id, archived_at=now)
        for n in range(int(sys.argv[1]))]
Container.objects.bulk_create(rows, batch_size=5000)
from django.db import connection
connection.cursor().execute("ANALYZE")
"""


def containers(url: str) -> list[Line]:
    return [_looking(), *_serving()]


def _looking() -> Line:
    rig = Rig(**_OWN)
    try:
        rig.python(_MAKE, json.dumps(["/bin/sleep", "100000"]))
        found = json.loads(rig.python(_LOOK, str(MANY)).splitlines()[-1])
    finally:
        rig.stop()
    ratio = found["turn"] / found["bare"]
    note = f"{found['queries']} statements; {ratio:.1f} times reading the rows and asking the place"
    return Line(f"a look at {MANY} containers with nothing to do, s of CPU", found["turn"], 1.0, 0.3, note)


def _serving() -> list[Line]:
    rig = Rig(WEB_WORKERS="2", **_OWN)
    try:
        base = rig.deployment.start_web(WEB_WORKERS="2")
        cluster = rig.python(_MAKE, json.dumps([sys.executable, "-I", SERVER])).strip()
        rig.deployment.start_manage("work")
        caller = _Caller(base, rig.token)
        _run_one(caller, cluster)  # all is up
        took = sorted(_run_one(caller, cluster) for _ in range(ONE_BY_ONE))
        p95, limit = took[int(len(took) * 0.95)], _bare_start()
        note = f"p50 {statistics.median(took):.2f} s; {p95 / limit:.1f} times its start by hand ({limit:.2f} s)"
        running = Line("POST /v6/containers/ to RUNNING, p95 in s", p95, 2.0, 1.0, note)
        few = caller.p95("/v6/containers/?page_size=100")
        rig.python(_GONE, str(ARCHIVED))
        many = caller.p95("/v6/containers/?page_size=100")
        beside = f"{many / few:.2f} of the same without them ({few:.1f} ms)"
        listing = Line(f"GET /v6/containers/ beside {ARCHIVED} archived ones, p95 in ms", many, 40, 20, beside)
        old = f"/api/v1/jellyfish?cluster_uuid_hex={cluster}"
        fishjam = caller.p95(old)
        told = f"{ONE_BY_ONE + 1} containers; no pages in this contract"
        return [running, listing, Line("GET /api/v1/jellyfish beside them, p95 in ms", fishjam, 40, 20, told)]
    finally:
        rig.stop()


def _run_one(caller: _Caller, cluster: str) -> float:
    """Seconds from asking for one to its running."""
    begun = time.perf_counter()
    made = caller.call("POST", "/v6/containers/", {"cluster": cluster})
    while caller.call("GET", f"/v6/containers/{made['id']}/")["status"] != "RUNNING":
        assert time.perf_counter() - begun < 60, caller.call("GET", f"/v6/containers/{made['id']}/explain/")
        time.sleep(0.02)
    return time.perf_counter() - begun


def _bare_start() -> float:
    """Seconds from starting the same server by hand to its first answer, the median of some."""
    found = []
    for _ in range(9):
        port = free_port()
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-I", SERVER],
            env={"PORT_5002": str(port), "FJ_SERVER_API_TOKEN": "a"},
            stdout=subprocess.DEVNULL,
        )
        try:
            while not _answers(port):
                assert time.perf_counter() - begun < 30
                time.sleep(0.005)
            found.append(time.perf_counter() - begun)
        finally:
            process.terminate()
            process.wait()
    return statistics.median(found)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except OSError:
        return False


class _Caller:
    """A client with one connection."""

    def __init__(self, base: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        response = self._connection.getresponse()
        content = response.read()
        assert response.status < 300, (response.status, content)
        return json.loads(content)

    def p95(self, path: str) -> float:
        """Milliseconds of a GET."""
        took = []
        for _ in range(LISTS):
            begun = time.perf_counter()
            self.call("GET", path)
            took.append((time.perf_counter() - begun) * 1000)
        return sorted(took)[int(LISTS * 0.95)]
