"""What the front page is made of."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

from django.utils import timezone

from accounts import queries as accounts
from accounts.models import Follower, User
from accounts.queries import WebhookHealth
from accounts.services.positions import NUMBERED
from billing import queries as billing
from billing.models import Budget
from clusters.models import HostingPlace
from controlplane.schedules import SCHEDULES
from jobs import queries
from jobs.models import Beat, Place
from jobs.queries import Active, Oldest, WaitingReason

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
LATE_AFTER: Final = timedelta(minutes=2)  # how long periodic work may be due
BUDGETS: Final = 5
DAYS: Final = 30


class Found:
    """Each fact is asked for once, and only when a part of the page that its reader may see shows it."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.now: datetime = timezone.now()

    # --- Jobs ----------------------------------------------------------------------------------------

    @cached_property
    def present(self) -> queries.Present:
        return queries.Present()

    @cached_property
    def reasons(self) -> list[WaitingReason]:
        return queries.waiting_reasons(self.present)

    @cached_property
    def oldest(self) -> Oldest | None:
        return queries.oldest_waiting(self.present)

    @cached_property
    def active(self) -> list[Active]:
        return queries.active_by_kind(self.present)

    @cached_property
    def places(self) -> list[Place]:
        return list(Place.objects.order_by("cloud", "region"))

    @cached_property
    def failed_today(self) -> dict[str, int]:
        """In the last 24 hours."""
        return queries.failed_by_category(self.now - DAY)

    @cached_property
    def failed_lately(self) -> int:
        """In the last hour."""
        return sum(queries.failed_by_category(self.now - HOUR).values())

    @cached_property
    def load(self) -> list[tuple[datetime, int, int]]:
        return queries.load_since(self.now - DAY)

    @cached_property
    def throughput(self) -> list[tuple[datetime, str, int]]:
        return queries.throughput_since(self.now - DAY)

    @cached_property
    def late_work(self) -> list[str]:
        """The periodic work that nobody has rung though it is due."""
        every = {each.path: each.every_seconds for each in SCHEDULES}
        due = Beat.objects.filter(name__in=every, due_at__lt=self.now - LATE_AFTER)
        return list(due.order_by("due_at").values_list("name", flat=True))

    # --- Accounts ------------------------------------------------------------------------------------

    @cached_property
    def webhooks(self) -> WebhookHealth:
        return accounts.webhook_health(self.user)

    @cached_property
    def parked_events(self) -> int:
        return accounts.parked_events()

    @cached_property
    def lags(self) -> list[tuple[str, int]]:
        """How many events each who follows the log is behind it, the slowest first."""
        positions = dict(Follower.objects.values_list("name", "position"))
        end = positions.pop(NUMBERED, 0)
        return sorted(
            ((name, end - position) for name, position in positions.items()), key=lambda row: (-row[1], row[0])
        )

    # --- Clusters ------------------------------------------------------------------------------------

    @cached_property
    def hosting_places(self) -> list[HostingPlace]:
        return list(HostingPlace.objects.order_by("cloud", "region"))

    # --- Money ---------------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        return self.now.date()

    @cached_property
    def cost_by_day(self) -> dict[date, int]:
        return billing.cost_by_day(self.today - timedelta(days=DAYS - 1))

    @cached_property
    def cost_of_month(self) -> int:
        return billing.cost_of_month(self.today.replace(day=1))

    @cached_property
    def budgets(self) -> list[Budget]:
        """Those of which the largest share is spent."""
        return billing.fullest_budgets(self.user, BUDGETS)

    @cached_property
    def used_up_budgets(self) -> int:
        return billing.used_up(billing.visible_budgets(self.user)).count()
