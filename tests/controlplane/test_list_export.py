"""Lists of the admin as files: all rows of a filter, streamed, for whoever may see the list."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import ApiToken, Webhook
from controlplane.core import list_export
from controlplane.core.admin import badge, link, when
from controlplane.core.list_export import plain, text_of
from jobs.models import Job
from tests.browsers import OTHERS, STAFF, browser, furnish
from tests.factories import make_job, make_jobs
from tests.query_budget import counted


def _path(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def _text(client: Client, path: str, query: dict[str, str]) -> str:
    answer: Any = client.get(path, query)
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content).decode()


def _table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.django_db
def test_all_rows_of_the_filter_and_no_others_are_in_it_over_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_export, "CHUNK", 20)
    wanted = [*make_jobs(45, customer="globex"), make_job(customer="globex", classification='=HYPERLINK("x")')]
    make_jobs(3)
    client, path = browser("monitor"), _path(Job)
    found = _table(_text(client, path, {"customer": "globex", "_export": "csv", "older": "1"}))
    assert [int(row["id"]) for row in found] == sorted((job.pk for job in wanted), reverse=True)
    assert {row["customer"] for row in found} == {"globex"}
    assert found[0]["classification"] == '\'=HYPERLINK("x")'
    lines = [json.loads(line) for line in _text(client, path, {"customer": "globex", "_export": "jsonl"}).splitlines()]
    assert [line["id"] for line in lines] == [int(row["id"]) for row in found]
    assert lines[0]["classification"] == '=HYPERLINK("x")'
    job = wanted[-1]
    assert (lines[0]["uuid"], lines[0]["submitted"]) == (str(job.uuid), job.submitted_at.isoformat())
    assert (lines[0]["status"], lines[0]["priority"], lines[0]["ended"]) == ("QUEUED", 100, "")


@pytest.mark.django_db
def test_a_file_is_read_as_it_is_sent_by_key_and_without_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_export, "CHUNK", 20)
    make_jobs(65)
    client, path = browser("operator"), _path(Job)
    with counted() as all_of_it:
        answer: Any = client.get(path, {"_export": "csv"})
        pieces = iter(answer.streaming_content)
        next(pieces)
        first = len(all_of_it)
        assert len(list(pieces)) == 3
    statements = [text for text in all_of_it.texts if 'FROM "jobs_job"' in text]
    assert len(statements) == 5  # the page that the list itself begins with, and four chunks
    assert first < len(all_of_it)
    assert not any("COUNT(" in text or "OFFSET" in text for text in statements)


@pytest.mark.django_db
def test_a_long_file_takes_no_more_memory_than_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_export, "CHUNK", 100)
    client, path = browser("operator"), _path(Job)
    peaks = []
    for more in (250, 1250):
        make_jobs(more)
        answer: Any = client.get(path, {"_export": "jsonl"})
        tracemalloc.start()
        rows = sum(piece.count(b"\n") for piece in answer.streaming_content)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert rows == 1500
    assert peaks[1] < peaks[0] * 1.5


@pytest.mark.django_db
def test_every_list_is_a_file_for_staff_and_for_nobody_else() -> None:
    furnish()
    secrets = {*ApiToken.objects.values_list("digest", flat=True), *Webhook.objects.values_list("secrets", flat=True)}
    people = {role: browser(role) for role in (*STAFF, *OTHERS)}
    for model in admin.site._registry:
        path = _path(model)
        shown = len(people["admin"].get(path).context["cl"].result_list)
        rows = _table(_text(people["admin"], path, {"_export": "csv"}))
        assert len(rows) >= shown, model
        assert shown >= 15 or len(rows) == shown, model
        text = _text(people["admin"], path, {"_export": "jsonl"})
        assert len(text.splitlines()) == len(rows), model
        assert "<" not in text, (model, text)
        assert not [secret for secret in secrets if secret and secret in text], model
        for role in ("operator", "monitor"):
            assert people[role].get(path, {"_export": "csv"}).status_code == 200, (role, model)
        for role in OTHERS:
            assert people[role].get(path, {"_export": "csv"}).status_code == 302, (role, model)


@pytest.mark.django_db
def test_who_sees_their_own_rows_only_gets_no_others() -> None:
    furnish()
    mine = _table(_text(browser("monitor"), "/admin/accounts/user/", {"_export": "csv"}))
    assert [row["username"] for row in mine] == ["browser-monitor"]
    assert _table(_text(browser("monitor"), "/admin/accounts/apitoken/", {"_export": "csv"})) == []


@pytest.mark.django_db
def test_a_search_is_kept_and_what_cannot_be_read_is_said_by_the_list() -> None:
    chosen, _ = make_jobs(2)
    client, path = browser("monitor"), _path(Job)
    found = _table(_text(client, path, {"q": str(chosen.uuid), "_export": "csv"}))
    assert [row["id"] for row in found] == [str(chosen.pk)]
    assert client.get(path, {"_export": "xlsx"}).status_code == 404
    page = client.get(path, {"q": str(chosen.uuid), "newer": "7"}).content.decode()
    assert f"?q={chosen.uuid}&amp;_export=csv" in page
    assert f"?q={chosen.uuid}&amp;_export=jsonl" in page


@pytest.mark.runs_once("sqlite", "it is about text")
def test_a_cell_is_what_it_says() -> None:
    job = Job()
    assert plain(when(job.submitted_at)) == job.submitted_at.isoformat()
    assert plain(badge("RUNNING", "busy")) == "RUNNING"
    assert plain(link("/x", "a & b <c>")) == "a & b <c>"
    assert plain(format_html("<span title='{}'>{}</span>", "https://example.com/long", "https://ex…")) == (
        "https://example.com/long"
    )
    assert text_of(SafeString("7&nbsp;GiB")) == "7\xa0GiB"
    assert [plain(value) for value in (None, True, 7, "=x", {"a": 1})] == [None, True, 7, "=x", {"a": 1}]
