"""Errors that staff name."""

from __future__ import annotations

import re
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core.errors import InvalidRequest
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
    changed = {name: values[name] for name in _EDITABLE if name in values and values[name] != getattr(error, name)}
    with transaction.atomic():
        before = {name: getattr(error, name) for name in changed}
        for name, value in changed.items():
            setattr(error, name, value)
        error.modified_at = timezone.now()
        error.save(update_fields=[*changed, "modified_at"])
        tell("error.changed", error.pk, actor, changed, before=before)
    return error
