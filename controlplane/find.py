"""The admin's one search box: whatever people have in their clipboard, and how a name begins.

Exact finds come first: an id, a uuid, a cloud's own name of what runs there, a bill's invoice. Then names, of each
kind the first few. All of it goes by indexes, and costs the same number of statements however much there is. Who may
not see a kind of rows in its list finds none of them here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib.admin import AdminSite
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import ApiToken, Customer, Event, User, Webhook
from accounts.queries import TOKEN_PREFIX_LENGTH
from billing.models import Bill, Budget, MeterEvent, PaymentDetails, StripeEvent, UsageRecord
from clusters.models import Cluster, Container, ImageVersion, Placement
from clusters.queries import handles_named
from controlplane.core.beginnings import first
from controlplane.core.filters import read_reference
from jobs.models import Artifact, ArtifactVersion, Execution, File, Job, Operation, Recipe
from jobs.queries import classes_beginning
from jobtypes.models import Error, JobType, RecipeType, Workspace

SHOWN: Final = 8  # of each kind
LONGEST: Final = 200  # of a term


@dataclass(frozen=True, slots=True)
class Hit:
    label: str
    url: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """`more`: the list with the same search, where there are more than are shown."""

    title: str
    hits: Sequence[Hit]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    exact: Sequence[Hit] = ()
    groups: Sequence[Group] = ()

    @property
    def only(self) -> Hit | None:
        """What can be meant alone."""
        return self.exact[0] if len(self.exact) == 1 and not self.groups else None


@dataclass(frozen=True, slots=True)
class Kind:
    """`word`: what one is called, also before a number. `name`: the field whose beginning is searched for, if any."""

    model: type[Model]
    word: str
    about: Sequence[str] = ()
    name: str = ""
    any_case: bool = True
    has_uuid: bool = True
    has_number: bool = True


# In the order in which they are shown.
KINDS: Final = (
    Kind(Job, "job", ("classification", "customer__name", "status")),
    Kind(Execution, "execution", ("job_id", "number", "status"), has_number=False),
    Kind(Recipe, "recipe", ("recipe_type__name", "customer__name")),
    Kind(Customer, "customer", name="name", has_uuid=False),
    Kind(User, "user", ("role", "email"), name="username"),
    Kind(ApiToken, "token", ("user__username", "name"), name="prefix", any_case=False, has_number=False),
    Kind(Cluster, "cluster", ("owner__username",), name="name"),
    Kind(Container, "container", ("cluster__name", "status"), name="name"),
    Kind(ImageVersion, "image version", ("image",), name="version", has_uuid=False, has_number=False),
    Kind(JobType, "job type", ("version", "title"), name="name", has_uuid=False),
    Kind(RecipeType, "recipe type", ("title",), name="name", has_uuid=False),
    Kind(Workspace, "workspace", ("title",), name="name", has_uuid=False),
    Kind(Artifact, "artifact", ("protocol",), name="name", has_uuid=False),
    Kind(File, "file", ("media_type",), name="name", any_case=False),
    Kind(Error, "error", ("job_type_name", "title"), name="name", has_uuid=False, has_number=False),
    Kind(Webhook, "webhook", ("owner__username",), name="name"),
    Kind(Operation, "operation", ("kind", "status"), has_uuid=False),
    Kind(Bill, "bill", ("customer__name", "month", "status")),
    Kind(Budget, "budget", ("period",), has_number=False),
    Kind(UsageRecord, "usage record", ("kind", "customer__name"), has_uuid=False),
)
_BY_WORD: Final = {kind.word: kind for kind in KINDS}
_NAMED: Final = re.compile(r"([a-z][a-z _-]*[a-z])[\s#:/]*(\d{1,18})", re.ASCII)
# What Stripe calls what: how it begins, and where it stands.
_AT_STRIPE: Final[tuple[tuple[str, type[Model], str], ...]] = (
    ("in_", Bill, "stripe_invoice"),
    ("evt_", StripeEvent, "stripe_id"),
    ("cus_", PaymentDetails, "stripe_id"),
    ("usage-", MeterEvent, "identifier"),
)


def find(site: AdminSite, request: HttpRequest, term: str) -> Found:
    """What may be meant by `term`, of what whoever asks may see."""
    term = " ".join(term.replace("\0", "").split())[:LONGEST]
    return _Search(site, request).find(term) if term else Found()


class _Search:
    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        self._site, self._request = site, request

    def find(self, term: str) -> Found:
        try:
            key = read_reference(term)
        except ValueError:
            return self._words(term)
        if isinstance(key, UUID):
            return Found([*self._by_uuid(key), *self._by_handle(term)])
        return Found(self._by_number(key), self._names(term))

    def _words(self, term: str) -> Found:
        named = _NAMED.fullmatch(term.lower())
        word = re.sub(r"[ _-]+", " ", named[1]) if named else ""
        if named and word == "event":
            return Found(self._event(int(named[2])))
        if named and word in _BY_WORD:
            kind = _BY_WORD[word]
            return Found(self._exact(kind, Q(pk=int(named[2]))))
        return Found([*self._by_handle(term), *self._at_stripe(term)], self._names(term))

    # --- Rows that this user sees --------------------------------------------------------------------

    def _rows(self, model: type[Model]) -> QuerySet[Any] | None:
        its = self._site._registry.get(model)
        if its is None or not its.has_view_permission(self._request):
            return None
        return its.get_queryset(self._request).select_related(None).prefetch_related(None).order_by()

    def _exact(self, kind: Kind, wanted: Q) -> list[Hit]:
        rows = self._rows(kind.model)
        return [] if rows is None else self._hits(kind, rows.filter(wanted)[:SHOWN])

    def _hits(self, kind: Kind, rows: QuerySet[Any], *, named: bool = False) -> list[Hit]:
        columns = (kind.name, *kind.about) if kind.name else kind.about
        hits = []
        for pk, *values in rows.values_list("pk", *columns):
            label = str(values[0]) if named else f"{kind.word.capitalize()} {pk}"
            about = ", ".join(str(value) for value in values[1 if named else 0 :] if value not in (None, ""))
            hits.append(Hit(label, self._page(kind.model, pk), about))
        return hits

    def _page(self, model: type[Model], pk: int) -> str:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])

    def _list(self, model: type[Model], **query: str) -> str:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        return f"{page}?{urlencode(query)}"

    # --- Exact ---------------------------------------------------------------------------------------

    def _by_uuid(self, key: UUID) -> list[Hit]:
        found = [hit for kind in KINDS if kind.has_uuid for hit in self._exact(kind, Q(uuid=key))]
        of_version = ArtifactVersion.objects.filter(uuid=key).values("artifact")
        return [*found, *self._exact(_BY_WORD["artifact"], Q(pk__in=of_version)), *self._placed(Q(uuid=key))]

    def _by_number(self, key: int) -> list[Hit]:
        found = [hit for kind in KINDS if kind.has_number for hit in self._exact(kind, Q(pk=key))]
        return [*found, *self._event(key)]

    def _event(self, key: int) -> list[Hit]:
        """By its place among all events, by which everybody is told of it, or by its id in the table."""
        rows = self._rows(Event)
        if rows is None:
            return []
        columns = ("pk", "position", "kind", "subject_kind", "subject_id")
        return [
            Hit(
                f"Event {position if position == key else pk}",
                self._page(Event, pk),
                f"{kind} of {subject} {subject_id}, {'its position' if position == key else 'its id in the table'}",
            )
            for pk, position, kind, subject, subject_id in rows.filter(Q(position=key) | Q(pk=key)).values_list(
                *columns
            )
        ]

    def _by_handle(self, term: str) -> list[Hit]:
        """What a cloud calls so."""
        meant = Q(handle__in=handles_named(term)) & ~Q(handle="")
        return [*self._exact(_BY_WORD["execution"], meant), *self._placed(meant)]

    def _placed(self, wanted: Q) -> list[Hit]:
        """The containers of which something stands at a place that is called so there."""
        if self._rows(Container) is None:
            return []
        # Asked for first: as a condition of the containers it would be tried on each of them.
        ids = list(Placement.objects.filter(wanted).values_list("container", flat=True)[:SHOWN])
        return self._exact(_BY_WORD["container"], Q(pk__in=ids)) if ids else []

    def _at_stripe(self, term: str) -> list[Hit]:
        for beginning, model, column in _AT_STRIPE:
            rows = self._rows(model) if term.startswith(beginning) else None
            if rows is not None:
                found = rows.filter(Q(**{column: term}) & ~Q(**{column: ""}))[:SHOWN].values_list("pk", flat=True)
                return [
                    Hit(f"{str(model._meta.verbose_name).capitalize()} {pk}", self._page(model, pk)) for pk in found
                ]
        return []

    # --- Names ---------------------------------------------------------------------------------------

    def _names(self, term: str) -> list[Group]:
        groups = [self._classes(term), *(self._named(kind, term) for kind in KINDS if kind.name)]
        return [group for group in groups if group.hits]

    def _classes(self, term: str) -> Group:
        if self._rows(Job) is None:
            return Group("Jobs by class", ())
        names = classes_beginning(term, SHOWN + 1)
        hits = [Hit(name, self._list(Job, classification=name)) for name in names[:SHOWN]]
        return Group("Jobs by class", hits, self._list(Job, q=term) if len(names) > SHOWN else "")

    def _named(self, kind: Kind, term: str) -> Group:
        title = str(kind.model._meta.verbose_name_plural).capitalize()
        rows = self._rows(kind.model)
        if rows is None:
            return Group(title, ())
        wanted = term[:TOKEN_PREFIX_LENGTH] if kind.model is ApiToken else term
        name = "email" if kind.model is User and "@" in term else kind.name
        found = first(rows, name, wanted, any_case=kind.any_case)[: SHOWN + 1]
        hits = self._hits(kind, found, named=True)
        return Group(title, hits[:SHOWN], self._list(kind.model, q=term) if len(hits) > SHOWN else "")
