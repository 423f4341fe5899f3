"""What holds and quotas cover, by the names people use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from accounts import access
from accounts.models import Customer, User
from controlplane.core.errors import InvalidRequest
from jobs.models import Gate, Hold, Job, Place, Scope
from jobs.queries.found import visible_jobs
from jobtypes.models import JobType

_TARGETS: Final[dict[str, tuple[str, ...]]] = {
    Scope.ALL: (),
    Scope.PLACE: ("cloud", "region"),
    Scope.CUSTOMER: ("customer",),
    Scope.OWNER: ("owner",),
    Scope.QUEUE: ("cloud", "region", "queue"),
    Scope.JOB_TYPE: ("job_type",),
    Scope.JOB: ("job",),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the rows that scopes name by id."""

    places: dict[int, tuple[str, str]]
    customers: dict[int, str]
    owners: dict[int, str]


def names_of(rows: Iterable[Hold | Gate]) -> Names:
    """The names for these holds and gates, in one look each."""
    ids: dict[str, set[int]] = {}
    for row in rows:
        if row.scope_id and row.scope != Scope.JOB:
            ids.setdefault(row.scope, set()).add(int(row.scope_id.partition(":")[0]))
    places = ids.get(Scope.PLACE, set()) | ids.get(Scope.QUEUE, set())
    return Names(
        places={i: (cloud, region) for i, cloud, region in _named(Place, places, "cloud", "region")},
        customers=dict(_named(Customer, ids.get(Scope.CUSTOMER, set()), "name")),
        owners=dict(_named(User, ids.get(Scope.OWNER, set()), "username")),
    )


def _named(model: Any, ids: set[int], *fields: str) -> list[Any]:
    return list(model.objects.filter(pk__in=ids).values_list("pk", *fields)) if ids else []


def visible_holds(user: User) -> QuerySet[Hold]:
    """The holds that `user` may read: all, or those on their customer, on themselves and on jobs they may read."""
    rows = Hold.objects.select_related("set_by")
    if access.decide(user, "holds", access.READ).allowed:
        return rows
    held = visible_jobs(user).filter(lane__on_hold=True).annotate(text=Cast("id", CharField())).values("text")
    return rows.filter(_own(user) | Q(scope=Scope.JOB, scope_id__in=held))


def visible_quotas(user: User) -> QuerySet[Gate]:
    """The quotas that `user` may read: all, or their customer's and their own."""
    rows = Gate.objects.select_related("set_by")
    return rows if access.decide(user, "holds", access.READ).allowed else rows.filter(_own(user))


def _own(user: User) -> Q:
    own = Q(scope=Scope.OWNER, scope_id=str(user.pk))
    return own | Q(scope=Scope.CUSTOMER, scope_id=str(user.customer_id)) if user.customer_id else own


def check_may_steer(user: User) -> None:
    """Raise Forbidden unless `user` may set holds and quotas."""
    access.demand(user, "holds", access.CHANGE)


def scope_id_of(scope: str, target: Mapping[str, Any]) -> str:
    """The id of what `target` names in this scope. Raises InvalidRequest naming the field at fault."""
    needed = _TARGETS[scope]
    for name in {field for fields in _TARGETS.values() for field in fields}:
        if name in needed and target.get(name) in (None, ""):
            raise InvalidRequest(f"The scope {scope} needs this.", field=name)
        if name not in needed and target.get(name) not in (None, ""):
            raise InvalidRequest(f"This does not go with the scope {scope}.", field=name)
    if scope == Scope.ALL:
        return ""
    if scope == Scope.CUSTOMER:
        return str(_existing(Customer, "customer", name=target["customer"]))
    if scope == Scope.OWNER:
        return str(_existing(User, "owner", username=target["owner"]))
    if scope == Scope.JOB_TYPE:
        return str(_existing(JobType, "job_type", pk=target["job_type"]))
    if scope == Scope.JOB:
        return str(_existing(Job, "job", pk=target["job"]))
    place = _existing(Place, "region", cloud=target["cloud"], region=target["region"])
    return f"{place}:{target['queue']}" if scope == Scope.QUEUE else str(place)


def _existing(model: Any, field: str, **key: Any) -> int:
    found: int | None = model.objects.filter(**key).values_list("pk", flat=True).first()
    if found is None:
        raise InvalidRequest(f"There is no such {field}.", field=field)
    return found
