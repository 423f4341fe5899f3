"""The resident sender of webhooks: one process that makes deliveries of what happened, and sends them.

One thread asks the database. Each caller has a thread of its own, which does not, and makes up to BATCH calls of one
webhook, one after the other, until one fails or is slow. A webhook that has answered well has AT_ONCE callers, any
other one. Those others have half of the threads at most; a call that takes longer than SLOW_SECONDS counts no more, and
while it lasts no other is begun: so a receiver that hangs delays no other.

Any number of such processes may run. What one that dies was sending is sent again, under the same id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import random
import select
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import IO, Final
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.fan_out import fan_out
from accounts.models import Webhook
from accounts.services import deliveries
from accounts.services.deliveries import Due, Outcome
from controlplane.core import outside, sets
from controlplane.core.encryption import SecretUnreadable, decrypt
from controlplane.core.enqueue import enqueue
from controlplane.core.resident import lock_alone, token_of_this_machine
from controlplane.core.unstorable import UNSTORABLE

logger = logging.getLogger("accounts.delivering")
TERM_SECONDS: Final = 20.0
BEAT_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 3.0  # between looks while there is no webhook at all
GATHER_SECONDS: Final = 0.005  # in which what ends together is written down together
LEAVE_SECONDS: Final = 3.0  # for calls that are under way when the process is told to stop
AT_ONCE: Final = 4  # callers of one webhook
BATCH: Final = 8  # calls that one makes: what the database is asked for each turn is shared by them
SLOW_SECONDS: Final = 1.0
# As many calls in all as there are threads: more than can become slow while the first of them lasts.
SLOW_TIMES: Final = round(outside.SECONDS / SLOW_SECONDS) + 2
ANSWER_CHARACTERS: Final = 1024
# The one thread that asks the database waits for its turn behind all that call: by Python's own 5 ms, for each answer.
SWITCH_SECONDS: Final = 0.0005
USER_AGENT: Final = "controlplane-webhooks"
MASK: Final = "***"


# --- One call ---------------------------------------------------------------------------------------------------------


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """The signature of the Standard Webhooks specification; `secret` is `whsec_` and base64. Raises ValueError."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    digest = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers_of(due: Due, at: datetime) -> dict[str, str]:
    """What is said beside the body. Raises SecretUnreadable, ValueError."""
    secrets = _secrets(due.secrets)
    message_id, timestamp = f"evt_{due.position}", int(at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if signing := secrets.get("signing"):
        headers["webhook-signature"] = sign(signing, message_id, timestamp, due.body)
    if authorization := secrets.get("authorization"):
        headers["Authorization"] = authorization
    return headers


@lru_cache(maxsize=1024)
def _secrets(text: str) -> dict[str, str]:
    return decrypt(text)


def call(due: Due) -> Outcome:
    """Send a delivery and wait for what comes of it. Never raises."""
    at, begun = timezone.now(), time.monotonic()

    def outcome(**facts: object) -> Outcome:
        return Outcome(due, at, round((time.monotonic() - begun) * 1000), **facts)  # type: ignore[arg-type]

    try:
        headers = headers_of(due, at)
        answer = outside.send("POST", due.url, headers, due.body.encode())
    except (outside.CallFailed, outside.AddressRefused) as error:
        return outcome(error=str(error))
    except (SecretUnreadable, binascii.Error, ValueError):
        return outcome(error="The secrets of this webhook cannot be read: see ENCRYPTION_KEYS.")
    except Exception:
        logger.exception("a delivery could not be sent")
        return outcome(error="It could not be sent.")
    retry_after = _retry_after(answer.headers.get("retry-after", "")) if answer.status in (429, 503) else None
    return outcome(status=answer.status, answer=_beginning(answer.body, headers), retry_after=retry_after)


def _beginning(body: bytes, headers: dict[str, str]) -> str:
    """The beginning of an answer as text, without what it repeats of our secrets."""
    text = UNSTORABLE.sub("", body.decode("utf-8", "replace"))
    authorization = headers.get("Authorization", "")
    for secret in (authorization, *authorization.split(), headers.get("webhook-signature", "")):
        text = text.replace(secret, MASK) if len(secret) > len(MASK) else text
    return text[:ANSWER_CHARACTERS]


def _retry_after(text: str) -> timedelta | None:
    """Seconds, or a moment; None for anything else."""
    with suppress(ValueError, TypeError, OverflowError):
        if text.strip().isdecimal():
            return timedelta(seconds=min(int(text[:10]), 10**9))
        at = parsedate_to_datetime(text)
        return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - timezone.now())
    return None


# --- Many calls -------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Caller:
    """A thread that sends deliveries of one webhook. `begun`: when its present call began."""

    webhook_id: int
    dues: list[Due]
    begun: float
    is_over: bool = False

    @property
    def is_slow(self) -> bool:
        return time.monotonic() - self.begun > SLOW_SECONDS


class Sender:
    """Sends what is due. What it remembers between turns is only what is under way, and who has answered well."""

    def __init__(self, token: UUID, threads: int, send: Callable[[Due], Outcome] = call) -> None:
        self._token, self._threads, self._send = token, threads, send
        self._callers: set[_Caller] = set()
        self._done: SimpleQueue[Outcome] = SimpleQueue()
        self._leaves = False
        self._well: set[int] = set()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def turn(self) -> bool:
        """Write down what has ended, and begin what is due. Was there anything?"""
        ended = self._settle()
        begun = self._begin()
        return bool(ended or begun)

    def wait(self, seconds: float) -> bool:
        """Until a caller is through, so long at most. Is one?"""
        ready, _, _ = select.select([self._wake], [], [], seconds)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        return bool(ready)

    def leave(self, seconds: float) -> None:
        """Begin nothing more, and let calls end for so long; the others are given back, to be sent again."""
        self._leaves = True
        end = time.monotonic() + seconds
        while self._callers and time.monotonic() < end:
            self.wait(end - time.monotonic())
            self._settle()
        deliveries.release(self._token)
        self._callers.clear()

    def _settle(self) -> int:
        over = [caller for caller in self._callers if caller.is_over]  # first: all that they tell is there then
        outcomes: list[Outcome] = []
        with suppress(Empty):
            while True:
                outcomes.append(self._done.get_nowait())
        if not outcomes and not over:
            return 0
        try:
            deliveries.settle(outcomes)
            if unsent := [due.id for caller in over for due in caller.dues]:
                deliveries.release(self._token, unsent)
        except DatabaseError:
            for each in outcomes:  # it is true all the same
                self._done.put(each)
            raise
        self._callers.difference_update(over)
        for each in outcomes:
            if each.is_taken:
                self._well.add(each.due.webhook_id)
            else:
                self._well.discard(each.due.webhook_id)
        return len(outcomes)

    def _room(self) -> int:
        """How many more callers may begin."""
        young = sum(not caller.is_slow for caller in self._callers)
        return min(self._threads - young, SLOW_TIMES * self._threads - len(self._callers))

    def _begin(self) -> int:
        room = self._room()
        if room <= 0:
            return 0
        wanted = self._wanted(deliveries.callable_webhooks(), room)
        if not wanted:
            return 0
        # One that is not known to be well is called once, and another call waits for what comes of it.
        most = {pk: BATCH * new if pk in self._well else 1 for pk, new in wanted.items()}
        of_webhook: defaultdict[int, list[Due]] = defaultdict(list)
        for due in deliveries.take(most, self._token):
            of_webhook[due.webhook_id].append(due)
        for pk, dues in of_webhook.items():
            for each in range(min(len(dues), wanted[pk])):
                caller = _Caller(pk, dues[each :: wanted[pk]], time.monotonic())
                self._callers.add(caller)
                threading.Thread(target=self._run, args=(caller,), name="webhook", daemon=True).start()
        return len(of_webhook)

    def _wanted(self, hooks: dict[int, bool], room: int) -> dict[int, int]:
        """How many more callers which webhooks may have, as far as there is room; whose turn it is, is chance."""
        under_way = Counter(caller.webhook_id for caller in self._callers)
        others = [caller for caller in self._callers if caller.webhook_id not in self._well]
        young = sum(not caller.is_slow for caller in others)
        slow = {caller.webhook_id for caller in self._callers if caller.is_slow}
        left = min(self._threads // 2 - young, SLOW_TIMES * self._threads // 2 - len(others))
        wanted: dict[int, int] = {}
        for pk in random.sample(sorted(hooks), len(hooks)):
            is_well = pk in self._well and not hooks[pk]
            new = (AT_ONCE if is_well else 1) - under_way[pk]
            if new <= 0 or pk in slow or (not is_well and left <= 0):
                continue
            left -= not is_well
            new = min(new, room)
            wanted[pk] = new
            room -= new
            if room <= 0:
                break
        return wanted

    def _run(self, caller: _Caller) -> None:
        """Send what `caller` was given; what is left of it then was not."""
        is_well = True
        while is_well and caller.dues and not self._leaves:
            caller.begun = time.monotonic()
            outcome = self._send(caller.dues[0])
            del caller.dues[0]
            is_well = outcome.is_taken and not caller.is_slow
            self._done.put(outcome)
        caller.is_over = True
        os.eventfd_write(self._wake, 1)


_locks: list[IO[str]] = []  # open for as long as the process lives


@lru_cache(maxsize=1)
def sender() -> Sender:
    """This process's own: it outlives the term of a pass. What dead ones of this machine held is free at once."""
    token = token_of_this_machine("webhooks")
    lock = lock_alone("webhooks")
    if lock is not None:
        _locks.append(lock)
        if count := deliveries.release(token):
            logger.warning("%d deliveries were under way when their sender ended; they are sent again", count)
    else:  # another process has that token
        token = UUID(bytes=os.urandom(16))
    return Sender(token, settings.WEBHOOK_THREADS)


def run(stopping: Callable[[], bool], beat: Callable[[], None], sender: Sender) -> None:
    """Make and send deliveries for a term; then ring, so that another pass follows."""
    sys.setswitchinterval(SWITCH_SECONDS)
    sets.run("DELETE FROM django_q_ormq WHERE key = %s", [settings.WEBHOOKS])
    end = time.monotonic() + TERM_SECONDS
    look_at = 0.0
    while not stopping() and time.monotonic() < end:
        beat()
        try:
            went_on = 0
            if time.monotonic() >= look_at:
                went_on = fan_out()
                idle = not went_on and not Webhook.objects.filter(is_enabled=True).exists()
                look_at = time.monotonic() + (IDLE_SECONDS if idle else 0.0 if went_on else BEAT_SECONDS)
            busy = sender.turn()
        except DatabaseError:
            logger.exception("the database failed")
            connection.close()
            time.sleep(BEAT_SECONDS)
            continue
        if went_on:
            continue
        if sender.wait(GATHER_SECONDS if busy else BEAT_SECONDS):
            time.sleep(GATHER_SECONDS)
    if stopping():
        sender.leave(LEAVE_SECONDS)
    with transaction.atomic():
        enqueue("accounts.tasks.run_webhooks")
