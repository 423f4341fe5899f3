"""How far a token has to reach for what a request asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts import access
from accounts.models import TokenScope


class Scoped:
    """Base of views: how far a token has to reach for them. `scopes` has actions or methods that are not as the rest:
    READ for what changes nothing, `changes` for what does."""

    changes: ClassVar[str] = TokenScope.MANAGE
    scopes: ClassVar[Mapping[str, str]] = {}


def needed(view: Any, method: str, name: str) -> str:
    """The scope for `name`, an action or method of `view`, called by `method`: what its `scopes` say, else READ for
    what changes nothing and `view.changes` for all others."""
    scope: str = view.scopes.get(name) or (TokenScope.READ if method in SAFE_METHODS else view.changes)
    return scope


class WithinScope(BasePermission):
    """Refuses what the request's token does not reach to, with the reason."""

    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        method = request.method or ""
        name = getattr(view, "action", None) or method.lower()
        decision = access.reach(request.user, needed(view, method, name))  # type: ignore[arg-type]
        self.message = f"{decision.why}."
        return decision.allowed
