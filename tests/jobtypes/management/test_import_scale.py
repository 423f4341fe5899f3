"""`manage.py import_scale`: from another deployment, which speaks Scale v6, and from answers as Scale gives them."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen

import pytest
from django.core.management import CommandError, call_command

from jobtypes.models import Error, JobType, RecipeType, RecipeTypeRevision, Workspace
from jobtypes.services import edit_job_type
from tests.deployment import Factory
from tests.factories import make_job_type, make_workspace, manifest_of
from tests.jobtypes.seed.documents import document
from tests.recipes import definition_of, job_node, recipe_node

pytestmark = pytest.mark.django_db
Json = dict[str, Any]


def take(url: str, token: str, folder: Path, *options: str) -> str:
    """What the command says; what it ends with is raised after it."""
    file = folder / "token"
    file.write_text(f"{token}\n")
    out = io.StringIO()
    try:
        call_command("import_scale", url, "--token-file", str(file), *options, stdout=out)
    except CommandError as error:
        out.write(f"ended: {error}")
    return out.getvalue()


class Peer:
    """A deployment that is talked to over HTTP."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.token = base, token

    def send(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        request = Request(self.base + path, json.dumps(body).encode(), headers, method=method)
        with urlopen(request) as answer:
            return json.loads(answer.read())


def manifest(version: str = "1.0.0", **more: Any) -> Json:
    made = manifest_of("count-words", version)
    made["job"] |= more
    made["job"]["interface"]["inputs"] = {"files": [{"name": "TEXT"}]}
    made["job"]["interface"]["settings"] = [{"name": "KEY", "secret": True}, {"name": "MODE"}]
    return made


def furnish(peer: Peer, files: Path) -> None:
    """Workspaces, an error, a job type with three revisions, one with a + in its version, and recipes in each other."""
    files.mkdir()
    for name, broker in {
        "texts": {"type": "host", "host_path": str(files)},
        "bucket": {"type": "s3", "bucket_name": "texts", "credentials": {
            "access_key_id": "AKIAEXAMPLE0EXAMPLE", "secret_access_key": "x" * 40}},
    }.items():  # fmt: skip
        peer.send("POST", "/v6/workspaces/", {"name": name, "title": name, "configuration": {"broker": broker}})
    fault = {"name": "odd-weather", "title": "Odd weather", "category": "DATA", "should_be_retried": True}
    peer.send("POST", "/v6/errors/", fault)
    configuration = {"output_workspaces": {"default": "texts"}, "settings": {"KEY": "hush", "MODE": "fast"}}
    wish = {"manifest": manifest(), "docker_image": "count:1", "configuration": configuration}
    peer.send("POST", "/v6/job-types/", {**wish, "is_published": True, "max_scheduled": 7})
    peer.send("PATCH", "/v6/job-types/count-words/1.0.0/", {"manifest": manifest(title="Second")})
    peer.send("PATCH", "/v6/job-types/count-words/1.0.0/", {"docker_image": "count:3", "is_paused": True})
    peer.send("POST", "/v6/job-types/", {**wish, "manifest": manifest("2.0.0-rc.1+b5")})
    old = job_node()
    old["node_type"]["job_type_revision"] = 2
    peer.send("POST", "/v6/recipe-types/", {"title": "Zero", "definition": definition_of({"a": old})})
    outer = definition_of({"in": recipe_node("zero")})
    peer.send("POST", "/v6/recipe-types/", {"title": "All", "definition": outer})
    new = definition_of({"a": old, "b": job_node()})
    peer.send("PATCH", "/v6/recipe-types/zero/", {"definition": new, "auto_update": False})


def test_all_of_another_deployment_is_taken_over(
    deployment: Factory, tmp_path: Path, settings: Any, django_assert_num_queries: Any
) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", WORKSPACE_ROOTS=str(tmp_path))
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    token = place.bootstrap("root")
    peer = Peer(place.start_web(), token)
    furnish(peer, tmp_path / "texts")

    told = take(peer.base, token, tmp_path, "--dry-run")
    assert "Would be taken over: workspace: 2 new" in told
    assert "nothing is written" in told
    assert not JobType.objects.exists()
    assert not Workspace.objects.exists()

    told = take(peer.base, token, tmp_path)
    for words in (
        *("job type: 2 new", "recipe type: 2 new", "credentials: set them by PATCH /v6/workspaces/bucket/"),
        "the values of KEY, which are secret",
    ):
        assert words in told
    for word in ("ended", "hush", token):
        assert word not in told
    _check_what_is_here(peer)

    told = take(peer.base, token, tmp_path)
    assert told.count("new") == told.count("changed") == told.count("left") == told.count("failed") == 0, told
    assert "job type: 2 kept" in told

    peer.send("PATCH", "/v6/job-types/count-words/1.0.0/", {"manifest": manifest(title="Fourth"), "is_paused": False})
    peer.send("PATCH", "/v6/job-types/count-words/1.0.0/", {"manifest": manifest(title="Fifth")})
    told = take(peer.base, token, tmp_path)
    assert "changed  job type count-words 1.0.0: it is at revision 5 now" in told, told
    row = JobType.objects.get(version="1.0.0")
    numbers = row.revisions.order_by("revision_num").values_list("revision_num", "manifest__job__title")
    assert [title for _, title in numbers][2:] == ["Second", "Fourth", "Fifth"]
    assert (row.revision_num, row.title, row.is_paused) == (5, "Fifth", False)


def _check_what_is_here(peer: Peer) -> None:
    row = JobType.objects.get(name="count-words", version="1.0.0")
    assert (row.revision_num, row.max_scheduled, row.is_published, row.is_paused) == (3, 7, True, True)
    assert row.configuration["settings"] == {"MODE": "fast"}
    revisions = row.revisions.order_by("revision_num").values_list("revision_num", "docker_image")
    assert list(revisions) == [(1, "count:1"), (2, "count:1"), (3, "count:3")]
    assert JobType.objects.filter(version="2.0.0-rc.1+b5").exists()
    error = Error.objects.get(name="odd-weather")
    assert (error.category, error.should_be_retried) == ("DATA", True)
    zero = RecipeType.objects.get(name="zero")
    assert zero.revision_num == 2
    assert zero.definition["nodes"]["a"]["node_type"]["job_type_revision"] == 2
    assert zero.definition["nodes"]["b"]["node_type"]["job_type_revision"] == 3
    outer = RecipeTypeRevision.objects.get(recipe_type__name="all")
    assert outer.definition["nodes"]["in"]["node_type"]["recipe_type_revision"] == 1


# --- Answers as Scale itself gives them -----------------------------------------------------------


@contextmanager
def served(answers: Json) -> Iterator[str]:
    """A server that answers these paths; a list is shown a row a page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = urlsplit(self.path)
            found = answers.get(unquote(target.path))
            if self.headers["Authorization"] != "Token staff":
                return self._answer(403, {"detail": "Authentication credentials were not provided."})
            if found is None:
                return self._answer(404, {"detail": "Not found."})
            if isinstance(found, list):
                page = int(parse_qs(target.query)["page"][0])
                following = f"http://elsewhere.invalid/?page={page + 1}" if page < len(found) else None
                found = {"count": len(found), "next": following, "results": found[page - 1 : page]}
            return self._answer(200, found)

        def _answer(self, status: int, body: Any) -> None:
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def scale(*types: Json, **more: Any) -> Json:
    """The answers of a Scale with these job types, each a row of its details with all its `manifests`."""
    answers: Json = {f"/v6/{noun}/": [] for noun in ("workspaces", "errors", "job-types", "recipe-types")}
    for row in types:
        path = f"/v6/job-types/{row['name']}/{row['version']}/"
        answers["/v6/job-types/"].append({"name": row["name"], "version": row["version"]})
        answers[path] = row
        answers[f"{path}revisions/"] = [{"revision_num": n} for n in range(row["revision_num"], 0, -1)]
        for number in range(1, row["revision_num"] + 1):
            one = {"revision_num": number, "manifest": row["manifest"], "docker_image": f"{row['name']}:{number}"}
            answers[f"{path}revisions/{number}/"] = one
    return {**answers, **more}


def scale_type(name: str, manifest: Json, **more: Any) -> Json:
    return {
        "id": 1, "name": name, "version": "1.0.0", "is_system": False, "is_active": True, "is_paused": False,
        "title": "A job", "revision_num": 1, "docker_image": f"{name}:1", "manifest": manifest,
        "configuration": {}, "max_scheduled": None, "is_published": False, "icon_code": None, **more,
    }  # fmt: skip


def test_what_cannot_be_taken_over_is_told_line_by_line_and_fails(tmp_path: Path) -> None:
    outputs = {"outputs": {"files": [{"name": "OUT", "pattern": "*.txt"}]}}
    answers = scale(
        scale_type("good", document(name="good")),
        scale_type("ingest", document(name="ingest"), is_system=True),
        scale_type("homeless", document(name="homeless", interface=outputs)),
        scale_type("odd", {"seedVersion": "0.1"}),
        **{
            "/v6/workspaces/": [{"id": 1}, {"id": 2}, {"id": 3}],
            "/v6/workspaces/1/": {"id": 1, "name": "far", "configuration": {
                "broker": {"type": "nfs", "nfs_path": "nas:/export"}}},
            "/v6/workspaces/2/": {"id": 2, "name": "hidden"},
            "/v6/workspaces/3/": {"id": 3, "name": "scratch", "title": "", "configuration": {
                "broker": {"type": "s3", "bucket_name": "scratch", "host_path": "/s3", "region_name": "us-east-1"}}},
            "/v6/errors/": [
                {"name": "Not A Slug", "title": "x", "category": "DATA"},
                {"name": "unknown", "title": "Unknown", "category": "SYSTEM", "is_builtin": True},
            ],
        },
    )  # fmt: skip
    with served(answers) as url:
        told = take(url, "staff", tmp_path)
    for line in (
        "failed   workspace far: configuration.broker.nfs_path: Nothing is mounted from here",
        "left     workspace hidden: its configuration is not told",
        "new      workspace scratch",
        "left     part of a workspace scratch: host_path",
        "failed   error Not A Slug: name: A name is lower-case words",
        "new      job type good 1.0.0",
        "left     job type ingest 1.0.0: it is of that system itself",
        "failed   job type homeless 1.0.0: configuration: ",
        "failed   job type odd 1.0.0: manifest: ",
        "workspace: 1 new, 1 left, 1 failed",
        "ended: Not all could be taken over",
    ):
        assert line in told, told
    assert list(JobType.objects.values_list("name", flat=True)) == ["good"]


def test_a_later_run_takes_what_has_become_possible(tmp_path: Path) -> None:
    outputs = {"outputs": {"files": [{"name": "OUT", "pattern": "*.txt"}]}}
    at = {"output_workspaces": {"default": "results", "outputs": {}}}
    answers = scale(scale_type("homeless", document(name="homeless", interface=outputs), configuration=at))
    with served(answers) as url:
        assert "failed   job type homeless" in take(url, "staff", tmp_path)
        make_workspace("results")
        assert "job type: 1 new." in take(url, "staff", tmp_path)


def test_what_was_edited_here_since_is_left_alone(tmp_path: Path) -> None:
    answers = scale(scale_type("good", document(name="good")))
    with served(answers) as url:
        take(url, "staff", tmp_path)
        row = JobType.objects.get()
        edit_job_type(row, actor=None, manifest=document(name="good", title="Ours"))
        told = take(url, "staff", tmp_path)
        assert "left     job type good 1.0.0: it was edited here since, and is at revision 2" in told
        answers["/v6/job-types/good/1.0.0/"]["manifest"] = document(name="good", title="Theirs")
        assert "changed  job type good 1.0.0: it is at revision 3 now" in take(url, "staff", tmp_path)
        assert "job type: 1 kept." in take(url, "staff", tmp_path)
    titles = row.revisions.order_by("revision_num").values_list("manifest__job__title", flat=True)
    assert list(titles) == ["A job", "Ours", "Theirs"]


def test_a_changed_error_and_a_changed_switch_are_taken(tmp_path: Path) -> None:
    fault = {"name": "odd", "title": "Odd", "category": "DATA", "description": None, "should_be_retried": False}
    answers = scale(scale_type("good", document(name="good")), **{"/v6/errors/": [fault]})
    with served(answers) as url:
        take(url, "staff", tmp_path)
        fault["title"] = "Odder"
        answers["/v6/job-types/good/1.0.0/"] |= {"is_active": False, "max_scheduled": 3}
        told = take(url, "staff", tmp_path)
    assert "changed  error odd" in told
    assert "changed  job type good 1.0.0: its configuration or its switches" in told
    row = JobType.objects.get()
    assert (row.is_active, row.max_scheduled, row.revision_num) == (False, 3, 1)


def test_recipe_types_come_inner_first_and_an_inactive_one_may_be_left(tmp_path: Path) -> None:
    make_job_type("count-words", manifest=manifest())
    answers = scale()
    for name, nodes, active in (
        ("all", {"in": recipe_node("zero")}, True),
        ("zero", {"a": job_node()}, True),
        ("gone", {"a": job_node("no-such-job")}, False),
    ):
        row = {"name": name, "title": name.title(), "definition": definition_of(nodes), "revision_num": 4}
        answers["/v6/recipe-types/"].append({"name": name})
        answers[f"/v6/recipe-types/{name}/"] = {**row, "is_active": active}
        answers[f"/v6/recipe-types/{name}/revisions/"] = []
    with served(answers) as url:
        told = take(url, "staff", tmp_path)
        assert "recipe type: 2 new, 1 left." in told, told
        assert "recipe type: 2 kept, 1 left." in take(url, "staff", tmp_path)
    assert set(RecipeType.objects.values_list("name", "revision_num")) == {("all", 4), ("zero", 4)}


@pytest.mark.parametrize(
    ("answers", "token", "words"),
    [
        ({}, "staff", "/v6/workspaces/: the answer is 404"),
        ({}, "stranger", "the token is not taken (403)"),
        ({"/v6/workspaces/": b"<html>"}, "staff", "the answer is not JSON"),
        ({"/v6/workspaces/": {"results": 3}}, "staff", "not a page of a list"),
        ({"/v6/workspaces/": [{"name": "x"}]}, "staff", "there is no id in it"),
        ({"/v6/workspaces/": [{"id": "one"}]}, "staff", "id is no number"),
    ],
)
def test_what_is_no_scale_is_told(answers: Json, token: str, words: str, tmp_path: Path) -> None:
    with served(answers) as url:
        assert words in take(url, token, tmp_path)
    assert not JobType.objects.exists()


def test_the_token_comes_from_the_environment_or_from_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out, file = io.StringIO(), tmp_path / "token"
    file.write_text("staff")
    with served(scale(scale_type("good", document(name="good")))) as url:
        monkeypatch.setenv("SCALE_TOKEN", "staff")
        call_command("import_scale", url, "--dry-run", stdout=out)
        monkeypatch.delenv("SCALE_TOKEN")
        monkeypatch.setattr("sys.stdin", io.StringIO("staff\n"))
        call_command("import_scale", url, stdout=out)
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        with pytest.raises(CommandError, match="no token"):
            call_command("import_scale", url, stdout=out)
    assert JobType.objects.count() == 1
    with pytest.raises(CommandError, match="begins with http"):
        call_command("import_scale", "file:///etc/passwd", "--token-file", str(file), stdout=out)
