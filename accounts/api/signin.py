"""Checking a password over HTTP: every check is counted by django-axes, and too many failures lock out for a while."""

from __future__ import annotations

import ipaddress
import math
from typing import Any

from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate, user_logged_in
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts import addresses, queries
from accounts.errors import NotVerified, TooManyAttempts, WrongCredentials
from accounts.models import User


def sign_in(request: HttpRequest, username: str, password: str) -> User:
    """The enabled user with this name and password. Raises WrongCredentials, TooManyAttempts, NotVerified.

    A success forgets the failures before it and becomes the user's `last_login`: what Django's own login
    does but for the session.
    """
    user = check_password(request, username, password)
    if not user.is_verified:
        raise NotVerified
    user_logged_in.send(sender=User, request=request, user=user)
    return user


def check_password(request: HttpRequest, username: str, password: str, *, field: str = "password") -> User:
    """As `sign_in`, where nobody signs in: a failure counts, a success forgets nothing. `field` names what is wrong."""
    user = authenticate(request=request, username=username, password=password)
    if getattr(request, "axes_locked_out", False):
        raise _too_many(request, username)
    if not isinstance(user, User):
        raise WrongCredentials(field=field)
    return user


def check_password_of_address(request: HttpRequest, email: str, password: str) -> User:
    """As `check_password`, of the user with this e-mail address. A password is hashed also when there is none."""
    user = queries.find_user_by_email(email)
    return check_password(request, user.username if user else addresses.normalised(email), password)


def _too_many(request: HttpRequest, username: str | None) -> TooManyAttempts:
    error = TooManyAttempts()
    error.retry_after_seconds = _retry_after_seconds(request, username)
    return error


def _retry_after_seconds(request: HttpRequest, username: str | None) -> int:
    """Until the last failure that counts has cooled off."""
    attempts = AccessAttempt.objects.filter(username=username, ip_address=address_of(request))
    last = attempts.order_by("-attempt_time").values_list("attempt_time", flat=True).first()
    cool_off = get_cool_off(request)
    if last is None or cool_off is None:
        return TooManyAttempts.retry_after_seconds
    left: float = (last + cool_off - timezone.now()).total_seconds()
    return max(1, math.ceil(left))


def address_of(request: HttpRequest) -> str | None:
    """The caller's address: the connection's, or what our own proxy has added last to X-Forwarded-For."""
    told = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_TLS_PROXY:
        told = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2] or told
    try:
        return str(ipaddress.ip_address(told.strip()))
    except ValueError:
        return None


def locked_out(
    request: HttpRequest, response: HttpResponseBase | None, credentials: dict[str, Any] | None
) -> HttpResponseBase:
    """What django-axes answers with in place of `response`; the API's own 429 stands as it is."""
    if response is not None and response.status_code == TooManyAttempts.http_status:
        return response
    error = _too_many(request, (credentials or {}).get("username"))
    headers = {"Retry-After": str(error.retry_after_seconds), "Cache-Control": "no-store"}
    plain = "text/plain; charset=utf-8"
    return HttpResponse(f"{error.message}\n", status=error.http_status, content_type=plain, headers=headers)
