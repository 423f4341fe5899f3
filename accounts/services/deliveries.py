"""What is on its way to webhooks: taken to be sent, and what came of sending it.

A delivery is held by who sends it, for as long as a call takes and more. The earliest of a webhook that are due go
first, but none while an earlier one of the same subject is on its way.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts import events, states
from accounts.models import Webhook, WebhookDelivery
from controlplane.core import sets
from controlplane.core.enqueue import enqueue
from controlplane.core.transitions import compare_and_set

HELD_FOR: Final = timedelta(seconds=60)
DEPTHS: Final = (64, 1024)  # of a webhook's deliveries that are looked at for such as can be sent
# Pauses before a delivery is sent again: about a day in all.
AGAIN_SECONDS: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
JITTER: Final = 0.1
REST_AT_MOST: Final = timedelta(minutes=5)  # of a webhook that fails
RETRY_AFTER_AT_MOST: Final = timedelta(hours=1)
GIVEN_UP_AFTER: Final = timedelta(days=1)
TRIES_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is held to be sent, with what is needed of its webhook."""

    id: int
    webhook_id: int
    position: int
    body: str
    url: str
    secrets: str
    attempts: int
    tries: Sequence[Mapping[str, Any]]
    first_sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of sending `due` at `at`: a status, or an error in words. `answer`: how what came back begins."""

    due: Due
    at: datetime
    took_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""
    retry_after: timedelta | None = None

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        return self.status == 410

    def as_try(self) -> dict[str, Any]:
        said = {"status": self.status} if self.status is not None else {"error": self.error}
        return {"at": self.at.isoformat(), **said, "took_ms": self.took_ms, "answer": self.answer}


# --- Taking -----------------------------------------------------------------------------------------------------------


def callable_webhooks() -> dict[int, bool]:
    """The webhooks that have something to be sent now, and whether each is failing."""
    now = timezone.now()
    free = Q(held_until__isnull=True) | Q(held_until__lt=now)
    waiting = WebhookDelivery.objects.filter(free, webhook=OuterRef("pk"), status=states.PENDING, due_at__lte=now)
    rows = Webhook.objects.filter(
        Q(next_call_at__isnull=True) | Q(next_call_at__lte=now), Exists(waiting), is_enabled=True, owner__is_active=True
    )
    return {pk: failures > 0 for pk, failures in rows.values_list("pk", "failures")}


def take(wanted: Mapping[int, int], holder: UUID) -> list[Due]:
    """Hold what can be sent of each webhook in `wanted`, so many more of it; of one that fails a single one.

    A webhook of which another process holds something, or is taking, is left out: one process calls it at a time.
    """
    with transaction.atomic():
        # Locked by themselves: what is read next is what the last who took from them has left.
        locked = Webhook.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=wanted, is_enabled=True)
        hooks = {hook.pk: hook for hook in locked.order_by("pk")}
        limits = {pk: 1 if hook.failures else wanted[pk] for pk, hook in hooks.items()}
        chosen: list[int] = []
        for depth in DEPTHS:
            ids, limits = _choose(limits, depth, holder)
            chosen += ids
        if not chosen:
            return []
        now = timezone.now()
        rows = WebhookDelivery.objects.filter(sets.among("id", chosen, WebhookDelivery), status=states.PENDING)
        rows.update(holder=holder, held_until=now + HELD_FOR)
        fields = ("id", "webhook_id", "position", "body", "attempts", "tries", "first_sent_at")
        found = rows.filter(holder=holder).order_by("position").values(*fields)
        return [Due(**row, url=hooks[row["webhook_id"]].url, secrets=hooks[row["webhook_id"]].secrets) for row in found]


_WINDOW: Final = """
SELECT id, webhook_id, subject_kind, subject_id, due_at <= %s, CASE WHEN held_until >= %s THEN holder END
FROM accounts_webhookdelivery WHERE webhook_id = {} AND status = 'PENDING' ORDER BY position LIMIT %s
"""
_OF_ALL: Final = f"SELECT d.* FROM unnest(%s::bigint[]) AS h(pk) CROSS JOIN LATERAL ({_WINDOW.format('h.pk')}) AS d"  # noqa: S608


def _choose(limits: Mapping[int, int], depth: int, holder: UUID) -> tuple[list[int], dict[int, int]]:
    """What `holder` can send among the first `depth` deliveries of each webhook; and of which to look deeper."""
    now = timezone.now()
    rows: list[tuple[Any, ...]] = []
    if limits and sets.is_postgresql():
        rows = sets.run(_OF_ALL, [list(limits), now, now, depth])
    elif limits:
        moment = now.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
        for pk in limits:
            rows += sets.run(_WINDOW.format("%s"), [moment, moment, pk, depth])
    windows: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for pk, webhook_id, *rest in rows:
        windows[webhook_id].append((pk, *rest))
    chosen: list[int] = []
    deeper: dict[int, int] = {}
    for webhook_id, window in windows.items():
        if any(holds is not None and UUID(str(holds)) != holder for *_, holds in window):
            continue
        blocked: set[tuple[str, int]] = set()
        found: list[int] = []
        for pk, subject_kind, subject_id, is_due, holds in window:
            subject = (subject_kind, subject_id)
            if is_due and holds is None and subject not in blocked:
                found.append(pk)
            blocked.add(subject)
        if not found and len(window) == depth:
            deeper[webhook_id] = limits[webhook_id]
        chosen += found[: limits[webhook_id]]
    return chosen, deeper


def release(holder: UUID, ids: Sequence[int] | None = None) -> int:
    """Let go of what `holder` holds, all of it or these; how many those were."""
    rows = WebhookDelivery.objects.filter(status=states.PENDING, holder=holder, held_until__isnull=False)
    if ids is not None:
        rows = rows.filter(sets.among("id", list(ids), WebhookDelivery))
    return rows.update(held_until=None, holder=None)


# --- What came of it --------------------------------------------------------------------------------------------------

_SENT: Final = ("attempts", "tries", "first_sent_at", "held_until", "holder")


def settle(outcomes: Sequence[Outcome]) -> None:
    """Write down what came of sending, and how the webhooks do since."""
    if not outcomes:
        return
    with transaction.atomic():
        # First the webhooks, as `take` has it: so no two who come from both ends wait for each other.
        hooks = Webhook.objects.select_for_update(no_key=True).filter(pk__in={each.due.webhook_id for each in outcomes})
        by_id = {hook.pk: hook for hook in hooks.order_by("pk")}
        taken = {each.due.id: _sent(each, ended=True) for each in outcomes if each.is_taken}
        failed = [each for each in outcomes if not each.is_taken]
        over = {each.due.id: _sent(each, ended=True) for each in failed if each.due.attempts >= len(AGAIN_SECONDS)}
        again = [each for each in failed if each.due.id not in over]
        compare_and_set(WebhookDelivery, states.DELIVERY, states.DELIVERED, taken, (*_SENT, "ended_at"))
        compare_and_set(WebhookDelivery, states.DELIVERY, states.FAILED, over, (*_SENT, "ended_at"))
        if again:
            rows = [(each.due.id, *_sent(each).values(), _due_again(each)) for each in again]
            sets.update_where(WebhookDelivery, (*_SENT, "due_at"), rows, (states.PENDING,), ())
        of_hook: defaultdict[int, list[Outcome]] = defaultdict(list)
        for each in outcomes:
            of_hook[each.due.webhook_id].append(each)
        for pk, hook in by_id.items():
            _judge(hook, of_hook[pk])


def _sent(outcome: Outcome, *, ended: bool = False) -> dict[str, Any]:
    due = outcome.due
    facts: dict[str, Any] = {
        "attempts": due.attempts + 1,
        "tries": [*due.tries, outcome.as_try()][-TRIES_KEPT:],
        "first_sent_at": due.first_sent_at or outcome.at,
        "held_until": None,
        "holder": None,
    }
    return {**facts, "ended_at": timezone.now()} if ended else facts


def _due_again(outcome: Outcome) -> datetime:
    pause = timedelta(seconds=AGAIN_SECONDS[outcome.due.attempts] * random.uniform(1, 1 + JITTER))  # noqa: S311
    return timezone.now() + max(pause, _asked_for(outcome))


def _asked_for(outcome: Outcome) -> timedelta:
    return min(outcome.retry_after or timedelta(), RETRY_AFTER_AT_MOST)


def _judge(hook: Webhook, outcomes: Sequence[Outcome]) -> None:
    """How a webhook does after these calls, in their order. Caller has locked it."""
    was = (hook.failures, hook.failing_since, hook.next_call_at)
    now = timezone.now()
    for each in outcomes:
        if each.is_taken:
            hook.failures, hook.failing_since, hook.next_call_at = 0, None, None
            continue
        hook.failures += 1
        hook.failing_since = hook.failing_since or now
        rest = min(REST_AT_MOST, timedelta(seconds=2 ** min(hook.failures - 1, 20)))
        hook.next_call_at = now + max(rest, _asked_for(each))
    if (hook.failures, hook.failing_since, hook.next_call_at) != was:
        hook.save(update_fields=["failures", "failing_since", "next_call_at"])
    if hook.is_enabled and any(each.is_gone for each in outcomes):
        _disable(hook, "It answered 410: it is gone.")
    elif hook.is_enabled and hook.failing_since is not None and hook.failing_since <= now - GIVEN_UP_AFTER:
        _disable(hook, "It has taken nothing for a day.")


def _disable(hook: Webhook, why: str) -> None:
    """Call a webhook no more, give up what was on its way to it, and tell its owner. Caller holds the transaction."""
    hook.is_enabled, hook.disabled_because = False, why
    hook.save(update_fields=["is_enabled", "disabled_because"])
    waiting = WebhookDelivery.objects.filter(webhook=hook, status=states.PENDING).values_list("id", flat=True)
    facts = {"ended_at": timezone.now(), "held_until": None, "holder": None}
    given_up = dict.fromkeys(waiting, facts)
    compare_and_set(WebhookDelivery, states.DELIVERY, states.FAILED, given_up, tuple(facts))
    before, after = {"is_enabled": True}, {"why": why, "is_enabled": False}
    events.record([("webhook.disabled", "webhook", hook.pk, None, hook.owner.customer_id, before, after)])
    enqueue("accounts.tasks.send_webhook_disabled", webhook_id=hook.pk)
