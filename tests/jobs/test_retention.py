from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_q.models import Task

from accounts import following as event_following
from accounts.models import Event, Follower, IdempotencyKey, ParkedEvent, Rate, Webhook, WebhookDelivery
from jobs import counts, following, retention, states
from jobs.errors import OutputGone
from jobs.models import Execution, JobCount, Kind, LoadSample, Operation, ThroughputSample
from tests.factories import Stage, make_job_in, make_operator

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody_follows() -> None:
    """Some that migrations make stand at the beginning of the log until they are called."""
    Follower.objects.all().delete()


def test_rows_past_their_days_go_and_younger_ones_stay(settings) -> None:
    kept = {"events": 10, "failed_tasks": 3, "load_samples": 32, "operations": 5}
    settings.RETENTION_DAYS = {**settings.RETENTION_DAYS, **kept}
    user, now = make_operator().user, timezone.now()
    Event.objects.all().delete()
    for days in (9, 11):
        Event.objects.create(kind="x.y", subject_kind="x", subject_id=days, at=now - timedelta(days=days))
        when = now - timedelta(days=days - 7)
        Task.objects.create(id=str(days), name=str(days), func="f", started=when, stopped=when, success=False)
    for hours in (23, 25):
        made = now - timedelta(hours=hours)
        IdempotencyKey.objects.create(user=user, key=str(hours), digest="d", created_at=made)
    for hours in (47, 49):
        Rate.objects.create(key=str(hours), began_at=now - timedelta(hours=hours), count=1)
    for key, left in (("over", -timedelta(seconds=1)), ("open", timedelta(days=1))):
        Session.objects.create(session_key=key, session_data="", expire_date=now + left)
    for days in (31, 33):
        LoadSample.objects.create(at=now - timedelta(days=days), pending=0, queued=1, running=0)
        ThroughputSample.objects.create(at=now - timedelta(days=days), status=states.FAILED, number=1)
    for days, status in ((4, states.STOPPED), (6, states.STOPPED), (6, states.RUNNING)):
        made, ended = now - timedelta(days=days), now if status == states.STOPPED else None
        facts = {"kind": Kind.CANCEL, "status": status, "selection": {}, "created_by": user, "up_to": 0}
        Operation.objects.create(**facts, created_at=made, ended_at=ended)
    minute = counts.minute_of(now)
    for ago in (counts.MINUTES_KEPT - 1, counts.MINUTES_KEPT + 1):
        JobCount.objects.create(job_type_id=1, span=1, minute=minute - ago, status=states.COMPLETED, number=1)
    names = (
        "events",
        "idempotency_keys",
        "rates",
        "sessions",
        "load_samples",
        "throughput_samples",
        "operations",
        "minute_counts",
        "failed_tasks",
    )
    none = dict.fromkeys(("failures", "failure_hours", "failure_days", "failure_clusters"), 0)
    deleted = {**dict.fromkeys(names, 1), **none, "parked_events": 0, "webhook_deliveries": 1}
    hook = Webhook.objects.create(owner=user, name="hook", url="https://example.com/")
    for days in (29, 31):
        made = now - timedelta(days=days)
        facts = {"webhook": hook, "kind": "x.y", "subject_kind": "x", "subject_id": 1, "body": "{}"}
        WebhookDelivery.objects.create(**facts, position=days, created_at=made)
    assert retention.delete_old_rows() == deleted
    assert list(Event.objects.values_list("subject_id", flat=True)) == [9]
    assert list(WebhookDelivery.objects.values_list("position", flat=True)) == [29]
    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["23"]
    assert list(Session.objects.values_list("session_key", flat=True)) == ["open"]
    assert list(Task.objects.values_list("id", flat=True)) == ["9"]


def test_a_run_is_bounded_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "BATCHES", 2)
    Event.objects.all().delete()
    old = timezone.now() - timedelta(days=999)
    for n in range(7):
        Event.objects.create(kind="x.y", subject_kind="x", subject_id=n, at=old)
    assert [retention.delete_old_rows()["events"] for _ in range(3)] == [4, 3, 0]


def test_what_a_follower_has_not_passed_is_kept_unless_that_follower_is_gone() -> None:
    event_following.follow("slow", (), lambda events: None)
    Event.objects.all().delete()
    old = timezone.now() - timedelta(days=999)
    for n in range(4):
        Event.objects.create(kind="x.y", subject_kind="x", subject_id=n, at=old)
    ParkedEvent.objects.create(follower="slow", position=1, kind="x.y", error="why", at=old)
    event_following.follow("slow", (), lambda events: None, at_most=3)
    assert retention.delete_old_rows()["events"] == 3
    assert list(Event.objects.values_list("subject_id", flat=True)) == [3]
    assert not ParkedEvent.objects.exists()
    long_ago = timezone.now() - event_following.GONE_AFTER - timedelta(days=1)
    Follower.objects.filter(name="slow").update(moved_at=long_ago)
    assert retention.delete_old_rows()["events"] == 1


def test_output_past_its_days_is_forgotten_and_says_so() -> None:
    stage = Stage()
    old, young = make_job_in(states.COMPLETED, stage=stage), make_job_in(states.COMPLETED, stage=stage)
    Execution.objects.filter(job=old).update(ended_at=timezone.now() - timedelta(days=31))
    assert retention.forget_outputs(stage.place.pk, stage.provider) == 1
    assert stage.provider.calls[-1] == ("forget", (str(stage.execution(old).uuid),))
    assert (stage.execution(old).logs_kept, stage.execution(young).logs_kept) == (False, True)
    with pytest.raises(OutputGone):
        following.text(old)
    assert retention.forget_outputs(stage.place.pk, stage.provider) == 0
