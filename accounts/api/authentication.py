"""Tokens in requests."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import queries
from accounts.models import User


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer …` or `Token …`. Anything else is left to the next authenticator."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in {"bearer", "token"}:
            return None
        user = queries.user_of_token(token.strip())
        if user is None:
            raise AuthenticationFailed("The token is not valid.")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
