"""An AWS that answers what a test tells it to, over HTTP, and only what AWS could: both sides are held against boto's
own model of the service.
"""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from tests.clusters.aws import ec2_protocol, query_protocol, s3_protocol

# Services of AWS's JSON protocol, by what their requests are headed with.
TARGETS = {"Logs_20140328": "logs", "AmazonEC2ContainerServiceV20141113": "ecs", "AmazonSSM": "ssm"}


@dataclass(frozen=True)
class Fault:
    """An answer that is an error; `status` 0: none at all, the connection is closed. `page`: not from AWS at all."""

    status: int
    code: str = ""
    message: str = "as a test ordered"
    headers: dict[str, str] = field(default_factory=dict)
    page: str = ""


Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any] | Fault]


@dataclass(frozen=True)
class Call:
    """What was asked, and by whom: the access key, and the token of a session."""

    action: str
    body: dict[str, Any]
    key: str
    token: str


class Script:
    """Answers by action: each once, in their order, the last of them for ever."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.calls: list[Call] = []
        self.answers: dict[str, list[Answer | Fault]] = {}
        self.wrong: list[str] = []
        self.lock = threading.Lock()

    def say(self, action: str, *answers: Answer | Fault) -> None:
        self.answers[action] = list(answers)

    def asked(self, action: str) -> list[dict[str, Any]]:
        return [call.body for call in self.calls if call.action == action]

    def answer(self, service: str, call: Call) -> dict[str, Any] | Fault:
        operation = model(service).operation_model(call.action)
        with self.lock:
            self.calls.append(call)
            if service != "sts":  # whose numbers are text on the wire
                self.check(f"{call.action} asked", operation.input_shape, call.body)
            rows = self.answers.get(call.action, [])
            if not rows:
                self.wrong.append(f"{call.action} was not expected")
                return Fault(400, "Unexpected")
            found = rows.pop(0) if len(rows) > 1 else rows[0]
        told = found(call.body) if callable(found) else found
        if isinstance(told, Fault):
            return told
        self.check(f"{call.action} answered", operation.output_shape, told)
        return told

    def check(self, what: str, shape: Any, value: dict[str, Any]) -> None:
        if shape is None:  # there is no answer but that it was done
            assert not value, what
            return
        report = ParamValidator().validate(value, shape)
        if report.has_errors():
            self.wrong.append(f"{what}: {report.generate_report()}")


@cache
def model(service: str) -> Any:
    return botocore.session.Session().get_service_model(service)


@cache
def batch_actions() -> dict[str, str]:
    operations = (model("batch").operation_model(name) for name in model("batch").operation_names)
    return {one.http["requestUri"]: one.name for one in operations}


@contextlib.contextmanager
def running() -> Iterator[Script]:
    """A script that is played, until the block ends; it is an error when anything was not as in AWS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    script = Script(f"http://127.0.0.1:{server.server_port}")
    server.script = script  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not script.wrong, "\n".join(script.wrong)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and content are two writes

    def do_POST(self) -> None:
        self.do()

    def do_GET(self) -> None:
        self.do()

    def do_PUT(self) -> None:
        self.do()

    def do(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        key = self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        service, action, body = self.understood(text)
        call = Call(action, body, key, self.headers.get("X-Amz-Security-Token", ""))
        found = self.server.script.answer(service, call)  # type: ignore[attr-defined]
        if isinstance(found, Fault):
            self.refuse(service, found)
        elif action == "AssumeRole":
            self.send(200, _assumed(found), {"Content-Type": "text/xml"})
        elif service in ("sts", "iam"):
            told = query_protocol.answered(service, action, found)
            self.send(200, told, {"Content-Type": "text/xml"})
        elif service == "s3":
            self.send(200, s3_protocol.answered(action, found), {"Content-Type": "application/xml"})
        elif service == "ec2":
            told = ec2_protocol.answered(action, found)
            self.send(200, told, {"Content-Type": "text/xml"})
        else:
            self.send(200, json.dumps(found, default=datetime.timestamp), {"Content-Type": "application/json"})

    def understood(self, text: str) -> tuple[str, str, dict[str, Any]]:
        """The service, the action and what it is given, of any of AWS's protocols."""
        if self.command != "POST":
            return "s3", *s3_protocol.understood(self.command, self.path)
        if target := self.headers.get("X-Amz-Target"):
            protocol, _, action = target.rpartition(".")
            return TARGETS[protocol], action, json.loads(text)
        if self.path.startswith("/v1/"):
            return "batch", batch_actions()[self.path], json.loads(text)
        given = dict(urllib.parse.parse_qsl(text))
        if given["Version"] == ec2_protocol.VERSION:
            return "ec2", given["Action"], ec2_protocol.asked(given["Action"], text)
        if given["Version"] == query_protocol.IAM_VERSION:
            return "iam", given["Action"], query_protocol.asked("iam", given["Action"], text)
        return "sts", given.pop("Action"), given

    def refuse(self, service: str, fault: Fault) -> None:
        if not fault.status:
            self.close_connection = True
            return
        if fault.page:
            self.send(fault.status, fault.page, {"Content-Type": "text/html"})
            return
        if service in ("sts", "iam"):
            error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
            self.send(fault.status, f"<ErrorResponse>{error}</ErrorResponse>", {"Content-Type": "text/xml"})
            return
        if service == "s3":
            told = s3_protocol.refused(fault.code, fault.message)
            self.send(fault.status, told, {"Content-Type": "application/xml"})
            return
        if service == "ec2":
            told = ec2_protocol.refused(fault.code, fault.message)
            self.send(fault.status, told, {"Content-Type": "text/xml"})
            return
        told = json.dumps({"__type": fault.code, "message": fault.message})
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": fault.code, **fault.headers}
        self.send(fault.status, told, headers)

    def send(self, status: int, text: str, headers: dict[str, str]) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        with contextlib.suppress(ConnectionError):  # who waited no longer
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def _assumed(answer: dict[str, Any]) -> str:
    members = "".join(f"<{name}>{value}</{name}>" for name, value in answer["Credentials"].items())
    result = f"<AssumeRoleResult><Credentials>{members}</Credentials></AssumeRoleResult>"
    return f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</AssumeRoleResponse>'
