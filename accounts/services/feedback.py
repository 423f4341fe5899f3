"""What people say of us: kept, and posted to the team's channel in Slack."""

from __future__ import annotations

import json
import logging
import time
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Feedback, User
from accounts.services.rates import spend
from controlplane.core import outside
from controlplane.core.enqueue import enqueue

logger = logging.getLogger("controlplane.accounts")
AN_HOUR_AT_MOST: Final = 10
HELD: Final = timedelta(seconds=60)  # longer than a call may take
TRIED_FOR: Final = timedelta(days=1)
POSTED_AT_ONCE: Final = 20
FOR_SECONDS: Final = 40  # of which a task has 60, and the last call may take 10
SLACK_SECONDS: Final = 10.0


class NotPosted(Exception):
    """Slack did not take it; the message says why, and never where Slack was asked: that address is a secret."""


def give_feedback(*, user: User, feedback_type: str, message: str) -> Feedback:
    """Keep what `user` says, and have it posted. Raises TooOften."""
    spend("feedback", str(user.pk), AN_HOUR_AT_MOST, 3600)
    with transaction.atomic():
        made = Feedback.objects.create(
            user=user, customer_id=user.customer_id, feedback_type=feedback_type, message=message
        )
        User.objects.filter(pk=user.pk).update(last_feedback_at=made.created_at)
        if settings.SLACK_WEBHOOK_URL:
            enqueue("accounts.tasks.post_feedback", feedback_id=made.pk)
    return made


def post_feedback(feedback_id: int) -> None:
    """Post one, unless it is posted, or somebody else is at it. Raises NotPosted.

    Who posts takes it first. Only when Slack took it and its answer, or our note of it, got lost is it posted again.
    """
    if not settings.SLACK_WEBHOOK_URL:
        return
    now = timezone.now()
    row = Feedback.objects.filter(pk=feedback_id, posted_at__isnull=True)
    if not row.filter(Q(held_until=None) | Q(held_until__lte=now)).update(held_until=now + HELD):
        return
    try:
        _send(Feedback.objects.select_related("user").get(pk=feedback_id))
    except NotPosted:
        row.update(held_until=None)
        raise
    row.update(posted_at=timezone.now(), held_until=None)


def post_left_behind() -> None:
    """Post what is there since a day at most and was not taken yet; the first that is refused ends it for this time."""
    if not settings.SLACK_WEBHOOK_URL:
        return
    since = timezone.now() - TRIED_FOR
    left = Feedback.objects.filter(posted_at__isnull=True, created_at__gt=since).order_by("pk")
    end = time.monotonic() + FOR_SECONDS
    for key in list(left.values_list("pk", flat=True)[:POSTED_AT_ONCE]):
        if time.monotonic() > end:
            return
        try:
            post_feedback(key)
        except NotPosted as error:
            logger.warning("Feedback waits for Slack: %s", error)
            return


def _send(feedback: Feedback) -> None:
    body = {"text": words_of(feedback), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    headers = {"Content-Type": "application/json"}
    try:
        answer = outside.send(
            "POST", settings.SLACK_WEBHOOK_URL, headers, json.dumps(body).encode(), seconds=SLACK_SECONDS
        )
    except outside.CallFailed as error:
        raise NotPosted(str(error)) from error
    except outside.AddressRefused as error:
        raise NotPosted(error.message) from error
    if not 200 <= answer.status < 300:
        raise NotPosted(f"it answered {answer.status}")


def words_of(feedback: Feedback) -> str:
    """What the channel reads. Escaped as Slack asks, so that nothing in it is a link or calls everybody."""
    who = feedback.user.email or feedback.user.username
    told = f"Feedback ({feedback.feedback_type}) from {who}"
    text = f"{told}:\n{feedback.message}" if feedback.message else told
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
