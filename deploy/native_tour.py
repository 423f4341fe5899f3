"""The native surface's part of `make demo`: bulk submit, a hold and its explanation, bulk work, a followed log."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

JOBS: Final = 200
TALKING: Final = "for n in 1 2 3 4 5; do echo line $n; sleep 0.3; done"


class Caller(Protocol):
    """Calls our own server and gives its answer; the token goes with every call."""

    base: str
    headers: dict[str, str]

    def call(self, method: str, path: str, body: Any = None) -> Any: ...


Check = Callable[[bool, str], None]


def walk(client: Caller, check: Check) -> None:
    """Walk through what people do over /v6/, and print it."""
    print("\nThe same deployment over /v6/:")
    client.call("POST", "/v6/customers/", {"name": "bulk"})
    hold = client.call("POST", "/v6/holds/", {"scope": "customer", "customer": "bulk", "code": "DEMO", "hint": "Wait."})
    half = {True: "first", False: "second"}
    jobs = [
        {"customer": "bulk", "classification": "noop", "command": ["true"], "vcpus": 0.1, "memory_mib": 32,
         "tags": {"half": half[n < JOBS / 2]}}
        for n in range(JOBS)
    ]  # fmt: skip
    made = client.call("POST", "/v6/jobs/", jobs)
    check(len(made) == JOBS, f"{len(made)} jobs were made, not {JOBS}")
    print(f"  POST /v6/jobs/ with {JOBS} jobs of a customer who is held: ids {made[0]['id']} to {made[-1]['id']}")
    _explain(client, made[0]["id"], check)
    _cancel_half(client, check)
    client.call("DELETE", f"/v6/holds/{hold['id']}/")
    completed = "/v6/jobs/?customer=bulk&status=COMPLETED&page_size=1"
    _wait(lambda: client.call("GET", completed)["count"] == JOBS // 2, check)
    print(f"  DELETE /v6/holds/{hold['id']}/: the other {JOBS // 2} jobs have run")
    _follow(client, check)


def _explain(client: Caller, job: int, check: Check) -> None:
    reasons = client.call("GET", f"/v6/jobs/{job}/explain/")["reasons"]
    check([reason["code"] for reason in reasons] == ["DEMO"], f"the held job waits for {reasons}")
    why = reasons[0]
    print(f"  GET /v6/jobs/{job}/explain/: {why['code']} ({why['hint']}) set by {why['set_by']} at {why['since']}")


def _cancel_half(client: Caller, check: Check) -> None:
    """Cancel by filter, and watch the operation."""
    operation = client.call("POST", "/v6/jobs/cancel/", {"customer": "bulk", "tag": "half:second"})
    path = f"/v6/operations/{operation['id']}/"
    seen: list[str] = []

    def ended() -> bool:
        now = client.call("GET", path)
        told = f"{now['status']} {now['done']} of {'?' if now['total'] is None else now['total']}"
        if not seen or seen[-1] != told:
            seen.append(told)
        return now["status"] in ("COMPLETED", "FAILED", "STOPPED")

    _wait(ended, check)
    check(seen[-1] == f"COMPLETED {JOBS // 2} of {JOBS // 2}", f"the operation ended as {seen[-1]}")
    print(f"  POST /v6/jobs/cancel/ of those tagged half:second: {'; '.join(seen)}")


def _follow(client: Caller, check: Check) -> None:
    """Follow a log while it is written."""
    job = {"customer": "demo", "classification": "talking", "command": ["sh", "-c", TALKING], "priority": 1}
    made = client.call("POST", "/v6/jobs/", job)
    path = f"/v6/jobs/{made['id']}/logs/combined/"
    print(f"  GET {path} as server-sent events, while it runs:")
    start, lines = time.monotonic(), 0
    for event, told in _events(client, path):
        if event == "log":
            for line in told["text"].splitlines():
                lines += 1
                print(f"    {time.monotonic() - start:5.2f} s  {line}")
        if event == "end":
            check(told["status"] == "COMPLETED", f"the followed job ended as {told}")
            break
    check(lines == 5, f"{lines} lines were followed, not 5")


def _events(client: Caller, path: str) -> Iterator[tuple[str, Any]]:
    """The events of a stream: their names and what they tell."""
    headers = {**client.headers, "Accept": "text/event-stream"}
    with urllib.request.urlopen(urllib.request.Request(client.base + path, headers=headers), timeout=60) as stream:  # noqa: S310
        event = ""
        for raw in stream:
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield event, json.loads(line.removeprefix("data: "))


def _wait(ready: Callable[[], bool], check: Check) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        check(time.monotonic() < deadline, "it takes longer than a minute")
        time.sleep(0.1)
