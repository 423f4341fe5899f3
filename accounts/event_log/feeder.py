"""What has just happened, read once for all who follow the event log in this process.

The last events are kept here as they are told, a bounded number of them; who is further behind reads on from the
database until it has caught up.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count, islice, takewhile
from typing import Final

from accounts import queries
from accounts.event_log.reading import MAX_LIMIT, between, end_of_log
from accounts.event_log.told import Told
from accounts.models import User
from accounts.services.positions import number_events
from controlplane.core import feeding

KEPT: Final = 4096
KEPT_CHARACTERS: Final = 2**23
LOOK_SECONDS: Final = 0.5
CHECK_LOOKS: Final = 5  # one look in so many asks whether those who follow still may; what is news comes in between


class Follower(feeding.Follower):
    """Somebody who follows the log: with this token, or signed in without one."""

    def __init__(self, user: User, token: str) -> None:
        super().__init__()
        self.digest = queries.digest(token) if token else ""
        self.standing = queries.Standing(user.pk, user.role, user.customer_id)


class Feeder(feeding.Feeder[Follower]):
    """Those who follow the event log in this process.

    `end`: the position up to which it has looked, 0 before it has; of the events up to there it has the last ones.
    """

    name = "followers of events"
    look_seconds = LOOK_SECONDS

    def __init__(self) -> None:
        self.rest()
        super().__init__()

    def rest(self) -> None:
        self.end = 0
        self._kept: OrderedDict[int, Told] = OrderedDict()
        self._characters = 0
        self._looks = 0

    def after(self, position: int, at_most: int) -> list[Told]:
        """The events that follow on this position without a gap; none if it is not among those that are kept."""
        found = (self._kept.get(each) for each in count(position + 1))
        return [each for each in islice(takewhile(bool, found), at_most) if each is not None]

    def look(self, followers: list[Follower]) -> bool:
        self._looks += 1
        if self._looks % CHECK_LOOKS == 1:
            self._check(followers)
        number_events()
        end = end_of_log()
        before = self.end
        if not before:
            self.end = end  # of what was before, whoever needs it reads the log
        while self.end < end:
            self._read_on(end)
        if end == before:
            return False
        for follower in followers:
            follower.wake()
        return True

    def _read_on(self, end: int) -> None:
        found = between(max(self.end, end - KEPT), end, MAX_LIMIT)
        for each in found:
            self._kept[each.position] = each
            self._characters += len(each.head) + len(each.tail)
        while len(self._kept) > KEPT or self._characters > KEPT_CHARACTERS:
            _, dropped = self._kept.popitem(last=False)
            self._characters -= len(dropped.head) + len(dropped.tail)
        self.end = found[-1].position if len(found) == MAX_LIMIT else end

    def _check(self, followers: list[Follower]) -> None:
        """Send away who was disabled or is something else now, and whose token is no more."""
        standings = queries.standings({follower.standing.user_id for follower in followers})
        digests = queries.live_digests({follower.digest for follower in followers} - {""})
        for follower in followers:
            if follower.standing not in standings or (follower.digest and follower.digest not in digests):
                follower.send_away()


present = Feeder()
