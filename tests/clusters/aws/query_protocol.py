"""The way of IAM and STS over the wire, by their own models: as EC2's, with other names in the answer."""

from __future__ import annotations

import urllib.parse
from functools import cache
from typing import Any

import botocore.session
from moto.core.model import ServiceModel
from moto.core.parse import QueryParser
from moto.core.serialize import QuerySerializer
from werkzeug.datastructures import MultiDict

IAM_VERSION = "2010-05-08"


@cache
def service(name: str) -> ServiceModel:
    """Boto's model, in moto's classes."""
    return ServiceModel(
        botocore.session.Session().get_component("data_loader").load_service_model(name, "service-2"), name
    )


def asked(name: str, action: str, text: str) -> dict[str, Any]:
    """What a request's body gives an action."""
    request: Any = {
        "values": MultiDict(urllib.parse.parse_qsl(text, keep_blank_values=True))
    }  # it looks at nothing else
    found: dict[str, Any] = QueryParser(service(name).operation_model(action)).parse(request)
    return found


def answered(name: str, action: str, told: dict[str, Any]) -> str:
    found = QuerySerializer(service(name).operation_model(action)).serialize(told)["body"]
    return found.decode() if isinstance(found, bytes) else str(found)
