"""The event log in the admin: to read and to search, for everybody on the staff; nobody writes here."""

from __future__ import annotations

import re
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.event_kinds import SUBJECTS
from accounts.models import Event, User
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.keyset_admin import KeysetAdmin

_SUBJECT: Final = re.compile(r"([a-z_-]+)[ :#]+(\d{1,18})")


class SubjectFilter(ChoiceFilter):
    title = "subject"
    parameters = ("subject_kind",)
    words = tuple((kind, kind) for kind in SUBJECTS)


class KindFilter(TextFilter):
    title = "kind, such as job.moved"
    parameters = ("kind",)


class ActorFilter(TextFilter):
    title = "who did it, by user name"
    parameters = ("actor",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(actor__in=User.objects.filter(username__in=self.values["actor"]).values("pk"))


@admin.register(Event)
class EventAdmin(KeysetAdmin):
    list_display = (
        *("id", "position", "at", "kind", "subject_kind", "subject_id", "actor", "customer", "before", "after"),
    )
    list_filter = (SubjectFilter, KindFilter, ActorFilter)
    list_select_related = ("actor", "customer")
    search_fields = ("subject_id",)
    search_help_text = "A subject's id (42, or job 42), a kind, or who did it"
    fields = ("position", "at", "kind", "subject_kind", "subject_id", "actor", "customer", "before", "after")

    def search(self, rows: QuerySet[Event], term: str) -> QuerySet[Event]:
        if term.isascii() and term.isdigit() and len(term) < 19:
            # The index begins with the kind of the subject: a search by an id alone names them all.
            return rows.filter(subject_kind__in=SUBJECTS, subject_id=int(term))
        named = _SUBJECT.fullmatch(term)
        if named:
            return rows.filter(subject_kind=named[1], subject_id=int(named[2]))
        if "." in term:
            return rows.filter(kind=term)
        return rows.filter(actor__in=User.objects.filter(username=term).values("pk"))
