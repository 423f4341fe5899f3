"""Events that who acts upon the log could not deal with, in the admin: why, and a button to have them tried again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from accounts import services
from accounts.models import Event, ParkedEvent, User
from controlplane.core.admin import badge, facts, link, shown_json, when
from controlplane.core.admin_filters import TextFilter
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form


class FollowerFilter(TextFilter):
    title = "who left it, such as meter"
    parameters = ("follower",)


def _badge(row: ParkedEvent) -> SafeString:
    return badge("TRIED AGAIN SOON", "waiting") if row.again else badge("LEFT BEHIND", "bad")


@admin.register(ParkedEvent)
class ParkedEventAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """All of the staff see them; admins and operators have them tried again. What is dealt with is gone from here."""

    list_display = ("id", "follower", "position", "kind", "state", "error", "at")
    list_filter = (FollowerFilter,)
    search_fields = ("position",)
    search_help_text = "The event's position in the log"
    fields = ("follower",)
    history_of = "parked_event"
    removal = "Dismiss"
    removal_warning = "For what has been done by hand, or never can be: nobody deals with the event any more."

    def search(self, rows: QuerySet[ParkedEvent], term: str) -> QuerySet[ParkedEvent]:
        is_position = term.isascii() and term.isdigit() and len(term) < 19
        return rows.filter(position=int(term)) if is_position else rows.none()

    @admin.display(description="state")
    def state(self, row: ParkedEvent) -> SafeString:
        return _badge(row)

    def detail(self, request: HttpRequest, row: ParkedEvent) -> Detail:
        event = Event.objects.filter(position=row.position).first()
        return Detail(
            title=f"Parked event {row.pk}",
            badges=[_badge(row)],
            line=row.error,
            cards=(("What was left", _facts(row, event)),),
            sections=(
                ("Before", shown_json(event.before) if event and event.before else ""),
                ("After", shown_json(event.after) if event and event.after else ""),
            ),
        )

    def remove(self, request: HttpRequest, row: ParkedEvent) -> None:
        services.dismiss_parked(parked=row, actor=_user(request))

    def row_pages(self) -> list[RowPage]:
        return [
            *super().row_pages(),
            RowPage(
                name="again",
                label="Try again",
                title="Have {row} tried again?",
                allowed=lambda request, row: self.may_change(request, row) and not row.again,
                act=_one,
                form=plain_form,
                warning=lambda request, row: (
                    "It is dealt with as if it had just happened, and is gone from here; else it stays with its error."
                ),
            ),
            RowPage(
                name="all_again",
                label="Try all of them again",
                title="Have all that {row.follower} has left tried again?",
                allowed=self.may_change,
                act=_all,
                form=plain_form,
                button="Try again",
            ),
        ]


def _facts(row: ParkedEvent, event: Event | None) -> SafeString | str:
    subject = f"{event.subject_kind} {event.subject_id}" if event else ""
    page = link(reverse("admin:accounts_event_change", args=[event.pk]), event.pk) if event else "gone from the log"
    return facts(
        (
            ("Follower", row.follower),
            ("Event", page),
            ("Position", row.position),
            ("Kind", row.kind),
            ("Of", subject),
            ("Happened", when(event.at) if event else ""),
            ("Failed the last time", when(row.at)),
            ("Error", row.error),
        )
    )


def _one(request: HttpRequest, row: ParkedEvent, wish: dict[str, Any], form: Any) -> str:
    services.try_again(follower=row.follower, position=row.position, actor=_user(request))
    return f"{row.follower} tries it again when it next looks at the log."


def _all(request: HttpRequest, row: ParkedEvent, wish: dict[str, Any], form: Any) -> str:
    count = services.try_again(follower=row.follower, actor=_user(request))
    return f"{row.follower} tries {count} again when it next looks at the log."


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin lets nobody else in
    return request.user
