"""The program of tests' AWS: moto behind a door where faults are ordered. `python -m tests.clusters.aws.stand_in PORT`.

With the number of an account after the port, that of all callers, roles are given as their trust policies say.
Its Batch runs containers on the engine that DOCKER_HOST names. Here it is told as well what AWS does and moto does not.
"""

from __future__ import annotations

import io
import json
import random
import socket
import sys
import threading
import time
import types
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from moto.batch import models
from moto.batch.models import Job
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

from tests.clusters.aws import ecs_fleet
from tests.clusters.aws.trust import Trust
from tests.clusters.gate import Gate

FAULTS = "/__faults"
HELD = "/__held"
LOOK_SECONDS = 0.1
Start = Callable[..., Any]


class Door:
    """Moto's application, with faults. Each is a row:

    `action` it is for ("*": any), `times` it is left, its `chance` (1 if not given), and of these: `delay` seconds
    before; `status` and `code` to answer with, `headers` added; `drop`: do what was asked, and then hang up without a
    word; `hold`: the "request", or the "answer" to what was done, is held until a test opens the gate.
    """

    def __init__(self, inner: Callable[[dict[str, Any], Start], Iterable[bytes]]) -> None:
        self.inner = inner
        self.faults: list[dict[str, Any]] = []
        self.seen: dict[str, int] = {}
        self.lock = threading.Lock()
        self.gate = Gate()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == FAULTS:
            return self.order(environ, start)
        if environ["PATH_INFO"] == HELD:
            return self.look_at_gate(environ, start)
        fault = self.due(action_of(environ))
        time.sleep(fault.get("delay", 0))
        if fault.get("drop"):
            b"".join(self.inner(environ, lambda *answer: None))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("dropped, as a test ordered")
        if "status" in fault:
            return refuse(environ, start, fault)
        if fault.get("hold") == "request":
            self.gate.wait()
        answer = self.inner(environ, start)
        if fault.get("hold") == "answer":
            answer = list(answer)
            self.gate.wait()
        return answer

    def order(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """POST a list of faults, in place of those before; GET how often each action was asked for."""
        with self.lock:
            if environ["REQUEST_METHOD"] == "POST":
                self.faults, self.seen = json.loads(body_of(environ)), {}
            told = json.dumps(self.seen).encode()
        return say(start, told)

    def look_at_gate(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """POST lets go on what is held; GET how many requests are."""
        if environ["REQUEST_METHOD"] == "POST":
            self.gate.open()
        return say(start, json.dumps(self.gate.held()).encode())

    def due(self, action: str) -> dict[str, Any]:
        with self.lock:
            self.seen[action] = self.seen.get(action, 0) + 1
            for fault in self.faults:
                if fault["action"].lower() not in (action, "*") or fault["times"] <= 0:
                    continue
                if random.random() < fault.get("chance", 1):
                    fault["times"] -= 1
                    return fault
        return {}


def say(start: Start, told: bytes) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(told)))])
    return [told]


def body_of(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def action_of(environ: dict[str, Any]) -> str:
    """In small letters: AWS's protocols name it in three ways."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2].lower()
    if environ["PATH_INFO"].startswith("/v1/"):
        return str(environ["PATH_INFO"].split("/")[2]).lower()
    return action_in(environ)


def action_in(environ: dict[str, Any]) -> str:
    """Of EC2 the action stands in the body, which is put back."""
    body = body_of(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    return "".join(urllib.parse.parse_qs(body.decode(errors="replace")).get("Action", [])).lower()


def refuse(environ: dict[str, Any], start: Start, fault: dict[str, Any]) -> Iterable[bytes]:
    body_of(environ)
    code = fault.get("code", "")
    told = json.dumps({"__type": code, "message": f"{code}, as a test ordered"}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(told)), "x-amzn-ErrorType": code}
    start(f"{fault['status']} Fault", list({**headers, **fault.get("headers", {})}.items()))
    return [told]


def tell_exit_codes() -> None:
    """DescribeJobs has them in AWS; moto knows them, and keeps them to ListJobs."""
    known = Job._container_details

    def details(self: Job) -> dict[str, Any]:
        found = known(self)
        if self.job_stopped and self.exit_code is not None:
            found["exitCode"] = self.exit_code
        return found

    Job._container_details = details  # type: ignore[method-assign]


def terminate_children() -> None:
    """AWS does, when an array is told; moto marks the array alone."""
    terminate = Job.terminate

    def whole(self: Job, reason: str) -> None:
        terminate(self, reason)
        for child in self._child_jobs or []:
            if not child.job_stopped:
                terminate(child, reason)

    Job.terminate = whole  # type: ignore[method-assign]


def look_often() -> None:
    """Moto looks at its containers twice a second, which most of our tests would be waiting for."""
    ours = types.ModuleType("time")
    vars(ours).update(vars(time), sleep=lambda seconds: time.sleep(min(seconds, LOOK_SECONDS)))
    models.time = ours  # type: ignore[attr-defined]


def main(port: int, caller: str = "") -> None:
    tell_exit_codes()
    terminate_children()
    look_often()
    ecs_fleet.install()
    inner = DomainDispatcherApplication(create_backend_app)
    inner.debug = True  # type: ignore[attr-defined]
    door = Door(Trust(inner, caller) if caller else inner)
    run_simple("127.0.0.1", port, door, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
