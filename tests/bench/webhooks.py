"""Webhooks: how many deliveries a second reach receivers while one in ten of these hangs."""

from __future__ import annotations

import threading
import time
from typing import Final
from urllib.parse import urlsplit

import urllib3

from tests.bench.line import Line
from tests.bench.rig import Rig
from tests.webhook_receiver import Running, running

HOOKS: Final = 40
HANGING: Final = HOOKS // 10
EVENTS: Final = 150
TOTAL: Final = (HOOKS - HANGING) * EVENTS
THREADS: Final = 32
_MAKE: Final = """
import sys
from accounts.fan_out import fan_out
from accounts.models import Webhook
from accounts.queries import find_user
from controlplane.core.encryption import encrypt
url, hooks, hanging = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fan_out()  # from here on
secrets = encrypt({"signing": "whsec_c2VjcmV0"})
owner = find_user("bench")
for n in range(hooks):
    path = f"/hang/{n}" if n < hanging else f"/{n}"
    Webhook.objects.create(owner=owner, name=path, url=url + path, secrets=secrets, kinds=["job.moved"])
"""
_HAPPEN: Final = """
import sys
from accounts import events
said = (None, None, {"status": "QUEUED"}, {"status": "STARTING"})
events.record([("job.moved", "job", n, *said) for n in range(int(sys.argv[1]))])
"""


def webhooks(url: str) -> list[Line]:
    rig = Rig(CALLABLE_NETWORKS="127.0.0.0/8", WEBHOOK_THREADS=str(THREADS))
    try:
        with running() as receiver:
            rig.deployment.start_manage("work")
            rig.python(_MAKE, receiver.url, str(HOOKS), str(HANGING))
            _send(rig, receiver, 1)  # all is up, and who answers is known
            ours = _send(rig, receiver, EVENTS)
        with running() as receiver:
            limit = _bare(receiver)
        note = f"{ours / limit:.2f} of bare urllib3 with {THREADS} threads ({limit:.0f}/s); {HANGING} of {HOOKS} hang"
        return [Line("webhook deliveries per second, from event to receiver", ours, 500, 1000, note, more=True)]
    finally:
        rig.stop()


def _send(rig: Rig, receiver: Running, events: int) -> float:
    """Deliveries a second, from when the events are committed to when the last is taken."""
    before = len(receiver.taken())
    wanted = before + (HOOKS - HANGING) * events
    rig.python(_HAPPEN, str(events))
    begun = time.time()
    deadline = time.monotonic() + 300
    while len(receiver.taken()) < wanted:
        assert time.monotonic() < deadline, f"{len(receiver.taken()) - before} were taken\n{rig.deployment.logs()}"
        time.sleep(0.25)
    return (wanted - before) / (receiver.taken()[wanted - 1][2] - begun)


def _bare(receiver: Running) -> float:
    """As many POSTs by urllib3 alone, a connection for each as webhooks have it."""
    body = b'{"type":"job.moved","timestamp":"2026-01-02T03:04:05Z","data":{}}' + b" " * 200
    host = urlsplit(receiver.url)

    def post() -> None:
        for n in range(TOTAL // THREADS):
            connection = urllib3.connection.HTTPConnection(str(host.hostname), host.port)
            connection.request("POST", f"/{n}", body, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 204
            connection.close()

    threads = [threading.Thread(target=post) for _ in range(THREADS)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return TOTAL // THREADS * THREADS / (time.perf_counter() - begun)
