"""Everybody who may try an endpoint, and what an answer of the native surface must look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.test import Client

from accounts import services
from tests.answers import text_of
from tests.factories import Person, make_admin, make_customer_user, make_monitor, make_operator

WHO: Final = ("admin", "operator", "monitor", "owner", "colleague", "stranger", "anonymous", "disabled")


@dataclass(frozen=True)
class Anonymous(Person):
    """Somebody without a token."""

    @property
    def client(self) -> Client:
        return Client()


def everybody() -> Mapping[str, Person]:
    """One of each: the owner and the colleague are users of acme, the stranger of another customer."""
    disabled = make_admin("disabled")
    people = {
        "admin": make_admin("root"),
        "operator": make_operator("operator"),
        "monitor": make_monitor("monitor"),
        "owner": make_customer_user("owner", "acme"),
        "colleague": make_customer_user("colleague", "acme"),
        "stranger": make_customer_user("stranger", "other"),
        "disabled": disabled,
        "anonymous": Anonymous(disabled.user, ""),
    }
    services.disable_user(username="disabled", actor=people["admin"].user)
    return people


def refused(response: Any, status: int, code: str = "", field: str | None = None, *words: str) -> Any:
    """The native error body, with `field` among its faults and `words` in its detail."""
    assert response.status_code == status, text_of(response)
    assert response.headers["Content-Type"] == "application/json"
    body = json.loads(text_of(response))
    assert set(body) == ({"detail", "code", "errors"} if status == 400 else {"detail", "code"}), body
    assert not code or body["code"] == code, body
    if field is not None:
        assert field in [each["field"] for each in body["errors"]], body
    for word in words:
        assert word in body["detail"], body
    if status == 401:
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    return body
