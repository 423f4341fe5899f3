"""`make demo`: the main job of this system, on SQLite and the machine it stands on.

It starts a fresh deployment in .data/demo, and works with it over HTTP as any client would: jobs read the
Python standard library of this machine (some thousands of source files), hash it, count its words and lines
and look for its longest functions. Beside them one job fails, one runs past its timeout, one is cancelled
while it runs and one is retried. Then a cluster of media servers is scaled, rolled and healed, a Seed job type is
registered and run on files, a MapReduce job counts words, jobs go to AWS, which moto plays, and all of it is on a
bill. It prints what happened, and exits with 1 if anything is not as it should be.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cloud_tour
import cluster_tour
import mapreduce_tour
import money_tour
import native_tour
import seed_tour

CHECKOUT: Final = Path(__file__).resolve().parent.parent
DATA: Final = CHECKOUT / ".data" / "demo"
STDLIB: Final = Path(os.path.realpath(sysconfig.get_path("stdlib")))
PYTHON: Final = os.path.realpath(sys.executable)
PACKAGES: Final = ("asyncio", "collections", "concurrent", "ctypes", "email", "encodings", "html", "http", "importlib",
                   "json", "logging", "multiprocessing", "sqlite3", "unittest", "urllib", "xml")  # fmt: skip
ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED", "REJECTED")

LONGEST_FUNCTIONS: Final = """
import ast, pathlib, sys
found, files = [], 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")) + sorted(pathlib.Path(sys.argv[1]).glob("[a-s]*/*.py")):
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        continue
    files += 1
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            where = f"{path.parent.name}/{path.name}:{node.lineno} {node.name}"
            found.append((node.end_lineno - node.lineno + 1, where))
print(f"{len(found)} functions in {files} files; the longest:")
for lines, where in sorted(found, reverse=True)[:5]:
    print(f"{lines:5} lines  {where}")
"""


class Failed(Exception):
    """The demo saw something that should not be."""


@dataclass
class Asked:
    """A job that was submitted, and how it should end."""

    name: str
    job_id: str
    status: str = "SUCCEEDED"
    reason: str = ""


class Client:
    """A client of this deployment."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server, on loopback
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={**self.headers, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                content = response.read().decode()
        except urllib.error.HTTPError as error:
            raise Failed(f"{method} {path}: {error.code} {error.read().decode()}") from error
        kind = response.headers["Content-Type"] or ""
        return json.loads(content) if kind.startswith("application/json") else content

    def submit(self, name: str, command: list[str], **fields: Any) -> str:
        resources = fields.pop("resources", {"vcpus": 1, "memory": 0.25})
        job = {
            "customer": "demo",
            "cloud": "local",
            "region": "local",
            "id": name,
            "image": "python:3",
            "command": command,
        }
        answer = self.call("POST", "/submit", {**job, "resources": resources, **fields})
        return str(answer["job_id"])

    def status(self, job_id: str) -> tuple[str, str]:
        answer = self.call("GET", f"/status/{job_id}")
        return answer["status"], answer["reason"]


def main() -> int:
    start = time.monotonic()
    environment = fresh_deployment()
    password = secrets.token_urlsafe(9)
    manage(environment, "migrate", "--verbosity", "0")
    admin = manage(environment, "bootstrap", "--username", "admin", f"--password={password}", "--quiet").strip()
    try:
        port = free_port()
        with (
            cloud_tour.aws(free_port(), DATA) as cloud,
            cluster_tour.prometheus(free_port(), port, DATA) as measuring,
            served({**environment, **cloud, **measuring}, DATA, port) as base,
        ):
            operator = Client(base, admin).call("POST", "/add-user?role=operator", {"user": "demo"})["token"]
            monitor = Client(base, admin).call("POST", "/add-user?role=monitor", {"user": "prometheus"})["token"]
            money_tour.price(Client(base, admin))
            tour(Client(base, operator), environment)
            cluster_tour.walk(Client(base, admin), Client(base, operator), monitor, DATA, check)
            native_tour.walk(Client(base, operator), check)
            seed_tour.walk(Client(base, operator), DATA / "workspaces", check)
            mapreduce_tour.walk(Client(base, operator), STDLIB, DATA / "mapreduce", check)
            cloud_tour.walk(Client(base, operator), cloud, check)
            money_tour.walk(Client(base, admin), functools.partial(manage, environment), check)
    except Failed as error:
        print(f"\nNOT AS IT SHOULD BE: {error}\nThe server's own words are in {DATA / 'serve.log'}.")
        return 1
    print(f"\nAll as it should be, in {time.monotonic() - start:.0f} s. To look around in what the demo left:")
    print("  DATA_DIR=.data/demo make serve")
    print(f"  http://127.0.0.1:8000/admin/jobs/job/   (user admin, password {password})")
    print("  http://127.0.0.1:8000/schema/swagger/   and   http://127.0.0.1:8000/readyz")
    return 0


def fresh_deployment(data: Path = DATA) -> dict[str, str]:
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True, mode=0o700)
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "SECRET_KEY")}
    readable = f"{STDLIB},{sys.base_prefix},{seed_tour.HERE},{cluster_tour.HERE}"
    own = {"DATA_DIR": str(data), "LOCAL_READABLE_PATHS": readable, "MAPREDUCE_FOLDERS": str(data / "mapreduce")}
    return {**kept, "DEBUG": "1", **own}


def manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"manage.py {arguments[0]} failed:\n{done.stderr}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def served(environment: dict[str, str], folder: Path, port: int = 0) -> Iterator[str]:
    """Web and workers of a deployment in `folder`, until the block ends; gives its address."""
    port = port or free_port()
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=CHECKOUT, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        base = f"http://127.0.0.1:{port}"
        wait_until_ready(server, base)
        yield base
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(120)


def wait_until_ready(server: subprocess.Popen[bytes], base: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(base + "/readyz", timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise Failed("the server did not become ready")


def tour(client: Client, environment: dict[str, str]) -> None:
    files = sum(1 for _ in STDLIB.rglob("*.py"))
    print(f"Reading {files} source files of {STDLIB} with jobs submitted to {client.base}\n")
    # One job takes the whole machine until it is cancelled, so that what comes next has to wait.
    vcpus = len(os.sched_getaffinity(0)) if not os.environ.get("LOCAL_VCPUS") else int(os.environ["LOCAL_VCPUS"])
    whole = client.submit(
        "whole-machine", ["sleep", "120"], resources={"vcpus": max(vcpus, os.cpu_count() or 1), "memory": 0.25}
    )
    wait_for(client, whole, "RUNNING")
    asked = [Asked("whole-machine", whole, "CANCELLED", "CANCELED_BY_USER"), *submit_reading(client)]
    waiting = asked[-1]
    explained = explain_while_waiting(client, environment, waiting)
    client.call("GET", f"/cancel/{whole}")
    asked += trouble(client)
    wait_for_all(client, asked)
    failed = next(job for job in asked if job.name == "exit-3")
    retry = Asked("exit-3 (retry)", client.call("GET", f"/retry/{failed.job_id}")["job_id"], "FAILED", "EXIT_3")
    wait_for_all(client, [retry])
    rows = list_rows(client)
    print_table([*asked, retry], rows, client)
    check(rows[retry.job_id]["retry_of"] == failed.job_id, "the retry does not name the job it repeats")
    print(f"\nWhile {waiting.name} waited, `manage.py explain` said:\n{indented(explained)}")
    longest = next(job for job in asked if job.name == "longest-functions")
    log = client.call("GET", f"/logs/{longest.job_id}")
    check("functions in" in log, "the log of longest-functions is not what it printed")
    print(f"\nThe log of {longest.name} (GET /logs/{longest.job_id}):\n{indented(log)}")


def submit_reading(client: Client) -> list[Asked]:
    """The jobs that read: one hash of everything, words and lines per package, the longest functions."""
    everything = f"find {STDLIB} -name '*.py' -not -path '*/site-packages/*' -print0 | sort -z | xargs -0 sha256sum"
    asked = [Asked("hash-all", client.submit("hash-all", ["sh", "-c", f"{everything} | sha256sum"], priority="HIGH"))]
    packages = [name for name in PACKAGES if (STDLIB / name).is_dir()]
    for package in packages:
        count = f"find {STDLIB / package} -name '*.py' -exec cat {{}} + | wc -l -w"
        asked.append(Asked(f"count-{package}", client.submit(f"count-{package}", ["sh", "-c", count])))
    command = [PYTHON, "-I", "-c", LONGEST_FUNCTIONS, str(STDLIB)]
    asked.append(Asked("longest-functions", client.submit("longest-functions", command, timeout=100)))
    return asked


def trouble(client: Client) -> list[Asked]:
    """One job of each kind that does not end well."""
    failing = client.submit("exit-3", ["sh", "-c", "echo going wrong >&2; exit 3"])
    slow = client.submit("past-its-timeout", ["sleep", "60"], timeout=1)
    stopped = client.submit("cancelled-while-running", ["sleep", "60"], priority="HIGH")
    wait_for(client, stopped, "RUNNING")
    client.call("GET", f"/cancel/{stopped}")
    return [
        Asked("exit-3", failing, "FAILED", "EXIT_3"),
        Asked("past-its-timeout", slow, "FAILED", "TIMEOUT"),
        Asked("cancelled-while-running", stopped, "CANCELLED", "CANCELED_BY_USER"),
    ]


def explain_while_waiting(client: Client, environment: dict[str, str], job: Asked) -> str:
    status, reason = client.status(job.job_id)
    check(
        status == "QUEUED" and reason.startswith("NO_ROOM"), f"{job.name} is {status} ({reason}), not waiting for room"
    )
    explained = manage(environment, "explain", job.job_id)
    check("NO_ROOM" in explained, f"explain does not say why {job.name} waits: {explained}")
    return explained


def wait_for(client: Client, job_id: str, wanted: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (seen := client.status(job_id))[0] != wanted:
        check(time.monotonic() < deadline and seen[0] not in ENDED, f"job {job_id} is {seen}, not {wanted}")
        time.sleep(0.05)


def wait_for_all(client: Client, asked: list[Asked]) -> None:
    deadline = time.monotonic() + 110
    for job in asked:
        while (seen := client.status(job.job_id))[0] not in ENDED:
            check(time.monotonic() < deadline, f"{job.name} is still {seen}")
            time.sleep(0.05)
        check(seen == (job.status, job.reason), f"{job.name} ended as {seen}, not as {(job.status, job.reason)}")


def list_rows(client: Client) -> dict[str, dict[str, Any]]:
    window = urllib.parse.urlencode({"customer": "demo", "start_time": 0, "end_time": int(time.time() * 1000) + 1000})
    return {row["id"]: row for row in client.call("GET", f"/list?{window}")["response"]}


def print_table(asked: list[Asked], rows: dict[str, dict[str, Any]], client: Client) -> None:
    print(f"{'job':36}  {'class':24} {'status':10} {'reason':17} {'seconds':>7}  says")
    for job in asked:
        row = rows[job.job_id]
        seconds = (row["finished_at"] - row["started_at"]) / 1000
        says = " ".join(client.call("GET", f"/logs/{job.job_id}").split())[:32]
        told = f"{row['classification_id']:24} {row['status']:10} {job.reason or '-':17} {seconds:7.2f}  {says}"
        print(f"{job.job_id:36}  {told}")


def check(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Failed(otherwise)


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
