"""Acting upon what happened: going through the event log, each event once, whoever dies in between.

    def act(events: Sequence[Event]) -> None: ...   # in the transaction in which the position advances
    while follow("closings", {"user.closing"}, act): ...

Call it again and again, from any number of processes: one of them goes on, the others have nothing to do. What `act`
writes is there exactly if the position has advanced, so it makes no call and sends no mail; it may start tasks
(`enqueue`). What it raises makes the events come again; an event that fails alone TRIES times is parked, and the
follower goes on behind it. Once its cause is mended staff have it tried again (services.try_again), so `act` has to do
with events that come late. A follower begins at the end of the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Event, Follower, ParkedEvent
from accounts.services.positions import NUMBERED, number_events
from controlplane.core.unstorable import UNSTORABLE

logger = logging.getLogger("accounts.following")
Act = Callable[[Sequence[Event]], None]
AT_MOST: Final = 500
SEARCHED: Final = 10_000  # events that one call looks at for those of its kinds
TRIES: Final = 5
GONE: Final = "The event is not in the log any more."
AGAIN: Final = 100  # parked events that one call tries again
GONE_AFTER: Final = timedelta(days=30)  # without having moved: nothing is kept for it any more


def follow(
    name: str,
    kinds: Collection[str],
    act: Act,
    at_most: int = AT_MOST,
    only: Q | None = None,
    columns: Sequence[str] = (),
) -> int:
    """Have `act` deal with the next events of `kinds`, all kinds if there are none, `at_most` at a time.

    `only` those that are so, and of them the `columns` that `act` looks at, all if none are named: what is left out
    costs next to nothing here. With columns `act` is given rows that have these, and no models.

    How many positions that went on; 0 when there is nothing new, another process is at it, or `act` failed: then try
    again a moment later. Not inside a transaction. Raises what the database raises when it is out of reach.
    """
    number_events()
    if not _has_news(name):
        return 0
    with transaction.atomic():
        follower = Follower.objects.select_for_update(skip_locked=True).filter(name=name).first()
        if follower is None:
            return 0
        if follower.takes_parked:
            follower.takes_parked = _try_again(name, act)
        begun, end = follower.position, min(_end(), follower.position + SEARCHED)
        rows = Event.objects.filter(position__gt=begun, position__lte=end).order_by("position")
        if kinds:
            rows = rows.filter(kind__in=kinds)
        if only is not None:
            rows = rows.filter(only)
        if columns:
            rows = rows.values_list("kind", "position", *columns, named=True)
        limit = min(at_most, follower.at_once or at_most)
        events: list[Any] = list(rows[:limit])
        try:
            with transaction.atomic():
                if events:
                    act(events)
        except (OperationalError, InterfaceError):
            raise  # no fault of the events
        except Exception as error:
            _note_failure(follower, events, error)
        else:
            follower.position = (events[-1].position or end) if len(events) == limit else end
            follower.failures = 0
            wider = 2 * (follower.at_once or at_most)
            follower.at_once = wider if wider < at_most else None
        follower.moved_at = timezone.now()
        follower.save()
    return follower.position - begun


def passed_by_all() -> int:
    """The position up to which every follower has come: what is behind it, somebody still needs.

    One that has not moved for GONE_AFTER while others went on is taken for gone, and finds what is left of the log.
    """
    number_events()
    alive = Follower.objects.filter(moved_at__gte=timezone.now() - GONE_AFTER).exclude(name=NUMBERED)
    slowest = alive.order_by("position").values_list("position", flat=True).first()
    end = _end()
    return end if slowest is None else min(slowest, end)


def _end() -> int:
    return Follower.objects.filter(name=NUMBERED).values_list("position", flat=True).first() or 0


def _has_news(name: str) -> bool:
    """Is there anything behind the follower? One that is not there yet is made, at the end of the log."""
    rows = Follower.objects.filter(name__in=(name, NUMBERED)).values_list("name", "position", "takes_parked")
    found = {each: at for each, *at in rows}
    end, _ = found.get(NUMBERED, (0, False))
    if name not in found:
        Follower.objects.bulk_create([Follower(name=name, position=end)], ignore_conflicts=True)
        return False
    position, takes_parked = found[name]
    return bool(takes_parked or position < end)


def _try_again(name: str, act: Act) -> bool:
    """Have `act` deal with the parked events that staff want tried, one by one. Whether there are more.

    What is dealt with is parked no more; what fails stays, with its new error, until it is wanted again.
    """
    rows = list(ParkedEvent.objects.filter(follower=name, again=True).order_by("position")[: AGAIN + 1])
    found = Event.objects.filter(position__in=[row.position for row in rows[:AGAIN]])
    events = {event.position: event for event in found}
    for row in rows[:AGAIN]:
        try:
            with transaction.atomic():
                act([events[row.position]])
                row.delete()
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            gone = row.position not in events
            row.again, row.at, row.error = False, timezone.now(), GONE if gone else _said(error)
            row.save()
            logger.warning("%s: event %s failed again: %s", name, row.position, row.error)
    return len(rows) > AGAIN


def _said(error: Exception) -> str:
    return UNSTORABLE.sub("", f"{type(error).__name__}: {error}")[:255]


def _note_failure(follower: Follower, events: Sequence[Event], error: Exception) -> None:
    """Look for the one that fails among fewer of them; leave it behind when it is found and has failed TRIES times."""
    if len(events) > 1:
        follower.at_once = len(events) // 2
        logger.warning("%s: one of %d events failed: %r", follower.name, len(events), error)
        return
    event = events[0]
    follower.failures += 1
    said = _said(error)
    if follower.failures < TRIES:
        logger.warning("%s: event %s failed: %s", follower.name, event.position, said)
        return
    logger.error("%s: event %s failed %d times and is left behind: %s", follower.name, event.position, TRIES, said)
    assert event.position is not None
    parked = ParkedEvent(follower=follower.name, position=event.position, kind=event.kind, error=said)
    ParkedEvent.objects.bulk_create([parked], ignore_conflicts=True)
    follower.position, follower.failures = event.position, 0
