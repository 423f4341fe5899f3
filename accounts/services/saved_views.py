"""Lists of the admin that staff keep under a name."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from accounts.errors import SavedViewNotFound
from accounts.events import tell
from accounts.models import Role, SavedView, User
from controlplane.core.errors import Forbidden, InvalidRequest

MOST: Final = 200  # of a user
SHARING: Final = (Role.ADMIN, Role.OPERATOR)


def save_view(*, actor: User, list_name: str, query: str, name: str, is_shared: bool = False) -> SavedView:
    """Keep a list's filters and search under `name`; what `actor` kept of the list under that name is replaced.

    Who only reads shares nothing. Raises InvalidRequest naming the field, Forbidden.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise InvalidRequest("A name has from 1 to 100 characters.", field="name")
    if len(query) > 2000:
        raise InvalidRequest("These are too many filters to be kept.", field="query")
    if is_shared and actor.role not in SHARING:
        raise Forbidden("Only admins and operators share views with all of the staff.", field="is_shared")
    with transaction.atomic():
        own = SavedView.objects.select_for_update().filter(user=actor)
        if own.exclude(list_name=list_name, name=name).count() >= MOST:
            raise InvalidRequest(f"You have {MOST} views already: delete some first.", field="name")
        values = {"query": query, "is_shared": is_shared}
        before = own.filter(list_name=list_name, name=name).first()
        told = _facts(before) if before is not None and before.is_shared else None
        view, _ = SavedView.objects.update_or_create(user=actor, list_name=list_name, name=name, defaults=values)
        if is_shared and told != _facts(view):
            tell("saved_view.shared", view.pk, actor, _facts(view), before=told)
        elif told is not None and not is_shared:
            tell("saved_view.withdrawn", view.pk, actor, {"name": name}, before=told)
    return view


def _facts(view: SavedView) -> dict[str, str]:
    """What the event log has of a view that all of the staff see; of one that is somebody's own it has nothing."""
    return {"name": view.name, "list_name": view.list_name, "query": view.query}


def delete_view(*, actor: User, view_id: int) -> SavedView:
    """Forget a view of one's own; admins forget shared ones of others, too. Raises SavedViewNotFound, Forbidden."""
    with transaction.atomic():
        view = SavedView.objects.select_for_update(of=("self",)).filter(pk=view_id).first()
        if view is None or (view.user_id != actor.pk and not view.is_shared):
            raise SavedViewNotFound
        if view.user_id != actor.pk and actor.role != Role.ADMIN:
            raise Forbidden("It is somebody else's.")
        SavedView.objects.filter(pk=view_id).delete()
        if view.is_shared:
            tell("saved_view.withdrawn", view_id, actor, {"name": view.name}, before=_facts(view))
    return view
