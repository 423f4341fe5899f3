"""Parameters of a query, read strictly: each refusal names the parameter."""

from __future__ import annotations

import math

from django.http import HttpRequest

from controlplane.core.errors import InvalidRequest


def required(request: HttpRequest, name: str) -> str:
    value = storable(request, name)
    if not value:
        raise InvalidRequest("This parameter is required.", field=name)
    return value


def storable(request: HttpRequest, name: str) -> str | None:
    """A parameter that is compared with stored text, which never holds a NUL: PostgreSQL refuses to look for one."""
    value = request.GET.get(name)
    if value is not None and "\0" in value:
        raise InvalidRequest("This holds a NUL.", field=name)
    return value


def milliseconds(request: HttpRequest, name: str) -> float:
    """A number of milliseconds since 1970."""
    try:
        value = float(required(request, name))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest("This must be a number of epoch milliseconds.", field=name)
    return value
