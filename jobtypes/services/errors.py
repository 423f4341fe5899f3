"""Errors that staff name."""

from __future__ import annotations

import re
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing
from jobtypes.errors import BuiltinError
from jobtypes.models import Category, Error

_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_EDITABLE: Final = ("title", "description", "category", "should_be_retried")


def create_error(
    *, name: str, title: str, category: str, description: str = "", should_be_retried: bool = False, actor: User | None
) -> Error:
    """Name a way to fail. Raises InvalidRequest naming the field."""
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise InvalidRequest("A name is lower-case words joined by dashes, 64 characters at most.", field="name")
    if category not in Category.values:
        raise InvalidRequest(f"This is one of {', '.join(Category.values)}.", field="category")
    values = {"title": title, "description": description, "category": category, "should_be_retried": should_be_retried}
    try:
        with transaction.atomic():
            error = Error.objects.create(name=name, **values)
            tell("error.created", error.pk, actor, {"name": name, **values})
    except IntegrityError:
        raise InvalidRequest("There is an error of this name.", field="name") from None
    return error


def update_error(error: Error, *, actor: User | None, **values: Any) -> Error:
    """Change what is said of an error. Raises BuiltinError for those of the scheduler and of manifests."""
    if error.is_builtin or error.job_type_name:
        raise BuiltinError
    if values.get("category", Category.SYSTEM) not in Category.values:
        raise InvalidRequest(f"This is one of {', '.join(Category.values)}.", field="category")
    wanted: dict[str, Any] = {name: values[name] for name in _EDITABLE if name in values}
    with transaction.atomic():
        locked = Error.objects.select_for_update(no_key=True).get(pk=error.pk)
        before, changed = differing(facts_of(locked), {**facts_of(locked), **wanted})
        for name, value in {**wanted, "modified_at": timezone.now()}.items():
            setattr(error, name, value)
        error.save(update_fields=[*wanted, "modified_at"])
        if changed:
            tell("error.changed", error.pk, actor, changed, before=before)
    return error


def facts_of(error: Error) -> dict[str, Any]:
    """What may be said of an error, as the event log has it."""
    return {"name": error.name, **{name: getattr(error, name) for name in _EDITABLE}}
