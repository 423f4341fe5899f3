"""A wrong task document is refused by the name of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.mapreduce.worker.errors import TaskFailed
from jobs.mapreduce.worker.task import Place, Split, Store, read_task

pytestmark = pytest.mark.group("mapreduce")

MAP: dict[str, Any] = {
    "version": 1,
    "id": "j-m-0",
    "stage": "map",
    "index": 0,
    "protocol": "streaming",
    "program": ["./mapper"],
    "partitions": 2,
    "input": [{"path": "/in", "start": 1, "end": 5, "size": 9}],
    "output": {"path": "/out"},
}
STORE = {"endpoint": "http://127.0.0.1:1", "access_key_env": "A", "secret_key_env": "B"}
REDUCE = MAP | {
    "stage": "reduce",
    "index": 1,
    "input": [{"url": "s3://b/k", "store": "inner", "map": 3, "partition": 1, "size": 7}],
    "stores": {"inner": STORE},
}


def read(document: dict[str, Any]) -> Any:
    return read_task(json.dumps(document).encode())


def test_a_map_task_is_read() -> None:
    task = read(MAP | {"combiner": ["c", "-x"], "limits": {"seconds": 1.5, "line_bytes": 10}})
    place = Place(path="/in", url=None, store=Store())
    assert task.splits == (Split(place=place, start=1, end=5, size=9, gzip=False),)
    assert (task.job, task.program, task.combiner, task.number) == ("-", ("./mapper",), ("c", "-x"), 0)
    assert (task.limits.seconds, task.limits.line_bytes, task.limits.sort_bytes) == (1.5, 10, 64 << 20)
    assert task.sockets == "/tmp"
    assert str(task.output.below("x")) == "/out/x"


def test_a_reduce_task_is_read() -> None:
    task = read(REDUCE)
    assert task.splits == ()
    assert task.map_outputs[0].place.store == Store(**STORE, name="inner", region="us-east-1")
    assert (task.map_outputs[0].map_index, task.map_outputs[0].size) == (3, 7)
    assert {"A", "B", "AWS_SECRET_ACCESS_KEY"} <= task.secret_names


def test_what_lies_at_addresses_is_read() -> None:
    program = {"place": {"url": "https://h/p?s"}, "arguments": ["", "-x"]}
    upload = {"url": "https://h/o", "headers": {"A": "b"}}
    given = [{"url": "https://h/i", "start": 5, "map": 3, "partition": 1, "size": 7}]
    task = read(REDUCE | {"program": program, "output": upload, "result": upload, "input": given})
    assert (task.program, task.to_bring["program"].url) == (("", "", "-x"), "https://h/p?s")
    assert task.output.headers == task.result.headers == {"A": "b"}
    assert task.map_outputs[0].start == 5


def test_a_split_is_the_whole_object_where_nothing_else_is_said() -> None:
    split = read(MAP | {"input": [{"path": "/in", "size": 9, "gzip": True}]}).splits[0]
    assert (split.start, split.end, split.gzip) == (0, 9, True)


def test_an_address_is_shown_without_its_signature() -> None:
    split = read(MAP | {"input": [{"url": "https://h/b/k?X-Amz-Signature=secret", "size": 9}]}).splits[0]
    assert str(split.place) == "https://h/b/k"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"version": 2}, "version must be a whole number from 1 to 1"),
        ({"id": ""}, "id must be a text that is not empty"),
        ({"id": "a/b"}, "id is part of file names"),
        ({"stage": "shuffle"}, "stage must be map or reduce"),
        ({"protocol": None}, "protocol must be apollo or streaming"),
        ({"partitions": 0}, "partitions must be a whole number from 1 to 10000"),
        ({"partitions": True}, "partitions must be a whole number"),
        ({"index": -1}, "index must be a whole number from 0"),
        ({"stage": "reduce", "index": 2}, "index must be a whole number from 0 to 1"),
        ({"program": "mapper"}, "program must be a list"),
        ({"program": []}, "program must be a list"),
        ({"program": ["a", 1]}, "program must hold texts only"),
        ({"combiner": []}, "combiner must be a list"),
        ({"protocol": "apollo", "combiner": ["c"]}, "combiner is not known"),
        ({"input": {}}, "input must be a list"),
        ({"input": ["/in"]}, r"input\[0\] must be an object"),
        ({"input": [{"path": "in", "size": 1}]}, r"input\[0\].path must be absolute"),
        ({"input": [{"path": "/in"}]}, r"input\[0\].size must be a whole number"),
        ({"input": [{"path": "/in", "size": 4, "start": 5}]}, r"input\[0\].start must be a whole number from 0 to 4"),
        ({"input": [{"path": "/in", "size": 4, "start": 3, "end": 2}]}, r"input\[0\].end .* from 3 to 4"),
        ({"input": [{"path": "/in", "size": 4, "end": 2, "gzip": True}]}, r"input\[0\].gzip input cannot be split"),
        ({"input": [{"path": "/in", "size": 4, "gzip": 1}]}, r"input\[0\].gzip must be true or false"),
        ({"input": [{"url": "ftp://h/k", "size": 4}]}, r"input\[0\].url must begin with"),
        ({"input": [{"url": "s3://bucket", "size": 4}]}, r"input\[0\].url must name a bucket and a key"),
        ({"input": [{"url": "s3://b/k", "size": 4, "store": "x"}]}, r"input\[0\].store is none of stores"),
        ({"input": [{"path": "/in", "size": 4, "colour": 1}]}, r"input\[0\].colour is not known"),
        (
            {"stage": "reduce", "index": 1, "input": [{"path": "/a", "map": 0, "size": 1, "partition": 0}]},
            r"input\[0\].partition must be a whole number from 1 to 1",
        ),
        ({"output": None}, "output must be an object"),
        (
            {"stage": "reduce", "index": 1, "input": [{"path": "/a", "map": 0, "size": 1, "partition": 1, "start": 2}]},
            r"input\[0\].start is for what lies at http",
        ),
        ({"program": {"place": {"path": "/x"}}}, "program.place.path is for programs that are named by a list"),
        ({"program": {"place": {"url": "https://h/x"}, "arguments": "x"}}, "program.arguments must be a list"),
        ({"program": {"place": {"url": "https://h/x"}, "name": "x"}}, "program.name is not known"),
        ({"output": {"url": "https://h/a b"}}, "output.url must be printable ASCII"),
        ({"output": {"url": "https://h/x", "headers": {"a": 1}}}, "output.headers must be an object of texts"),
        ({"result": {"path": "/x"}}, "result.url must begin with http"),
        ({"output": {}}, "output.url must be a text"),
        ({"stores": {"x": 1}}, "stores.x must be an object"),
        ({"limits": {"seconds": "1"}}, "limits.seconds must be a number"),
        ({"limits": {"sort_bytes": 1}}, "limits.sort_bytes must be"),
        ({"limits": {"speed": 1}}, "limits.speed is not known"),
        ({"colour": 1}, "colour is not known"),
    ],
)
def test_the_wrong_member_is_named(members: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskFailed, match=message) as caught:
        read(MAP | members)
    assert caught.value.code == "BAD_TASK"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(TaskFailed, match="The task document is not valid"):
        read_task(text)
