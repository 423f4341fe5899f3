"""Requests as people copy them: a command for a shell whose token comes from its environment."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.http import HttpRequest
from django.urls import get_script_prefix


def shown_body(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, indent=1)


def curl_of(request: HttpRequest, resource: str, body: dict[str, Any]) -> str:
    """The command that posts `body` to a native resource of the site that `request` came to."""
    url = request.build_absolute_uri(f"{get_script_prefix()}v6/{resource}/")
    return (
        f"curl -X POST {shlex.quote(url)} \\\n"
        "  -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(shown_body(body))}"
    )
