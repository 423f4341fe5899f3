from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from pytest_django import Settings

from clusters.providers.base import STREAMS, End
from clusters.providers.local import folders
from controlplane.core import feeding
from controlplane.core.errors import InvalidRequest, TooManyFollowers
from controlplane.core.server_sent import PING
from jobs import following, scheduling, services, states
from jobs.api.events import to_sse
from jobs.errors import ExecutionNotFound, JobNotFound, JobState, OutputGone
from jobs.following import feeder, stream
from jobs.following.facts import look
from jobs.models import Execution, Job
from tests.factories import Stage, keep_output, make_job
from tests.waiting import until

# Followers and their feeder have threads, and so connections, of their own.
pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
alone = pytest.mark.django_db
WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def _rested() -> Iterator[None]:
    """No feeder of one test looks into the next one's tables."""
    yield
    until(lambda: feeder.present._thread is None or not feeder.present._thread.is_alive())


def folder(job: Job) -> Path:
    root = str(settings.LOCAL_ROOT)
    folders.make_root(root)
    path = folders.folder_of(root, str(job.executions.order_by("-number")[0].uuid))
    folders.make_folder(path)
    return Path(path)


def write(job: Job, output: str | bytes, name: str = "stdout") -> None:
    """What the job's present execution writes."""
    with (folder(job) / name).open("ab") as file:
        file.write(output.encode() if isinstance(output, str) else output)


def end_output(job: Job) -> None:
    now = time.time()
    ended = folders.Ended(started=now, ended=now, code=0, end="exited", detail="", node="here")
    folders.write_exit(str(folder(job)), ended)


def running(stage: Stage, **wishes: Any) -> Job:
    job = make_job(**wishes)
    stage.start(job)
    return job


class Watcher:
    """Somebody who follows in a thread of their own, and notes what connection they hold at each word."""

    def __init__(self, job: Job, streams: Sequence[str] = STREAMS, after: str = "", **options: Any) -> None:
        self.told: list[following.Told] = []
        self.held: list[Any] = []
        self.failure: BaseException | None = None
        self._arguments = (job.pk, streams, after)
        self._options = options
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for each in following.follow(*self._arguments, **self._options):
                self.held.append(connection.connection)
                self.told.append(each)
        except BaseException as error:
            self.failure = error
        finally:
            connection.close()

    def text(self, name: str = "stdout") -> str:
        return "".join(each.text for each in self.told if isinstance(each, following.Log) and each.stream == name)

    def statuses(self) -> list[str]:
        return [each.status for each in self.told if isinstance(each, following.Status)]

    def finish(self) -> following.Told:
        """Wait for the end; the last word."""
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive(), self.told
        if self.failure is not None:
            raise self.failure
        return self.told[-1]


# --- Reading ---------------------------------------------------------------------------------------


@alone
def test_a_page_goes_on_at_its_cursor_and_says_when_nothing_follows() -> None:
    stage = Stage()
    job = running(stage)
    write(job, "one\n")
    write(job, "trouble\n", "stderr")
    page = following.read(job, STREAMS)
    assert (page.execution, page.text, page.cursor, page.ended) == (1, "one\ntrouble\n", "1:4:8", False)
    write(job, "two\n")
    page = following.read(job, STREAMS, page.cursor)
    assert (page.pieces, page.cursor, page.ended) == ((("stdout", "two\n"),), "1:8:8", False)
    end_output(job)
    stage.end(job)
    assert following.read(job, STREAMS, page.cursor) == following.Page(1, (), "1:8:8", True)
    assert following.read(job, ["stderr"]) == following.Page(1, (("stderr", "trouble\n"),), "1:8", True)


@alone
@pytest.mark.parametrize("limit", [1, 4, 7, 1000])
def test_pages_of_any_size_are_the_whole_and_break_no_character(limit: int) -> None:
    stage = Stage()
    job = running(stage)
    stage.end(job)
    out, err = "añ€😀 " * 20, "ß" * 31
    keep_output(job, stdout=out, stderr=err)
    found, cursor = {"stdout": "", "stderr": ""}, ""
    for _ in range(1000):
        page = following.read(job, STREAMS, cursor, limit=limit)
        for name, piece in page.pieces:
            found[name] += piece
        cursor = page.cursor
        if page.ended:
            break
    assert found == {"stdout": out, "stderr": err}


@alone
def test_reading_goes_on_with_the_next_execution_unless_one_is_named() -> None:
    stage = Stage()
    job = running(stage, max_tries=2)
    write(job, "first")
    end_output(job)
    stage.end(job, exit_code=None, end=End.LOST)
    assert following.read(job, STREAMS, "1:5:0") == following.Page(1, (), "1:5:0", False)
    _try_again(stage, job)
    write(job, "second")
    assert following.read(job, STREAMS, "1:2:0").text == "rst"
    assert following.read(job, STREAMS, "1:5:0") == following.Page(2, (("stdout", "second"),), "2:6:0", False)
    assert following.read(job, STREAMS, "1:5:0", execution=1) == following.Page(1, (), "1:5:0", True)
    assert "".join(following.text(job, execution=1)) == "first"
    assert "".join(following.text(job, ["stdout"], after="2:3")) == "ond"


def _try_again(stage: Stage, job: Job) -> None:
    """The pause before the next try is over."""
    Job.objects.filter(pk=job.pk, due_at__isnull=False).update(due_at=job.submitted_at)
    scheduling.wake_delayed()
    stage.start(job)


@alone
@pytest.mark.parametrize(
    "wrong", ["x", "1", "1:", "1:2", "1:2:3:4", ":1:2", "1:-1:0", "1:²:0", "123456:0:0", f"1:{'9' * 19}:0"]
)
def test_what_is_no_cursor_of_these_streams_is_refused(wrong: str) -> None:
    job = running(Stage())
    for ask in (lambda: following.read(job, STREAMS, wrong), lambda: following.follow(job.pk, STREAMS, wrong)):
        with pytest.raises(InvalidRequest) as refusal:
            ask()
        assert refusal.value.field == "after"


@alone
def test_what_is_not_there_is_named() -> None:
    stage = Stage()
    job = make_job()
    with pytest.raises(JobState):
        following.read(job, STREAMS)
    with pytest.raises(JobState):
        following.text(job)
    with pytest.raises(ExecutionNotFound):
        following.read(job, STREAMS, execution=1)
    with pytest.raises(InvalidRequest):
        following.read(job, [])
    with pytest.raises(JobNotFound):
        following.follow(job.pk + 1, STREAMS)
    stage.start(job)
    with pytest.raises(InvalidRequest):
        following.read(job, STREAMS, "1:0:0", execution=2)
    with pytest.raises(OutputGone):
        following.read(job, STREAMS)
    stage.end(job)
    Execution.objects.filter(job=job).update(logs_kept=False)
    for ask in (following.read, following.text, lambda job, streams: following.follow(job.pk, streams)):
        with pytest.raises(OutputGone):
            ask(job, STREAMS)


def test_whoever_reads_a_whole_output_holds_no_connection() -> None:
    stage = Stage()
    job = running(stage)
    stage.end(job)
    keep_output(job, stdout="out", stderr="err")
    pieces = following.text(job)
    assert next(pieces) == "out"
    assert connection.connection is None
    assert list(pieces) == ["err"]
    assert following.tail(job, 4) == "terr"


# --- Following -------------------------------------------------------------------------------------


def test_a_follower_is_told_everything_as_it_happens_and_holds_no_connection() -> None:
    stage = Stage()
    job = make_job()
    watcher = Watcher(job)
    until(lambda: watcher.statuses() == [states.QUEUED])
    stage.start(job)
    until(lambda: states.RUNNING in watcher.statuses())
    write(job, "one\n")
    until(lambda: watcher.text() == "one\n")
    write(job, "trouble\n", "stderr")
    until(lambda: watcher.text("stderr") == "trouble\n")
    write(job, "the last\n")
    end_output(job)
    stage.end(job, exit_code=0)
    assert watcher.finish() == following.End(states.COMPLETED, 0)
    assert watcher.text() == "one\nthe last\n"
    assert watcher.held
    assert all(held is None for held in watcher.held)


def test_a_job_that_is_tried_again_is_followed_into_its_next_execution() -> None:
    stage = Stage()
    job = running(stage, max_tries=2)
    write(job, "first ")
    watcher = Watcher(job, ["stdout"])
    until(lambda: watcher.text() == "first ")
    stage.end(job, exit_code=None, end=End.LOST)
    until(lambda: states.DELAYED in watcher.statuses())
    _try_again(stage, job)
    write(job, "second")
    end_output(job)
    stage.end(job, exit_code=3)
    assert watcher.finish() == following.End(states.FAILED, 3)
    logs = [each for each in watcher.told if isinstance(each, following.Log)]
    assert [(each.execution, each.text) for each in logs] == [(1, "first "), (2, "second")]
    assert [each.cursor for each in logs] == ["1:6", "2:6"]


def test_one_execution_alone_can_be_followed() -> None:
    stage = Stage()
    job = running(stage, max_tries=2)
    write(job, "first")
    stage.end(job, exit_code=None, end=End.LOST)
    watcher = Watcher(job, execution=1)
    assert watcher.finish() == following.End(states.DELAYED, None)
    assert watcher.text() == "first"


def test_following_on_from_every_cursor_gives_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PIECE_BYTES", 7)
    stage = Stage()
    job = running(stage, max_tries=2)
    write(job, "añ€😀 of the first try")
    end_output(job)
    stage.end(job, exit_code=None, end=End.LOST)
    _try_again(stage, job)
    write(job, "€" * 9)
    write(job, "ß and an end", "stderr")
    end_output(job)
    stage.end(job)

    def told(after: str) -> list[following.Log]:
        return [each for each in following.follow(job.pk, STREAMS, after) if isinstance(each, following.Log)]

    whole = told("1:0:0")
    assert len(whole) > 10
    assert _texts(whole) == {
        (1, "stdout"): "añ€😀 of the first try",
        (2, "stdout"): "€" * 9,
        (2, "stderr"): "ß and an end",
    }
    for number, log in enumerate(whole):
        assert _texts(told(log.cursor)) == _texts(whole[number + 1 :])


def _texts(logs: Sequence[following.Log]) -> dict[tuple[int, str], str]:
    found: dict[tuple[int, str], str] = {}
    for log in logs:
        found[log.execution, log.stream] = found.get((log.execution, log.stream), "") + log.text
    return found


def test_a_character_is_told_when_it_is_whole() -> None:
    stage = Stage()
    job = running(stage)
    first, rest = "€".encode()[:2], "€".encode()[2:]
    write(job, b"a" + first)
    watcher = Watcher(job, ["stdout"])
    until(lambda: watcher.text() == "a")
    write(job, rest + b"b")
    until(lambda: watcher.text() == "a€b")
    end_output(job)
    stage.end(job)
    watcher.finish()


def test_an_ended_job_is_told_at_once_and_nothing_of_a_job_that_never_ran() -> None:
    stage = Stage()
    job = running(stage)
    write(job, "all of it")
    end_output(job)
    stage.end(job, exit_code=2)
    told = list(following.follow(job.pk, ["stdout"]))
    assert told == [following.Log(1, "stdout", "all of it", "1:9"), following.End(states.FAILED, 2)]
    assert list(following.follow(job.pk, ["stdout"], "1:9")) == [following.End(states.FAILED, 2)]
    canceled = make_job()
    services.cancel_jobs([canceled.pk], actor=None)
    assert list(following.follow(canceled.pk, STREAMS)) == [following.End(states.CANCELED, None)]


def test_a_slow_reader_has_one_piece_in_memory_and_holds_up_nobody() -> None:
    stage = Stage()
    job = running(stage)
    write(job, "x" * 300_000)
    slow = following.follow(job.pk, ["stdout"])
    assert isinstance(next(slow), following.Status)
    first = next(slow)
    assert isinstance(first, following.Log)
    assert len(first.text) == stream.PIECE_BYTES
    other = Watcher(job, ["stdout"])
    until(lambda: len(other.text()) == 300_000)
    write(job, "y" * 100_000)
    until(lambda: len(other.text()) == 400_000)
    end_output(job)
    stage.end(job)
    other.finish()
    rest = [each.text for each in slow if isinstance(each, following.Log)]
    assert max(map(len, rest)) <= stream.PIECE_BYTES
    assert first.text + "".join(rest) == "x" * 300_000 + "y" * 100_000


def test_a_stream_ends_when_its_time_is_over_and_tells_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    job = running(Stage())
    monkeypatch.setattr(stream, "PING_SECONDS", 0.05)
    told = list(following.follow(job.pk, STREAMS, max_seconds=0.6))
    assert told[0] == following.Status(states.RUNNING, "", 1)
    assert told[-1] == following.Reconnect()
    assert set(told[1:-1]) == {following.Ping()}


def test_no_more_than_so_many_follow_and_each_that_leaves_makes_room(settings: Settings) -> None:
    settings.FOLLOWERS_AT_MOST = 2
    job = running(Stage())
    begun, unread = following.follow(job.pk, STREAMS), following.follow(job.pk, STREAMS)
    next(begun)
    for _ in range(2):
        with pytest.raises(TooManyFollowers) as refusal:
            following.follow(job.pk, STREAMS)
        assert (refusal.value.http_status, refusal.value.code) == (503, "TOO_MANY_FOLLOWERS")
        assert refusal.value.retry_after_seconds > 0
    del unread
    again = following.follow(job.pk, STREAMS)
    next(again)
    begun.close()  # type: ignore[attr-defined]
    del again
    assert not feeder.present._followers


def test_one_statement_asks_for_all_and_the_thread_ends_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Sequence[int]] = []

    def noted(ids: Sequence[int]) -> Any:
        looks.append(ids)
        return look(ids)

    monkeypatch.setattr(feeder, "look", noted)
    stage = Stage()
    jobs = [running(stage) for _ in range(3)]
    watchers = [Watcher(job) for job in [*jobs, jobs[0]]]
    until(lambda: [each.pk for each in jobs] in looks)
    assert sum(thread.name == "followers" for thread in threading.enumerate()) == 1
    for job in jobs:
        end_output(job)
    stage.end(*jobs)
    for watcher in watchers:
        assert isinstance(watcher.finish(), following.End)
    until(lambda: not any(thread.name == "followers" for thread in threading.enumerate()))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_followers_outlive_a_database_that_fails_and_a_feeder_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[BaseException] = []

    def failing(ids: Sequence[int]) -> Any:
        if len(failures) < 2:
            failures.append(OperationalError("gone") if not failures else SystemExit())
            raise failures[-1]
        return look(ids)

    monkeypatch.setattr(feeder, "look", failing)
    stage = Stage()
    job = running(stage)
    watcher = Watcher(job)
    until(lambda: len(failures) == 2)
    end_output(job)
    stage.end(job)
    assert watcher.finish() == following.End(states.COMPLETED, 0)


def test_all_streams_end_when_the_server_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    job = running(Stage())
    monkeypatch.setattr(feeding, "feeders", [])
    monkeypatch.setattr(feeder, "present", feeder.Feeder())
    watcher = Watcher(job)
    until(lambda: watcher.told)
    feeding.leave()
    assert watcher.finish() == following.Reconnect()
    assert list(following.follow(job.pk, STREAMS)) == [following.Reconnect()]


def test_a_forked_process_has_a_feeder_of_its_own() -> None:
    job = running(Stage())
    told = following.follow(job.pk, STREAMS)
    next(told)
    read, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write_end, b"1" if not feeder.present._followers and feeder.present._thread is None else b"0")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 1) == b"1"
    for end in (read, write_end):
        os.close(end)


# --- Server-sent events ----------------------------------------------------------------------------


@alone
def test_events_are_one_line_of_json_each() -> None:
    log = following.Log(2, "stdout", "one\ntwo\r\u2028ß", "2:12:0")
    lines = to_sse(log).decode().split("\n")
    assert lines[:2] == ["id: 2:12:0", "event: log"]
    assert json.loads(lines[2].removeprefix("data: ")) == {"execution": 2, "stream": "stdout", "text": log.text}
    assert lines[3:] == ["", ""]
    assert to_sse(following.Ping()) == PING
    status = to_sse(following.Status(states.DELAYED, "", 1)).decode()
    assert status == 'event: status\ndata: {"status":"QUEUED","state":"DELAYED","reason":"","execution":1}\n\n'
    end = to_sse(following.End(states.COMPLETED, 0)).decode()
    assert end == 'event: end\ndata: {"status":"COMPLETED","state":"COMPLETED","exit_code":0}\n\n'
    assert to_sse(following.Reconnect()) == b"event: reconnect\ndata: {}\n\n"
