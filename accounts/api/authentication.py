"""Tokens in requests."""

from __future__ import annotations

from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import queries, services, viewing
from accounts.models import User
from controlplane.core.logs import name_caller


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer …` or `Token …`. Anything else is left to the next authenticator."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in {"bearer", "token"}:
            return None
        token = token.strip()
        user = queries.user_of_token(token)
        if user is None:
            raise AuthenticationFailed("The token is not valid.")
        name_caller(user.username, token[: queries.TOKEN_PREFIX_LENGTH])
        services.note_use(token)
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class NativeSession(SessionAuthentication):
    """The session of a browser; while staff see as a customer's user does, that user, for reading.

    A session of staff that owes a one-time code is nobody's here either: it could make tokens, and users.
    """

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        actor: User = found[0]
        if not queries.is_proved(request._request.session, actor):
            return None
        user = viewing.viewed(request._request.session, actor)
        request.viewed_by = None if user is None else actor  # type: ignore[attr-defined] # for the pages
        return (actor if user is None else user), None


class _NativeSessionScheme(SessionScheme):  # type: ignore[no-untyped-call] # of its base
    """What the OpenAPI schema says of it: what it says of Django's."""

    target_class = NativeSession  # type: ignore[assignment] # the base names it by its path


class TokenHeader(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # of its base
    """What the OpenAPI schema says of it. Here, so that it is known wherever the authenticator is."""

    target_class = TokenAuthentication
    name = "TokenHeader"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A token, as `Authorization: Bearer …`."}
