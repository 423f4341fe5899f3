"""Azure Batch on loopback: a program that speaks its REST interface over HTTPS, and is strict about it.

Prints its port once it listens. What a test wants of it beyond the interface goes to /_control.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tests.clusters.azure import batch_rest as rest
from tests.clusters.azure.batch_account import Account, ItemFault, Row
from tests.clusters.azure.batch_rest import Credentials, Refusal
from tests.clusters.gate import Gate

_BOTH = ("id", "displayName", "url", "eTag", "lastModified", "creationTime", "state", "stateTransitionTime")
_BEFORE = ("previousState", "previousStateTransitionTime", "executionInfo")
JOB_MEMBERS: Final = (*_BOTH, *_BEFORE, "priority", "poolInfo", "onAllTasksComplete", "onTaskFailure", "metadata")
TASK_MEMBERS: Final = (
    *(*_BOTH, *_BEFORE),
    *("commandLine", "containerSettings", "environmentSettings", "constraints", "requiredSlots", "nodeInfo"),
)
LISTED: Final = ("$filter", "$select", "maxresults", "$skiptoken")


@dataclass
class Fault:
    """What goes wrong with requests whose "METHOD path" matches, that many times."""

    match: str
    status: int = 0  # 0: nothing but the delay, or the drop
    code: str = "InternalError"
    message: str = "The server encountered an internal error. Please retry the request."
    times: int = 1
    retry_after: str = ""
    delay: float = 0.0
    drop: bool = False  # do it, and then say nothing
    raw: str = ""  # the answer's text, in place of the service's error
    hold: str = ""  # the "request", or the "answer" to what was done, is held until a test opens the gate


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Service:
    """The routes, and what tests ask for."""

    def __init__(self, account: Account, credentials: Credentials) -> None:
        self.account, self.credentials = account, credentials
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.gate = Gate()
        job, task = r"/jobs/([^/]+)", r"/jobs/([^/]+)/tasks/([^/]+)"
        self.routes: list[tuple[str, str, tuple[str, ...], Callable[..., Answer]]] = [
            ("POST", "/pools", (), self._add_pool),
            ("GET", "/pools/([^/]+)", ("$select", "$expand"), self._pool),
            ("GET", "/nodecounts", ("$filter", "maxresults", "$skiptoken"), self._node_counts),
            ("POST", "/jobs", (), self._add_job),
            ("GET", "/jobs", LISTED, self._jobs),
            ("GET", job, ("$select", "$expand"), self._job),
            ("PATCH", job, (), self._update_job),
            ("DELETE", job, ("force",), self._delete_job),
            ("POST", f"{job}/terminate", ("force",), self._terminate_job),
            ("GET", f"{job}/taskcounts", (), self._counts),
            ("POST", f"{job}/addtaskcollection", (), self._add_tasks),
            ("GET", f"{job}/tasks", LISTED, self._tasks),
            ("GET", task, ("$select", "$expand"), self._task),
            ("DELETE", task, (), self._delete_task),
            ("POST", f"{task}/terminate", (), self._terminate_task),
            ("GET", f"{task}/files/(.+)", (), self._file),
        ]

    def answer(self, request: Request) -> Answer:
        """Raises a Refusal."""
        self.seen.append(f"{request.method} {request.path}")
        if len(request.address) > rest.ADDRESS_BYTES:
            raise Refusal(400, "RequestUrlFailedToParse", "The url in the request could not be parsed.")
        rest.check_headers(request.method, request.path, request.query, request.headers, request.body, self.credentials)
        others = False
        for method, pattern, allowed, do in self.routes:
            if match := re.fullmatch(pattern, request.path):
                others = True
                if method == request.method:
                    rest.check_query(request.query, allowed)
                    with self.account.lock:
                        return do(request, *(unquote(part) for part in match.groups()))
        if others:
            raise Refusal(405, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb.")
        raise Refusal(400, "InvalidUri", "The requested URI does not represent any resource on the server.")

    # Pools

    def _add_pool(self, request: Request) -> Answer:
        self.account.add_pool(request.json())
        return Answer(201)

    def _pool(self, request: Request, name: str) -> Answer:
        return Answer(200, self.account.pool_row(name))

    def _node_counts(self, request: Request) -> Answer:
        return self._listed(request, self.account.node_counts(), rest.COUNT_FILTERS, ("poolId",))

    # Jobs

    def _add_job(self, request: Request) -> Answer:
        self.account.add_job(request.json())
        return Answer(201)

    def _jobs(self, request: Request) -> Answer:
        rows = [job.row for job in self.account.jobs.values()]
        return self._listed(request, rows, rest.JOB_FILTERS, JOB_MEMBERS)

    def _job(self, request: Request, name: str) -> Answer:
        return Answer(200, rest.selected(self.account.job(name).row, request.query, JOB_MEMBERS))

    def _update_job(self, request: Request, name: str) -> Answer:
        self.account.update_job(name, request.json())
        return Answer(200)

    def _delete_job(self, request: Request, name: str) -> Answer:
        self.account.delete_job(name)
        return Answer(202)

    def _terminate_job(self, request: Request, name: str) -> Answer:
        self.account.terminate_job(name)
        return Answer(202)

    def _counts(self, request: Request, name: str) -> Answer:
        return Answer(200, self.account.counts(name))

    # Tasks

    def _add_tasks(self, request: Request, job: str) -> Answer:
        return Answer(200, {"value": self.account.add_tasks(job, request.json())})

    def _tasks(self, request: Request, job: str) -> Answer:
        rows = [task.row for task in self.account.job(job).tasks.values()]
        return self._listed(request, rows, rest.TASK_FILTERS, TASK_MEMBERS)

    def _task(self, request: Request, job: str, name: str) -> Answer:
        return Answer(200, rest.selected(self.account.task(job, name).row, request.query, TASK_MEMBERS))

    def _delete_task(self, request: Request, job: str, name: str) -> Answer:
        self.account.delete_task(job, name)
        return Answer(200)

    def _terminate_task(self, request: Request, job: str, name: str) -> Answer:
        self.account.terminate_task(job, name)
        return Answer(204)

    def _file(self, request: Request, job: str, name: str, path: str) -> Answer:
        content = self.account.file(job, name, path).read_bytes()
        if "ocp-range" in request.headers:
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers["ocp-range"])
            if match is None:
                raise Refusal(400, "InvalidHeaderValue", "The value of ocp-range is not in the correct format.")
            first, last = int(match[1]), int(match[2] or len(content))
            if first >= len(content):
                raise Refusal(416, "InvalidRange", "The range specified is invalid for the current size.")
            content = content[first : last + 1]
        return Answer(200, content, (("ocp-batch-file-isdirectory", "False"),))

    def _listed(self, request: Request, rows: list[Row], filters: rest.Filters, members: tuple[str, ...]) -> Answer:
        """A page of those that the filter lets through, and the address of the next."""
        query = request.query
        wanted = rest.condition(query, filters)
        found = [row for row in rows if wanted(row)]
        start = int(query.get("$skiptoken", "0"))
        count = min(int(query.get("maxresults", "1000")), self.account.page_rows)
        page = found[start : start + count]
        body: Row = {"value": [rest.selected(row, query, members) for row in page]}
        if start + count < len(found):
            follows = urlencode({**query, "$skiptoken": str(start + count)})
            body["odata.nextLink"] = f"{self.account.url}{request.path}?{follows}"
        return Answer(200, body)

    # What tests want

    def control(self, said: Row) -> Any:
        account, do = self.account, said.pop("do")
        with account.lock:
            if do == "reset":
                self.faults.clear()
                self.seen.clear()
                account.reset()
            elif do == "fault":
                self.faults.append(Fault(**said))
            elif do == "item_fault":
                account.item_faults.append(ItemFault(**said))
            elif do == "limits":  # page_rows, job_quota, pool_quota
                for name, value in said.items():
                    setattr(account, name, value)
            elif do == "pool":
                account.add_pool(said["row"])
            elif do == "set_pool":
                account.pool(said["pool"]).row.update(said["members"])
            elif do == "set_job":
                account.job(said["job"]).row.update(said["members"])
            elif do == "set_task":
                account.task(said["job"], said["task"]).row.update(said["members"])
            elif do == "take_nodes":
                account.take_nodes(said["pool"])
            elif do == "let_go":
                self.gate.open()
            elif do == "look":
                jobs = {job.row["id"]: job.row | {"tasks": sorted(job.tasks)} for job in account.jobs.values()}
                held, pools = self.gate.held(), sorted(account.pools)
                return {"seen": self.seen, "held": held, "starts": account.starts, "jobs": jobs, "pools": pools}
            else:
                raise ValueError(do)
        return {}

    def fault_for(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.match, f"{request.method} {request.path}"):
                fault.times -= 1
                return fault
        return None


class Request:
    """What came in; names of headers are small."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method, self.address = handler.command, handler.path
        parts = urlsplit(handler.path)
        self.path = parts.path
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = handler.rfile.read(int(self.headers.get("content-length", "0")))

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refusal(400, "InvalidRequestBody", "The specified Request Body is not syntactically valid.") from None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and content are two writes
    service: Service  # set below

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        request = Request(self)
        if request.path == "/_control":
            self._send(Answer(200, self.service.control(request.json())), request)
            return
        fault = self.service.fault_for(request)
        if fault is not None:
            time.sleep(fault.delay)
        if fault is not None and fault.hold == "request":
            self.service.gate.wait()
        try:
            if fault is not None and fault.status:
                after = {"Retry-After": fault.retry_after} if fault.retry_after else {}
                self.service.seen.append(f"{request.method} {request.path}")
                raise Refusal(fault.status, fault.code, fault.message, after)
            answer = self.service.answer(request)
        except Refusal as refusal:
            said = fault.raw.encode() if fault is not None and fault.raw else refusal.body()
            answer = Answer(refusal.status, said, tuple(refusal.headers.items()))
        if fault is not None and fault.drop:
            self.close_connection = True
            return
        if fault is not None and fault.hold == "answer":
            self.service.gate.wait()
        self._send(answer, request)

    def _send(self, answer: Answer, request: Request) -> None:
        is_raw = isinstance(answer.body, bytes)
        body = answer.body if is_raw else b"" if answer.body is None else json.dumps(answer.body).encode()
        kind = ("text/html" if answer.status >= 400 else "application/octet-stream") if is_raw else rest.CONTENT_TYPE
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if "client-request-id" in request.headers and request.headers.get("return-client-request-id") == "true":
            self.send_header("client-request-id", request.headers["client-request-id"])
        self.send_header("request-id", "00000000-0000-0000-0000-000000000000")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # callers hang up; what fails in here answers nothing, and the test tells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("certificate", "key", "account", "account-key", "token"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--engine", default="", help="a dockerd's socket; without it nothing runs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    server = Server(("127.0.0.1", 0), Handler)
    # Hands are shaken in the thread of the connection, or else one that says nothing holds up all.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    port = server.server_address[1]
    with tempfile.TemporaryDirectory(prefix="azure-batch-") as folder:
        account = Account(f"https://localhost:{port}", options.engine, Path(folder))
        credentials = Credentials(options.account, options.account_key, frozenset({options.token}))
        Handler.service = Service(account, credentials)
        print(port, flush=True)
        try:
            server.serve_forever()
        finally:
            account.reset()


if __name__ == "__main__":
    main()
