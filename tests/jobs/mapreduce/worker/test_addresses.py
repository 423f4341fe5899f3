"""Tasks that come, read and write by signed addresses alone: real processes, and S3 over HTTP (moto)."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.storage import Storage, open_storage
from jobs.mapreduce.worker import addresses
from jobs.mapreduce.worker.errors import TaskFailed
from jobs.mapreduce.worker.objects import local_file, put
from jobs.mapreduce.worker.task import Place, Store
from tests.jobs.mapreduce.worker import programs
from tests.jobs.mapreduce.worker.driver import PYTHON, WORKER
from tests.servers import S3Server

pytestmark = pytest.mark.group("mapreduce")

TEXT = b"the cat\nthe dog\r\nand the bird and the cat\n" * 50
SECRET = ("X-Amz", "Signature", "secret")


def script(code: str) -> bytes:
    return f"#!{sys.executable}\n{code}".encode()


@pytest.fixture
def storage(s3_server: S3Server) -> Storage:
    made = open_storage(s3_server.configuration(s3_server.make_bucket()), allowed_endpoints=[s3_server.endpoint])
    made.put("in", [TEXT])
    made.put("mapper", [script(programs.MAPPER)])
    made.put("reducer", [script(programs.REDUCER)])
    return made


def read(storage: Storage, path: str) -> bytes:
    return b"".join(storage.get(path))


def source(storage: Storage, path: str) -> dict[str, Any]:
    return {"url": storage.url(path, 600)}


def target(storage: Storage, path: str) -> dict[str, Any]:
    address = storage.upload_url(path, 600)
    assert address is not None
    return {"url": address.url, "headers": dict(address.headers)}


def start(
    storage: Storage, folder: Path, document: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    storage.put("task", [json.dumps(document).encode()])
    url = storage.url("task", 600)
    assert url is not None
    own = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "MAPREDUCE_TASK_URL": url, **(env or {})}
    return subprocess.run([*PYTHON, WORKER], env=own, capture_output=True, text=True, timeout=120)


def run(storage: Storage, folder: Path, document: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Any:
    """The result that the worker has put; it and the process agree, and neither tells an address."""
    done = start(storage, folder, document, env)
    text = read(storage, "result")
    result = json.loads(text)
    assert done.returncode == (0 if result["done"] else 1), done.stderr
    for said in (text.decode(), done.stdout, done.stderr):
        assert not any(secret in said for secret in SECRET)
    assert list(folder.iterdir()) == [], "something was left on the disk"
    return result


def map_task(storage: Storage, index: int = 0, **members: Any) -> dict[str, Any]:
    program = {"place": source(storage, "mapper"), "arguments": []}
    task = {"version": 1, "id": f"job-m-{index}", "stage": "map", "index": index, "protocol": "streaming"}
    given = [{**source(storage, "in"), "size": len(TEXT)}]
    places = {"output": target(storage, f"pairs/{index}"), "result": target(storage, "result"), "input": given}
    return {**task, "program": program, "partitions": 3, **places, **members}


def reduce_task(storage: Storage, index: int, given: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    program = {"place": source(storage, "reducer"), "arguments": []}
    task = {"version": 1, "id": f"job-r-{index}", "stage": "reduce", "index": index, "protocol": "streaming"}
    places = {"output": target(storage, f"out/{index}"), "result": target(storage, "result"), "input": given}
    return {**task, "program": program, "partitions": 3, **places, **members}


def test_a_job_of_addresses_counts_words(storage: Storage, tmp_path: Path) -> None:
    combiner = {"place": source(storage, "reducer"), "arguments": []}
    half = len(TEXT) // 2
    given: list[dict[str, Any]] = []
    for index, (begin, end) in enumerate([(0, half), (half, len(TEXT))]):
        split = {**source(storage, "in"), "start": begin, "end": end, "size": len(TEXT)}
        more = {"combiner": combiner} if index else {}
        result = run(storage, tmp_path, map_task(storage, index, input=[split], **more))
        assert result["outputs"][0]["start"] == 0
        assert sum(each["size"] for each in result["outputs"]) == len(read(storage, f"pairs/{index}"))
        given += [{**each, **source(storage, f"pairs/{index}")} for each in result["outputs"]]
    lines = []
    for index in range(3):
        parts = [each for each in given if each["partition"] == index]
        run(storage, tmp_path, reduce_task(storage, index, parts))
        lines += read(storage, f"out/{index}").decode().splitlines()
    assert {word: int(n) for word, n in (line.split("\t") for line in lines)} == Counter(TEXT.decode().split())


@pytest.mark.needs("compiler")
def test_programs_of_apollo_run_as_well(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name, program in zip(("mapper", "reducer"), programs.compiled(tmp_path_factory.mktemp("made")), strict=True):
        storage.put(name, [Path(program).read_bytes()])
    storage.put("in", [b"the cat the dog\nthe end\n"])
    with tempfile.TemporaryDirectory(prefix="mr-") as sockets:  # short, as a socket's name has to be
        folder = tmp_path_factory.mktemp("work")
        more: dict[str, Any] = {"protocol": "apollo", "sockets": sockets}
        given = [{**source(storage, "in"), "size": 24}]
        mapped = run(storage, folder, map_task(storage, input=given, **more), {"SOCKETS": sockets})
        pairs: dict[str, int] = {}
        for part in mapped["outputs"]:
            task = reduce_task(storage, part["partition"], [{**part, **source(storage, "pairs/0")}], **more)
            run(storage, folder, task, {"SOCKETS": sockets})
            found = json.loads(read(storage, f"out/{part['partition']}"))
            pairs |= {pair["key"]: pair["value"] for pair in found["pairs"]}
    assert pairs == {"the": 3, "cat": 1, "dog": 1, "end": 1}


def test_a_map_task_without_records_leaves_no_object(storage: Storage, tmp_path: Path) -> None:
    storage.put("mapper", [script("import sys; sys.stdin.read()")])
    result = run(storage, tmp_path, map_task(storage))
    assert (result["done"], result["outputs"]) == (True, [])
    assert "pairs/0" not in dict(storage.walk())


def test_programs_see_no_address_and_no_way_to_credentials(storage: Storage, tmp_path: Path) -> None:
    # Its parent is the worker; /proc has what that was started with.
    code = (
        "import os, sys; sys.stdin.read()\n"
        "mine = dict(os.environ)\n"
        "its = open(f'/proc/{os.getppid()}/environ').read() + open(f'/proc/{os.getppid()}/cmdline').read()\n"
        "print(repr((mine, its)).replace(chr(9), ' '), file=sys.stderr)\n"
        "sys.exit(5)\n"
    )
    storage.put("mapper", [script(code)])
    env = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", "AZ_BATCH_ACCOUNT_URL": "x", "LANGUAGE": "of mine"}
    result = run(storage, tmp_path, map_task(storage), env)
    said = result["error"]["stderr"]
    assert not any(name in said.partition("}")[0] for name in ("TASK_URL", "AWS_", "AZ_BATCH_"))
    assert "mapreduce_map_input_file" in said
    assert "of mine" in said.partition("}")[0]


def test_who_is_no_administrator_may_not_read_the_workers_memory(storage: Storage, tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.stdin.read()\n"
        "if os.getuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    open(f'/proc/{os.getppid()}/mem', 'rb')\n"
        "except PermissionError:\n    sys.exit(7)\n"
    )
    storage.put("mapper", [script(code)])
    assert run(storage, tmp_path, map_task(storage))["error"]["exit_code"] == 7


def test_a_failing_program_is_told_with_its_words_and_leaves_no_output(storage: Storage, tmp_path: Path) -> None:
    storage.put("reducer", [script("import sys; print('half'); print('no idea', file=sys.stderr); sys.exit(3)")])
    mapped = run(storage, tmp_path, map_task(storage))
    part = mapped["outputs"][0]
    given = [{**part, **source(storage, "pairs/0")}]
    result = run(storage, tmp_path, reduce_task(storage, part["partition"], given))
    assert (result["error"]["code"], result["error"]["stderr"]) == ("PROGRAM_FAILED", "no idea")
    assert f"out/{part['partition']}" not in dict(storage.walk())


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_the_map_task_whose_output_is_harmed_is_named(storage: Storage, tmp_path: Path, harm: str) -> None:
    mapped = run(storage, tmp_path, map_task(storage, 4))
    part = mapped["outputs"][-1]
    given = [{**part, **source(storage, "pairs/4")}]
    if harm == "gone":
        storage.delete("pairs/4")
    else:
        storage.put("pairs/4", [read(storage, "pairs/4")[:-1]])
    error = run(storage, tmp_path, reduce_task(storage, part["partition"], given))["error"]
    assert error["map"] == 4
    assert error["code"] == ("INPUT_REFUSED" if harm == "gone" else "INPUT_UNREADABLE")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"program": {"place": {"url": "http://127.0.0.1:1/x?X-Amz-Signature=secret"}}}, "PROGRAM_UNREADABLE"),
        ({"output": {"url": "http://127.0.0.1:1/x?X-Amz-Signature=secret"}}, "OUTPUT_UNWRITABLE"),
        ({"input": [{"url": "http://127.0.0.1:1/x?X-Amz-Signature=secret", "size": 1}]}, "INPUT_UNREADABLE"),
    ],
)
def test_what_cannot_be_reached_is_told_without_its_signature(
    storage: Storage, tmp_path: Path, members: dict[str, Any], code: str
) -> None:
    assert run(storage, tmp_path, map_task(storage, **members))["error"]["code"] == code


def test_a_document_that_is_not_there_is_told_on_stderr(storage: Storage, tmp_path: Path) -> None:
    url = str(storage.url("no-task", 600))
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "MAPREDUCE_TASK_URL": url}
    done = subprocess.run([*PYTHON, WORKER], env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "no-task cannot be read: " in done.stderr) == (1, True)
    assert not any(secret in done.stderr for secret in SECRET)


@pytest.mark.parametrize("url", ["ftp://h/x", "https://h/a b?secret", "secret", "https://h/\u00e9"])
def test_what_is_no_address_is_not_repeated(tmp_path: Path, url: str) -> None:
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "MAPREDUCE_TASK_URL": url}
    done = subprocess.run([*PYTHON, WORKER], env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "BAD_TASK: MAPREDUCE_TASK_URL is not an http(s) address.\n")


def test_a_result_that_cannot_be_put_is_a_failure(storage: Storage, tmp_path: Path) -> None:
    document = map_task(storage, result={"url": "http://127.0.0.1:1/x?X-Amz-Signature=secret"})
    done = start(storage, tmp_path, document)
    assert done.returncode == 1
    assert "OUTPUT_UNWRITABLE: http://127.0.0.1:1/x cannot be written" in done.stderr
    assert not any(secret in done.stderr for secret in SECRET)


# --- Servers that fail -----------------------------------------------------------------------------


class _Failing(http.server.BaseHTTPRequestHandler):
    """Fails twice before it does what it is asked; /short breaks off; /never refuses."""

    asked: Counter[str] = Counter()
    kept: dict[str, tuple[bytes, str | None]] = {}

    def _answer(self, body: bytes = b"") -> None:
        name = self.path.partition("?")[0]
        self.asked[name] += 1
        status = 403 if name == "/never" else 503 if self.asked[name] < 3 else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-1] if name == "/short" else body)

    def do_GET(self) -> None:
        self._answer(b"content")

    def do_PUT(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.kept[self.path.partition("?")[0]] = (sent, self.headers["Content-Type"])
        self._answer()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(addresses, "PAUSE_SECONDS", 0)
    _Failing.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Failing) as server:
        threading.Thread(target=functools.partial(server.serve_forever, 0.01), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def at(url: str, **headers: str) -> Place:
    return Place(path=None, url=f"{url}?signature=secret", store=Store(), headers=headers)


def test_a_server_that_fails_is_asked_again(failing: str, tmp_path: Path) -> None:
    assert Path(local_file(at(f"{failing}/get"), None, str(tmp_path), "x")).read_bytes() == b"content"
    put(str(tmp_path / "x"), at(f"{failing}/put", **{"Content-Type": "text/csv"}), durable=False)
    assert _Failing.kept["/put"] == (b"content", "text/csv")
    assert (_Failing.asked["/get"], _Failing.asked["/put"]) == (3, 3)


def test_one_that_refuses_is_asked_once(failing: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    with pytest.raises(TaskFailed, match="/never cannot be read: Forbidden") as reading:
        local_file(at(f"{failing}/never"), None, str(tmp_path), "y")
    with pytest.raises(TaskFailed, match="/never cannot be written: Forbidden") as writing:
        put(str(tmp_path / "x"), at(f"{failing}/never"), durable=False)
    assert (reading.value.code, writing.value.code) == ("INPUT_REFUSED", "OUTPUT_REFUSED")
    assert _Failing.asked["/never"] == 2


def test_an_answer_that_breaks_off_is_no_short_object(failing: str, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="/short cannot be read: it ends after 6 bytes"):
        local_file(at(f"{failing}/short"), None, str(tmp_path), "x")


def test_more_than_an_address_takes_is_refused(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "LARGEST_BYTES", 6)
    (tmp_path / "x").write_bytes(b"content")
    with pytest.raises(TaskFailed, match="it has 7 bytes, and 6 can be written there at once"):
        put(str(tmp_path / "x"), at(f"{failing}/put"), durable=False)
